"""One collect: what is missing is fetched, counted and published, through Dagster, in this process."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import dagster as dg

from winnow_dagster.core.names import selector_of
from winnow_dagster.definitions import build
from winnow_dagster.defs.alerts import AlertError, tell
from winnow_dagster.defs.failures import root_cause
from winnow_dagster.defs.partitions import RANGE_END, RANGE_START
from winnow_dagster.defs.resources import Clock, Installation
from winnow_dagster.instance import open_instance
from winnow_dagster.runs import OwnRuns, run_tags
from winnow_dagster.storage.errors import StorageError
from winnow_dagster.storage.files import make_writable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.coverage import Gap
    from winnow_dagster.core.names import NormalizedName, Selector
    from winnow_dagster.defs.resources import Answer
    from winnow_dagster.settings import Settings
    from winnow_dagster.site.index import Row

logger = logging.getLogger(__name__)

# What Dagster makes of Ctrl-C within a step: it ends the run, and would let the next begin.
INTERRUPTED = "DagsterExecutionInterruptedError"
COUNTS = ("raw_downloads", "honest_downloads")


class Progress(Protocol):
    """Who is told how far a collect is."""

    def begin(self, gaps: Sequence[Gap]) -> None:
        """Take note of what is about to be read."""
        ...

    def answered(self, answer: Answer) -> None:
        """Take note of an answer that is stored."""
        ...


@dataclass(frozen=True)
class Result:
    """What a collect came to: a row per package asked for, and why steps failed that failed as a whole."""

    rows: Sequence[Row]
    errors: Sequence[str]

    @property
    def is_current(self) -> bool:
        """Whether every badge of every package asked for is as of the newest day."""
        return not self.errors and all(row.status is None for row in self.rows)


def collect(
    settings: Settings,
    through: date | None,
    packages: Collection[NormalizedName],
    *,
    progress: Progress,
    verbose: bool = False,
) -> Result:
    """Fill the gaps of these packages, or all where none is named, then publish every package with what there is.

    Raises SampleOverRealError and NotOursError, and StorageError where a directory cannot be used, before anything is
    fetched.
    """
    winnow = Installation(settings, Clock(through), progress.answered, waits=False)
    site = claim(winnow)
    selectors = [s for s in settings.windows if not packages or any(map(s.matches, packages))]
    if not verbose:
        logging.getLogger("dagster").setLevel(logging.CRITICAL)
    job = build(winnow).resolve_implicit_global_asset_job_def()
    errors: list[str] = []
    with open_instance(settings) as instance:
        own = OwnRuns(instance, site)
        own.close_dead()
        runs = _Runs(job, instance, site, "DEBUG" if verbose else "CRITICAL")
        gaps = winnow.gaps(selectors)
        progress.begin(gaps)
        for gap in gaps:
            chosen = {"config": {"packages": [str(s) for s in gap.selectors]}}
            errors += runs.execute(COUNTS, (str(gap.first), str(gap.last)), {"raw_downloads": chosen})
            if errors:
                # The source answered nothing, and asking for other days would only be told the same.
                break
        keys = [str(which) for which in settings.published_windows]
        errors += runs.execute(["badges"], (keys[0], keys[-1]))
        errors += runs.execute(["index"])
        own.forget_old(winnow.oldest_kept_run)
        _alert(winnow, own)
    rows = _with_reasons(winnow, winnow.rows(winnow.published(), packages))
    errors += _not_listed(winnow, selectors, packages, {row.state.package for row in rows})
    return Result(rows, list(dict.fromkeys(errors)))


def claim(winnow: Installation, *, adopt: bool = False) -> str:
    """Take the directories of an installation into use, and return the id of its site.

    `adopt`: take the web directory over from another config.
    Raises SampleOverRealError and NotOursError, and StorageError where a directory cannot be used.
    """
    for folder in (winnow.settings.output_dir, winnow.settings.data_dir):
        make_writable(folder)
    winnow.refuse_sample_over_real()
    return winnow.ownership.claim(adopt=adopt)


def _alert(winnow: Installation, runs: OwnRuns) -> None:
    """Tell the webhook, if there is one. What cannot be told now is told by the next collect, or by the daemon."""
    if winnow.settings.alerts_webhook:
        try:
            tell(winnow, runs)
        except (AlertError, StorageError) as error:
            logger.warning("an alert is not delivered yet: %s", error)


def _with_reasons(winnow: Installation, rows: Sequence[Row]) -> list[Row]:
    """Say in the rows of packages that could not be read why, which what is published does not say."""
    missing = winnow.missing()
    reasons = {row.name: missing.get(str(selector_of(row.state.package, winnow.settings.windows))) for row in rows}
    return [replace(row, status=reasons[row.name] or row.status) if row.state.problem else row for row in rows]


def _not_listed(
    winnow: Installation, selectors: Collection[Selector], packages: Collection[str], listed: Collection[str]
) -> Iterator[str]:
    """Say of prefixes, which have no row of their own, what they lack, and of packages without a row, that they do."""
    missing = winnow.missing()
    for selector in selectors:
        if selector.is_prefix and str(selector) in missing:
            yield f"{selector}: {missing[str(selector)]}"
    for package in sorted(set(packages) - set(listed) - winnow.web.wide.names()):
        yield f"{package}: not one download in the days read, and no entry of its own. Check the spelling"


@dataclass(frozen=True)
class _Runs:
    """Runs of one job in this process, recorded in an instance."""

    job: dg.JobDefinition
    instance: dg.DagsterInstance
    site: str
    log_level: str

    def execute(
        self,
        assets: Collection[str],
        partitions: tuple[str, str] | None = None,
        ops: Mapping[str, object] | None = None,
    ) -> Iterator[str]:
        """Run these assets, over a range of partitions if one is given; yield why each failed step failed."""
        run_id = str(uuid.uuid4())
        chosen = dict(zip((RANGE_START, RANGE_END), partitions, strict=True)) if partitions else {}
        result = self.job.execute_in_process(
            run_id=run_id,
            instance=self.instance,
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            tags=run_tags(run_id, self.site) | chosen,
            run_config={"ops": ops or {}, "loggers": {"console": {"config": {"log_level": self.log_level}}}},
            raise_on_error=False,
        )
        for event in result.all_events:
            if event.is_step_failure:
                if INTERRUPTED in str(event.step_failure_data.error):
                    raise KeyboardInterrupt
                yield root_cause(event.step_failure_data.error, event.step_key or "")
