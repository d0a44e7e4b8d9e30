"""One collect: fetch the missing days, count them and publish, through Dagster, in this process."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from winnow_dagster.core.names import selector_of
from winnow_dagster.core.packages import lacks_rows
from winnow_dagster.core.planning import Gap
from winnow_dagster.core.remarks import remark_on_prefixes
from winnow_dagster.core.verdicts import describe_short
from winnow_dagster.defs.alerts import AlertError, send_alerts
from winnow_dagster.defs.building import build
from winnow_dagster.defs.clock import Clock
from winnow_dagster.defs.partitions import RANGE_END, RANGE_START
from winnow_dagster.defs.resources import Installation
from winnow_dagster.files.errors import StorageError
from winnow_dagster.files.operations import make_writable
from winnow_dagster.instance.errors import HistoryError, StepHistoryError
from winnow_dagster.instance.failures import failures, history_error
from winnow_dagster.instance.opening import open_instance, open_without_history
from winnow_dagster.instance.runs import OwnRuns, run_tags
from winnow_dagster.site.record import RECORD_NAME

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import date

    import dagster as dg

    from winnow_dagster.config.settings import Settings
    from winnow_dagster.core.names import NormalizedName, Selector
    from winnow_dagster.core.window import WindowCounts, WindowState
    from winnow_dagster.defs.fetching import Answer
    from winnow_dagster.site.index import Row

MAX_NAMED = 20
"""The maximum number of packages that one line names."""

logger = logging.getLogger(__name__)


class Progress(Protocol):
    """The observer of a collect's progress."""

    def begin(self, gaps: Sequence[Gap], rereads: Sequence[Gap]) -> None:
        """Report the gaps that Winnow is about to read, and the days that the user asked to re-read."""
        ...

    def answered(self, answer: Answer) -> None:
        """Report that an answer is stored."""
        ...


@dataclass(frozen=True)
class Result:
    """The result of a collect: a row per requested package, and the reasons of the steps that failed as a whole."""

    rows: Sequence[Row]
    errors: Sequence[str]
    remarks: Sequence[str] = ()
    """Remarks on prefixes, which have no row of their own. A remark is not a failure."""

    changed: frozenset[str] = frozenset()
    """The packages and groups in `rows` with another number than before."""

    @property
    def is_current(self) -> bool:
        """Whether every badge of every requested package includes the newest day."""
        return not self.errors and all(row.status is None for row in self.rows)


@dataclass(frozen=True)
class Scope:
    """The newest day and the packages that a collect is for. No packages means all."""

    through: date | None = None
    packages: Collection[NormalizedName] = ()
    refetch: tuple[date, date] | None = None
    """The first and last day to re-read."""

    backfill: tuple[str, ...] = ()
    """Open dimensions: re-read the days of the longest window that lack one of them."""


def collect(settings: Settings, scope: Scope, *, progress: Progress, verbose: bool = False) -> Result:
    """Re-read the days that the user asks for, fill the gaps of the packages, and publish every package.

    Before it fetches anything, it raises SampleOverRealError, NotOursError, or StorageError for an unusable directory.
    """
    # Midnight may pass meanwhile. The days read and the rows are for the same newest day.
    clock = Clock(scope.through or Clock().through)
    winnow, packages = Installation(settings, clock, progress.answered, waits=False), scope.packages
    site = claim(winnow)
    before = {state.package: state.windows for states in winnow.published().values() for state in states}
    selectors = [s for s in settings.windows if not packages or any(map(s.matches, packages))]
    if not verbose:
        logging.getLogger("dagster").setLevel(logging.CRITICAL)
    rereads = [Gap(*scope.refetch, tuple(selectors))] if scope.refetch else []
    rereads += winnow.gaps_to_backfill(selectors, scope.backfill)
    how = {"refetch": bool(scope.refetch), "asked_at": str(winnow.started), "backfill": list(scope.backfill)}
    task = _Task(winnow, site, selectors, rereads, how, progress, "DEBUG" if verbose else "CRITICAL")
    try:
        with open_instance(settings) as instance:
            own = OwnRuns(instance, site, names=winnow.names)
            own.close_dead()
            errors = task.run(instance)
            own.purge_old_runs(winnow.oldest_kept_run)
            _alert(winnow, own)
    except HistoryError as error:
        # No number depends on the history. Days that were read before the error are stored, and not read twice.
        with open_without_history() as instance:
            errors = [*task.run(instance), str(error)]
            _alert(winnow, OwnRuns(instance, site, names=winnow.names))
    published = winnow.published()
    missing, short = winnow.missing(), winnow.judge.short_days()
    rows = _with_reasons(winnow.rows(published, packages), settings, missing, short)
    errors += _not_listed(winnow, selectors, packages, {row.state.package for row in rows}, missing)
    errors += [describe_short(day, judgement) for day, judgement in short.items()]
    remarks = [f"{prefix}: {why}" for prefix, why in remark_on_prefixes(published, selectors, missing)]
    changed = frozenset(
        row.state.package for row in rows if _numbers(row.state.windows) != _numbers(before.get(row.state.package, ()))
    )
    return Result(rows, list(dict.fromkeys(errors)), remarks, changed)


