"""IO managers: store days, and publish badges and pages.

Each handles one partition or a range of them, and attaches metadata to each partition for Dagster's plots.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg

from winnow_dagster.core.coverage import Failure
from winnow_dagster.core.everything import Everything
from winnow_dagster.defs.notes import DayCosts, breakdown_notes, category_numbers, package_notes, sum_by
from winnow_dagster.defs.partitions import to_days
from winnow_dagster.defs.refusals import refuse_without_raw
from winnow_dagster.defs.resources import installation_of
from winnow_dagster.defs.run_log import repeating
from winnow_dagster.defs.writing import open_web, publish_packages, store_answer
from winnow_dagster.files.locks import counting
from winnow_dagster.files.operations import Failures
from winnow_dagster.publishing.directory import packages_in_full
from winnow_dagster.sources.interface import TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from winnow_dagster.core.days import Days
    from winnow_dagster.core.everything import PackagesBySelector
    from winnow_dagster.core.window import PackageState
    from winnow_dagster.defs.fetching import Answer, Fetch
    from winnow_dagster.defs.resources import Installation
    from winnow_dagster.instance.naming import Names


class RawDaysIO(dg.IOManager):
    """Stores each answer of the source as it arrives; loads raw days."""

    def __init__(self, winnow: Installation) -> None:
        """Use the installation's raw store."""
        self._winnow = winnow

    def handle_output(self, context: dg.OutputContext, obj: Fetch) -> None:
        """Store each answer. Raise RetryRequested if a failure is transient."""
        costs, may_recover = DayCosts(), False
        try:
            for answer in _repeat(obj, context):
                if isinstance(answer, Failure):
                    context.log.error("%s, %s to %s: %s", *_culprit(answer), answer.reason)
                    may_recover |= answer.is_transient
                for day, more in store_answer(self._winnow, answer).items():
                    costs.add_late(day, more)
                if not isinstance(answer, Failure):
                    costs.add(answer)
        except TransientError as error:
            if self._winnow.waits:
                raise dg.RetryRequested(error.tries, error.seconds_to_wait) from error
            raise
        # A retry asks only for what failed, also if it re-reads days. After the last try, Winnow counts without it.
        if may_recover and self._winnow.waits and dg.AssetExecutionContext.get().retry_number < TransientError.tries:
            raise dg.RetryRequested(TransientError.tries, TransientError.seconds_to_wait)
        stored = self._winnow.raw.load(to_days(context.asset_partition_keys))
        totals = sum_by(stored.counts, "date")
        for day, coverage in stored.coverage.items():
            numbers = {
                "raw_downloads": totals.get(day, 0),
                "selectors_covered": len(coverage.read),
                "selectors_failed": len(coverage.failed),
                "rows_without_file_name": sum(facts.unnamed for facts in coverage.facts.values()),
            }
            _note(context, str(day), numbers | costs.numbers(day, self._winnow.costs))

    def load_input(self, context: dg.InputContext) -> Days:
        """Return the stored raw days of these partitions. Raises RefusedError if one is missing."""
        days = to_days(context.asset_partition_keys)
        stored = self._winnow.raw.load(days)
        refuse_without_raw(days, stored.coverage)
        return stored


class HonestDaysIO(dg.IOManager):
    """Stores and loads honest days, one file a day."""

    def __init__(self, winnow: Installation) -> None:
        """Use the installation's honest store."""
        self._winnow = winnow

    def handle_output(self, context: dg.OutputContext, obj: Days) -> None:
        """Replace the file of each day, unless another process has re-read the day since."""
        with repeating(context.log), counting(self._winnow.settings.store_folder):
            self._winnow.honest.clean_up()
            for day, coverage in obj.coverage.items():
                counts = obj.of(day).collect()
                self._winnow.write_honest(day, counts, coverage)
                _note(context, str(day), category_numbers(counts))

    def load_input(self, context: dg.InputContext) -> Days:
        """Return the stored honest days of these partitions."""
        return self._winnow.honest.load(to_days(context.asset_partition_keys))


