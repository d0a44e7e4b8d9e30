"""Where the assets' values go: days into the store, badges and pages into the web directory.

Each handles one partition or a range of them, and notes numbers per partition for the UI to plot.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from winnow_dagster.core.coverage import Failure
from winnow_dagster.core.honesty import CATEGORIES
from winnow_dagster.defs.partitions import to_days
from winnow_dagster.sources.interface import NotThereYetError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from winnow_dagster.core.coverage import Reading
    from winnow_dagster.core.days import Days
    from winnow_dagster.core.names import Selector
    from winnow_dagster.core.window import PackageState
    from winnow_dagster.defs.resources import Fetch, Installation

TRIES_TO_WAIT = 6
SECONDS_TO_WAIT = 1800


class RawDaysIO(dg.IOManager):
    """Stores what the source answers as it comes, one file a day; loads raw days."""

    def __init__(self, winnow: Installation) -> None:
        """Write to and read from the installation's raw store."""
        self._winnow = winnow

    def handle_output(self, context: dg.OutputContext, obj: Fetch) -> None:
        """Top up the day files with each answer; ask to be run again later where the source has no such day yet."""
        costs: dict[date, Counter[str]] = defaultdict(Counter)
        try:
            for answer in obj:
                if isinstance(answer, Failure):
                    context.log.error("%s, %s to %s: %s", *_culprit(answer), answer.reason)
                    self._winnow.raw.add_failure(answer)
                    continue
                for day, more in self._winnow.raw.add_reading(answer, self._winnow.clock.now()).items():
                    costs[day]["late_rows"] += more
                _add_cost(costs, answer)
        except NotThereYetError as error:
            if self._winnow.waits:
                raise dg.RetryRequested(max_retries=TRIES_TO_WAIT, seconds_to_wait=SECONDS_TO_WAIT) from error
            raise
        stored = self._winnow.raw.load(to_days(context.asset_partition_keys))
        totals = _sum_by(stored.counts, "date")
        for day, coverage in stored.coverage.items():
            numbers = {
                "raw_downloads": totals.get(day, 0),
                "selectors_covered": len(coverage.read),
                "selectors_failed": len(coverage.failed),
                "late_rows": costs[day]["late_rows"],
            }
            _note(context, str(day), numbers | self._cost_numbers(costs[day]))

    def _cost_numbers(self, cost: Counter[str]) -> dict[str, float]:
        """Return what a day's readings cost; nothing for a source that costs nothing."""
        if not cost["queries"]:
            return {}
        figures = self._winnow.settings.source.bigquery.figures
        return {
            "queries": cost["queries"],
            "rows": cost["rows"],
            "bytes_processed": cost["bytes_processed"],
            "bytes_billed": cost["bytes_billed"],
            "dollars": round(figures.dollars(cost["bytes_billed"]), 6),
        }

    def load_input(self, context: dg.InputContext) -> Days:
        """Return the stored raw days of these partitions."""
        return self._winnow.raw.load(to_days(context.asset_partition_keys))


class HonestDaysIO(dg.IOManager):
    """Stores and loads honest days, one file a day."""

    def __init__(self, winnow: Installation) -> None:
        """Write to and read from the installation's honest store."""
        self._winnow = winnow

    def handle_output(self, context: dg.OutputContext, obj: Days) -> None:
        """Replace the file of each of the days."""
        for day, coverage in obj.coverage.items():
            counts = obj.of(day)
            self._winnow.honest.write(day, counts, coverage)
            _note(context, str(day), _category_numbers(counts))

    def load_input(self, context: dg.InputContext) -> Days:
        """Return the stored honest days of these partitions."""
        return self._winnow.honest.load(to_days(context.asset_partition_keys))


class BadgesIO(dg.IOManager):
    """Publishes packages: the only way into a package's folder in the web directory."""

    def __init__(self, winnow: Installation) -> None:
        """Publish to the installation's web directory."""
        self._winnow = winnow

    def handle_output(self, context: dg.OutputContext, obj: Mapping[str, list[PackageState]]) -> None:
        """Publish each package of each selector: changed files only, never an older number."""
        web, through = self._winnow.web, self._winnow.clock.through
        for key, states in obj.items():
            changed = sum(web.publish(state, through) for state in states)
            _note(context, key, {"packages": len(states), "files_changed": changed, **_headlines(states)})
        web.refresh(through, [state.package for states in obj.values() for state in states])

    def load_input(self, context: dg.InputContext) -> Mapping[Selector, list[PackageState]]:  # noqa: ARG002
        """Return what is published, by selector."""
        return self._winnow.published()


class SiteIO(dg.IOManager):
    """Publishes the files that span packages."""

    def __init__(self, winnow: Installation) -> None:
        """Publish to the installation's web directory."""
        self._winnow = winnow

    def handle_output(self, context: dg.OutputContext, obj: Mapping[str, bytes]) -> None:
        """Publish files by name: changed ones only."""
        context.add_output_metadata({"files_changed": self._winnow.web.publish_files(obj)})

    def load_input(self, context: dg.InputContext) -> None:
        """Refuse: nothing is made from a page."""
        raise dg.DagsterInvariantViolationError(
            f"{context.asset_key.to_user_string()} is published for readers and not read back"
        )


def _note(context: dg.OutputContext, partition: str, numbers: Mapping[str, Any]) -> None:
    """Attach numbers to one partition of a run that may cover many; add_output_metadata would give all the same."""
    context.step_context.add_asset_metadata(numbers, partition_key=partition)


def _add_cost(costs: dict[date, Counter[str]], reading: Reading) -> None:
    """Share an answer's cost among its days: bytes evenly, and the query with each day that it read."""
    days = sorted({day for request in reading.requests for day in request.days()})
    rows = dict(reading.counts.group_by("date").len().iter_rows())
    for day in days if reading.cost.queries else ():
        costs[day].update(
            queries=reading.cost.queries,
            rows=rows.get(day, 0),
            bytes_processed=reading.cost.bytes_processed // len(days),
            bytes_billed=reading.cost.bytes_billed // len(days),
        )


def _culprit(failure: Failure) -> tuple[str, str, str]:
    request = failure.request
    return str(request.selector), str(request.first), str(request.last)


def _sum_by(counts: pl.LazyFrame, column: str) -> dict[Any, int]:
    return dict(counts.group_by(column).agg(pl.col("downloads").sum()).collect().iter_rows())


def _category_numbers(counts: pl.DataFrame) -> dict[str, float]:
    """Return the day's downloads by category, raw in all, and the honest share in percent where there are any."""
    found = _sum_by(counts.lazy(), "category")
    numbers: dict[str, float] = {category: found.get(category, 0) for category in CATEGORIES}
    raw = sum(found.values())
    share = {"honest_share_percent": round(100 * numbers["honest"] / raw, 2)} if raw else {}
    return {"raw_downloads": raw, **numbers, **share}


def _headlines(states: list[PackageState]) -> dict[str, Any]:
    """Return the newest counts of a selector of one package; a prefix has no one number."""
    if len(states) != 1:
        return {}
    return {f"honest_{w.days}d": w.counts.honest for w in states[0].windows if w.counts is not None}