@dataclass(frozen=True)
class _Task:
    """The steps of one collect, in any instance."""

    winnow: Installation
    site: str
    selectors: Sequence[Selector]
    rereads: Sequence[Gap]
    how_to_reread: Mapping[str, object]
    """The config of `raw_downloads` for the re-reads."""

    progress: Progress
    log_level: str

    def run(self, instance: dg.DagsterInstance) -> list[str]:
        """Re-read the days that the user asks for, fill the gaps and publish. Return why whole steps failed."""
        winnow, names = self.winnow, self.winnow.names
        runs = _Runs(build(winnow).resolve_implicit_global_asset_job_def(), instance, self.site, self.log_level)
        errors: list[str] = []
        gaps = winnow.gaps(self.selectors)
        self.progress.begin(gaps, self.rereads)
        steps = [(gap, self.how_to_reread) for gap in self.rereads] + [(gap, {}) for gap in gaps]
        for gap, how in steps:
            chosen = {"packages": [str(s) for s in gap.selectors], **how}
            counts = names.assets("raw_downloads", "honest_downloads")
            ops = {names.op("raw_downloads"): {"config": chosen}}
            errors += runs.execute(counts, (str(gap.first), str(gap.last)), ops)
            if errors:
                # The source answered nothing. It would refuse the other days too.
                break
        keys = [str(which) for which in winnow.settings.published_windows]
        errors += runs.execute(names.assets("badges"), (keys[0], keys[-1]))
        errors += runs.execute(names.assets("index"))
        return errors


def claim(winnow: Installation, *, adopt: bool = False) -> str:
    """Claim the directories of an installation and return the id of its site.

    With `adopt`, take over the web directory from another config. Raises SampleOverRealError, NotOursError, and
    StorageError if a directory cannot be used.
    """
    for folder in (winnow.settings.output_dir, winnow.settings.data_dir):
        make_writable(folder)
    winnow.refuse_sample_over_real()
    return winnow.ownership.claim(adopt=adopt)


def _numbers(windows: Iterable[WindowState]) -> list[WindowCounts]:
    return [window.counts for window in windows if window.counts]


def _alert(winnow: Installation, runs: OwnRuns) -> None:
    """Send alerts if the config has a webhook. If that fails, the next collect or the daemon sends them."""
    if winnow.settings.has_alerts:
        try:
            send_alerts(winnow, runs)
        except (AlertError, StorageError) as error:
            logger.warning("an alert is not delivered yet: %s", error)


def _with_reasons(
    rows: Sequence[Row], settings: Settings, missing: Mapping[str, str], short_days: Iterable[date]
) -> list[Row]:
    """Add the reason to the rows of packages that could not be read, since the published files do not hold it.

    A short day has one line of its own instead.
    """
    short = set(map(lacks_rows, short_days))
    reasons = [missing.get(str(selector_of(row.state.package, settings.windows))) for row in rows]
    return [
        replace(row, status=reason or row.status) if row.state.problem and row.state.problem not in short else row
        for row, reason in zip(rows, reasons, strict=True)
    ]


def _not_listed(
    winnow: Installation,
    selectors: Collection[Selector],
    packages: Collection[str],
    listed: Collection[str],
    missing: Mapping[str, str],
) -> Iterator[str]:
    """Yield a line for each prefix that was not read, and lines for requested packages and groups without a row.

    Prefixes have no row of their own.
    """
    for selector in selectors:
        if selector.is_prefix and str(selector) in missing:
            yield f"{selector}: {missing[str(selector)]}"
    own = [str(selector) for selector in selectors if not selector.is_prefix]
    groups = [str(group.group) for group in winnow.settings.groups if not packages]
    if gone := [name for name in (*own, *groups) if name not in listed]:
        more = f" and {len(gone) - MAX_NAMED} more" if len(gone) > MAX_NAMED else ""
        where = f"{RECORD_NAME} is missing in {winnow.web.folder}, or damaged"
        yield f"{', '.join(gone[:MAX_NAMED])}{more}: {where}. Run again to publish it"
    for package in sorted({*packages} - {*listed} - {*own} - winnow.web.all_packages.names()):
        yield f"{package}: no download in the days read, and no entry of its own. Check the spelling"


@dataclass(frozen=True)
class _Runs:
    """Runs of one job in this process, recorded in an instance."""

    job: dg.JobDefinition
    instance: dg.DagsterInstance
    site: str
    log_level: str

    def execute(
        self,
        assets: Sequence[dg.AssetKey],
        partitions: tuple[str, str] | None = None,
        ops: Mapping[str, object] | None = None,
    ) -> Iterator[str]:
        """Run these assets, over a range of partitions if one is given; yield why each step, or the run, failed.

        Raises HistoryError if a step failed because Dagster could not record it.
        """
        run_id = str(uuid.uuid4())
        chosen = dict(zip((RANGE_START, RANGE_END), partitions, strict=True)) if partitions else {}
        result = self.job.execute_in_process(
            run_id=run_id,
            instance=self.instance,
            asset_selection=assets,
            tags=run_tags(run_id, self.site) | chosen,
            run_config={"ops": ops or {}, "loggers": {"console": {"config": {"log_level": self.log_level}}}},
            raise_on_error=False,
        )
        failed = failures(result.all_events)
        if any(failure.is_interrupt for failure in failed):
            # Otherwise the next run would begin.
            raise KeyboardInterrupt
        if reason := history_error(result.all_events):
            raise StepHistoryError(reason)
        yield from (failure.reason for failure in failed)
