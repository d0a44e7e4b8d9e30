"""An installation: a config with its source, stores and clock. Runs get it as their resource."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from winnow_dagster.config.settings import CONFIG_NAME
from winnow_dagster.core.coverage import NOTHING, ONE_DAY, days_between
from winnow_dagster.core.days import CountOptions, Days
from winnow_dagster.core.everything import PackagesBySelector, describe_everything
from winnow_dagster.core.names import EVERYTHING, Selector, selector_of
from winnow_dagster.core.packages import describe_packages, recount
from winnow_dagster.core.planning import find_backfill, find_gaps
from winnow_dagster.core.read_policy import LOW_REREAD_DAYS, ReadPolicy
from winnow_dagster.core.verdicts import MAX_TIME_TO_COUNT, describe_short
from winnow_dagster.core.window import Window
from winnow_dagster.defs.breakdowns import count_for, due_for_audit, with_breakdowns
from winnow_dagster.defs.clock import Clock
from winnow_dagster.defs.fetching import Fetch, FetchScope, fetch
from winnow_dagster.defs.judging import DayJudge
from winnow_dagster.defs.refusals import choose_selectors, refuse_future_days
from winnow_dagster.files.session import listed
from winnow_dagster.instance.naming import Names
from winnow_dagster.publishing.audit import Recount, windows_of
from winnow_dagster.publishing.directory import WebDir
from winnow_dagster.publishing.ownership import Ownership
from winnow_dagster.site.discovery import root_files
from winnow_dagster.site.index import Listing, list_packages
from winnow_dagster.site.site import SiteConfig
from winnow_dagster.sources.kinds import KINDS, costs_of, open_source
from winnow_dagster.store.days import honest_store
from winnow_dagster.store.raw import RawStore
from winnow_dagster.store.source_rows import SourceRows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    import polars as pl

    from winnow_dagster.config.settings import Settings
    from winnow_dagster.core.coverage import Coverage
    from winnow_dagster.core.days import Package
    from winnow_dagster.core.everything import Everything
    from winnow_dagster.core.names import Group
    from winnow_dagster.core.planning import Gap
    from winnow_dagster.core.window import PackageState
    from winnow_dagster.defs.fetching import Answer
    from winnow_dagster.site.index import Row
    from winnow_dagster.sources.interface import Costs, Source
    from winnow_dagster.store.days import DayStore


@dataclass(frozen=True)
class Installation:
    """A config with its source and stores. Calls `on_answer` after it has stored an answer of the source."""

    settings: Settings
    clock: Clock = field(default_factory=Clock)
    on_answer: Callable[[Answer], None] = lambda _: None
    given_source: Source | None = None
    waits: bool = True
    """Whether a run retries later if the source does not have a day yet, instead of failing."""

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    is_merged: bool = False
    """Whether its definitions are part of a project's, whose executor then runs all but Winnow's jobs."""

    @cached_property
    def names(self) -> Names:
        """The names of its assets, jobs and sensors in Dagster."""
        return Names.of(self.settings.placement, is_merged=self.is_merged)

    @cached_property
    def source(self) -> Source:
        """The source of raw counts."""
        return self.given_source or open_source(self.settings.source, self.settings.source_context)

    @cached_property
    def costs(self) -> Costs | None:
        """The costs of the source; None if it costs nothing."""
        return costs_of(self.settings.source, self.settings.source_context)

    @cached_property
    def raw(self) -> RawStore:
        """The store of raw counts."""
        return RawStore(self.settings.store_folder)

    @cached_property
    def honest(self) -> DayStore:
        """The store of honest counts."""
        return honest_store(self.settings.store_folder)

    def breakdowns(self, days: Collection[date]) -> Days:
        """Return the breakdowns of the readings whose honest counts are stored."""
        found, honest = self.raw.load_breakdowns(days), self.honest.coverages(days)
        coverage = {day: each.within(honest.get(day, NOTHING)) for day, each in found.coverage.items()}
        return Days(found.counts, coverage, found.by_day)

    @cached_property
    def source_rows(self) -> SourceRows:
        """The number of rows that the source has of each day."""
        return SourceRows(self.settings.store_folder)

    @cached_property
    def judge(self) -> DayJudge:
        """The judge of the days that the source seems to lack."""
        return DayJudge(self.settings, self.clock, self.raw, self.source_rows)

    @cached_property
    def web(self) -> WebDir:
        """The web directory."""
        s = self.settings
        # The remarks and the reader query of a kind describe its public dataset, not a server of the user's own.
        kinds = {name: kind for name, kind in KINDS.items() if name != s.source.kind or s.source.is_public}
        reader_queries = {name: kind.reader_query for name, kind in kinds.items() if kind.reader_query}
        found = {name: kind.remarks for name, kind in KINDS.items()} | {s.source.kind: s.source.remarks}
        site = SiteConfig(
            s.stale_threshold_days, s.base_url, s.styles, reader_queries, s.breakdowns, found, s.repositories
        )
        return WebDir(listed(s.output_dir, s.data_dir), site, s.spellings)

    @cached_property
    def ownership(self) -> Ownership:
        """The record of which config may publish to the web directory."""
        s = self.settings
        return Ownership(s.data_dir, s.output_dir, s.config_file or s.folder / CONFIG_NAME)

    @property
    def due_day(self) -> date:
        """The newest day that the schedule should have read: yesterday, or the day before until today's tick."""
        now, s = self.clock.now(), self.settings
        tick = now.replace(hour=s.schedule_hour, minute=s.schedule_minute, second=0, microsecond=0)
        return now.date() - (ONE_DAY if now >= tick else 2 * ONE_DAY)

    @property
    def oldest_kept_run(self) -> datetime:
        """The moment before which Winnow deletes runs."""
        return self.clock.now() - timedelta(days=self.settings.keep_runs_days)

    @property
    def reader(self) -> ReadPolicy:
        """The policy that decides whether Winnow has to read a day now."""
        once = frozenset(package.selector for package in self.settings.packages if not package.settle)
        now = self.clock.now()
        recent = days_between(now.date() - max(LOW_REREAD_DAYS) * ONE_DAY - ONE_DAY, now.date())
        low = frozenset(self.judge.quiet_days(recent).low)
        dimensions = self.settings.dimensions
        return ReadPolicy(now, self.settings.source.settle_days, once, self.source_rows.load(), low, dimensions)

    def gaps(self, selectors: Collection[Selector] | None = None, through: date | None = None) -> list[Gap]:
        """Return the gaps of these selectors, or of all, up to `through` or else the newest day."""
        longest = self.settings.longest_windows
        wanted = {s: days for s, days in longest.items() if selectors is None or s in selectors}
        covered = self._covered(once_a_day=True)
        return find_gaps(
            wanted, covered, self.reader, start=self.settings.start_date, through=through or self.clock.through
        )

    def gaps_to_backfill(self, selectors: Collection[Selector], dimensions: Collection[str]) -> list[Gap]:
        """Return the days of the longest window of these selectors that were read without one of these dimensions."""
        wanted = {s: days for s, days in self.settings.longest_windows.items() if s in selectors}
        if not dimensions:
            return []
        reader = replace(self.reader, backfill=frozenset(dimensions))
        return find_backfill(wanted, self.raw.without_lost_breakdowns(self._covered()), reader, self.clock.through)

    def fetch(
        self,
        days: Collection[date],
        packages: Collection[str],
        *,
        refetch: bool | datetime,
        backfill: Collection[str] = (),
    ) -> Fetch:
        """Return a fetch of the counts that these days lack, and of the days that lack a breakdown of `backfill`.

        `packages`: the texts of the selectors to ask for; empty for all. `refetch`: fetch covered counts too; if it
        is a moment, those that were last read before it. Raises RefusedError.
        """
        refuse_future_days(days, self.clock.now())
        chosen = choose_selectors(packages, self.settings.windows)
        return Fetch(lambda: fetch(self, FetchScope(days, chosen, refetch, frozenset(backfill))))

    def write_honest(self, day: date, counts: pl.DataFrame, coverage: Coverage) -> None:
        """Store the honest counts of a day, made from raw counts with this coverage. Raises StorageError.

        Stores nothing if another run has re-read the raw counts since. That run counts them.
        """
        if self.raw.coverage(day) == coverage:
            self.honest.write(day, counts, coverage)

    def missing(self, through: date | None = None) -> dict[str, str]:
        """Return the selectors that lack days of their longest window, each with the days and the reason.

        The window ends with `through`, by default the newest day that may be included.
        """
        honest = self.honest.coverages(self.honest.stored_days())
        raw, short = self.judge.trusted(self.raw.coverages(honest)), self.judge.short_days()
        counted = {day: coverage.within(honest[day]) for day, coverage in raw.items()}
        since = self.clock.now() - MAX_TIME_TO_COUNT

        def has(day: date, selector: Selector) -> bool:
            if day not in raw:
                return False
            # The counts of the reading before are valid until a run has counted a re-read.
            last_read = raw[day].last_read(selector)
            is_recent = last_read is not None and last_read > since
            return counted[day].covers(selector) or (is_recent and honest[day].covers(selector))

        found: dict[str, str] = {}
        for selector, longest in self.settings.longest_windows.items():
            window = Window(longest, through or self.clock.through)
            days = [d for d in days_between(window.first_day, window.as_of) if d >= self.settings.start_date]
            gone = [day for day in days if not has(day, selector)]
            if gone:
                why = (self.raw.coverage(gone[-1]) or NOTHING).failure(selector) or "not read yet. Run `winnow collect`"
                why = describe_short(gone[-1], short[gone[-1]]) if gone[-1] in short else why
                found[str(selector)] = f"{len(gone)} days, {gone[0]} to {gone[-1]}: {why}"
        return found

    def packages(self, keys: Collection[str]) -> PackagesBySelector:
        """Return the packages that each of these selectors and groups publishes, keyed by its text."""
        published = self.published() if self.settings.everything else {}
        in_full = [state.package for state in published.get(str(EVERYTHING), ())]
        windows, raw = self.settings.published_windows, self.judge.trusted(self.raw.coverages(self.raw.stored_days()))
        described = describe_packages(self._stored(), windows, raw, self._count_options(self.clock.through), in_full)
        everything = self.everything(described.get(str(EVERYTHING), ())) if str(EVERYTHING) in keys else None
        chosen = {key: packages for key, packages in described.items() if key in keys}
        breakdowns = count_for(self, (package.state for packages in chosen.values() for package in packages))
        found = PackagesBySelector({key: with_breakdowns(packages, breakdowns) for key, packages in chosen.items()})
        return PackagesBySelector({**found, str(EVERYTHING): everything}) if everything else found

    def look_up(self, windows: Mapping[Selector | Group, Sequence[int]]) -> dict[str, list[Package]]:
        """Return the stored packages of these selectors and groups, keyed by text. The config need not have them."""
        raw = self.judge.trusted(self.raw.coverages(self.raw.stored_days()))
        return describe_packages(self._stored(), windows, raw, self._count_options(self.clock.through))

    def everything(self, in_full: Sequence[Package] = ()) -> Everything | None:
        """Return the packages of `*`, not counted yet; None without `*`. `in_full`: those with a page."""
        entry = self.settings.everything
        if entry is None:
            return None
        windows = self.settings.published_windows
        return describe_everything(
            self._stored(), windows, self.web.all_packages.style, self._count_options(self.clock.through), in_full
        )

    def _stored(self) -> Days:
        stored = [day for day in self.honest.stored_days() if day <= self.clock.through]
        return self.honest.load(self.judge.trusted(self.honest.coverages(stored)))

    def _count_options(self, through: date) -> CountOptions:
        source, empty = self.settings.source, self.judge.quiet_days(self.raw.stored_days()).empty
        return CountOptions(
            through, source.kind, source.settle_days, frozenset(self.judge.short_days()), frozenset(empty)
        )

    def published(self) -> dict[str, list[PackageState]]:
        """Return the published state of each package of each selector and group, in the config's order."""
        found: dict[str, list[PackageState]] = {str(which): [] for which in self.settings.published_windows}
        for name, state in self.web.read_all().items():
            key = state.package if state.package in found else str(selector_of(state.package, self.settings.windows))
            # Skip the folder of another spelling, which is a copy.
            if key in found and name == state.package:
                found[key].append(state)
        return found

    def recount(self, published: Iterable[PackageState]) -> Recount:
        """Count the published windows and days again from the store, as far as it covers them."""
        states = {state.package: state for state in published}
        members = {
            name: tuple(map(Selector.parse, state.members)) or (Selector(name),) for name, state in states.items()
        }
        stored = self.honest.load(self.honest.stored_days())
        counts = recount(stored, members, windows_of(states.values()), self._count_options(date.max))
        return Recount(*counts, count_for(self, due_for_audit(states.values(), self.clock.today)))

    def refuse_sample_over_real(self) -> None:
        """Raise SampleOverRealError if this is sample data and real numbers of any package are published."""
        self.web.refuse_sample_over_real(self.settings.source.kind)

    def rows(self, published: Mapping[str, list[PackageState]], packages: Collection[str] = ()) -> list[Row]:
        """Return a row for each published package and group in the config's order. `packages`: only these, if any."""
        return list_packages(
            [s for states in published.values() for s in states if not packages or s.package in packages],
            self.settings.spellings,
            self.web.site,
            through=self.clock.through,
            today=self.clock.today,
        )

    def site_files(self, published: Mapping[str, list[PackageState]]) -> dict[str, bytes]:
        """Return the files that list all packages, keyed by path, from the published state of each."""
        settings, clock = self.settings, self.clock
        listing = Listing(
            self.rows(published),
            settings.source.kind,
            clock.through,
            settings.stale_threshold_days,
            self.web.all_packages.summary(),
            self.web.site.dataset_of(settings.source.kind),
            self.web.site.remarks_of(settings.source.kind),
            settings.base_url,
        )
        shared = listing.files(self.web.read_history, started=self.started, finished=clock.now())
        return {**shared, **root_files(listing)}

    def _covered(self, *, once_a_day: bool = False) -> dict[date, Coverage]:
        """Return the coverage that both the raw counts and the honest counts have."""
        honest = self.honest.coverages(self.honest.stored_days())
        raw = self.judge.trusted(self.raw.coverages(honest), once_a_day=once_a_day)
        return {day: coverage.within(honest[day]) for day, coverage in raw.items()}


def installation_of(resources: object, names: Names) -> Installation:
    """Return the installation from the resources of a run."""
    found: Installation = getattr(resources, names.resource)
    return found