class BadgesIO(dg.IOManager):
    """Publishes packages. Nothing else writes into a package's folder of the web directory."""

    def __init__(self, winnow: Installation) -> None:
        """Publish to the installation's web directory."""
        self._winnow = winnow

    def handle_output(self, context: dg.OutputContext, obj: PackagesBySelector) -> None:
        """Publish each package of each selector: only changed files, never an older number.

        Raises NotOursError, and StorageError at the end if some package could not be published.
        """
        winnow, failures = self._winnow, Failures()
        with repeating(context.log), open_web(winnow) as web:
            changed = publish_packages(winnow, web, obj, failures)
            for key, found in obj.items():
                packages = packages_in_full(found)
                of_all = len(web.all_packages.names()) if isinstance(found, Everything) else 0
                with failures.collect():
                    shown = [web.read(package.state.package) or package.state for package in packages]
                    numbers = {"packages": len(packages) + of_all, "files_changed": changed[key]}
                    notes = package_notes(shown, winnow.settings, web.site, winnow.clock.today)
                    if len(shown) == 1:
                        by_window = web.read_breakdowns(shown[0].package).windows
                        notes |= breakdown_notes(by_window.get(shown[0].headline.days, {}))
                    _note(context, key, notes | numbers)
        # Free the memory: Dagster may keep the object until the run ends. Later steps read the published files.
        obj.clear()
        failures.raise_any()

    def load_input(self, context: dg.InputContext) -> Mapping[str, list[PackageState]]:  # noqa: ARG002
        """Return the published states by selector and group."""
        return self._winnow.published()


class SiteIO(dg.IOManager):
    """Publishes the files that span packages."""

    def __init__(self, winnow: Installation) -> None:
        """Publish to the installation's web directory."""
        self._winnow = winnow

    def handle_output(self, context: dg.OutputContext, obj: Mapping[str, bytes]) -> None:
        """Publish the changed files among these, keyed by path."""
        url, folder = self._winnow.settings.base_url, self._winnow.web.folder
        with repeating(context.log), open_web(self._winnow) as web:
            site = dg.MetadataValue.url(f"{url}/") if url else dg.MetadataValue.path(str(folder))
            context.add_output_metadata({"files_changed": web.publish_files(obj), "site": site})

    def load_input(self, context: dg.InputContext) -> None:
        """Refuse: no asset depends on a page."""
        raise dg.DagsterInvariantViolationError(
            f"{context.asset_key.to_user_string()} is published for readers, and no asset can load it"
        )


def make_io_managers(names: Names) -> dict[str, dg.IOManagerDefinition]:
    """Return the IO managers by key. Each takes the installation from the resources, so that it can be replaced."""
    classes = {"raw_days": RawDaysIO, "honest_days": HonestDaysIO, "badges_io": BadgesIO, "site_io": SiteIO}
    return {names.named(name): _define(made, names) for name, made in classes.items()}


def _define(made: Callable[[Installation], dg.IOManager], names: Names) -> dg.IOManagerDefinition:
    @dg.io_manager(required_resource_keys={names.resource}, description=made.__doc__)
    def give(context: dg.InitResourceContext) -> dg.IOManager:
        return made(installation_of(context.resources, names))

    return give


def _repeat(answers: Iterable[Answer], context: dg.OutputContext) -> Iterator[Answer]:
    """Yield the answers. Copy to the run's log what Winnow logs meanwhile."""
    with repeating(context.log):
        yield from answers


def _note(context: dg.OutputContext, partition: str, numbers: Mapping[str, Any]) -> None:
    """Attach metadata to one partition of a run. add_output_metadata would attach it to all partitions."""
    dg.AssetExecutionContext.get().add_asset_metadata(numbers, context.asset_key, partition)


def _culprit(failure: Failure) -> tuple[str, str, str]:
    request = failure.request
    return str(request.selector), str(request.first), str(request.last)
