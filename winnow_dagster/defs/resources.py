"""The one resource: an installation, which is a config and the source, stores and clock that go with it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from winnow_dagster.core.coverage import (
    NOTHING,
    ONE_DAY,
    Failure,
    Reader,
    Reading,
    days_between,
    find_gaps,
    plan_requests,
)
from winnow_dagster.core.days import Question, describe, retell
from winnow_dagster.core.everything import Described, describe_everything
from winnow_dagster.core.names import EVERYTHING, Selector, selector_of
from winnow_dagster.core.window import Window
from winnow_dagster.settings import CONFIG_NAME, PUBLIC_TABLE
from winnow_dagster.site.audit import Recount, windows_of
from winnow_dagster.site.index import Listing, list_packages
from winnow_dagster.site.site import Site
from winnow_dagster.sources import open_source
from winnow_dagster.sources.interface import SourceError
from winnow_dagster.storage.days import honest_store, raw_store
from winnow_dagster.storage.errors import StorageError
from winnow_dagster.storage.held import ensure_held
from winnow_dagster.storage.lock import fetching
from winnow_dagster.storage.ownership import Ownership
from winnow_dagster.storage.web import WebDir

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from winnow_dagster.core.coverage import Coverage, Gap
    from winnow_dagster.core.days import Days, Package
    from winnow_dagster.core.everything import Everything
    from winnow_dagster.core.window import PackageState
    from winnow_dagster.settings import Settings
    from winnow_dagster.site.index import Row
    from winnow_dagster.sources.interface import Source
    from winnow_dagster.storage.days import DayStore

Answer = Reading | Failure


@dataclass(frozen=True)
class Clock:
    """What time it is, and for a replay of old days which day is the newest to include."""

    replay_through: date | None = None

    def now(self) -> datetime:
        """Return the present moment, in UTC."""
        return datetime.now(UTC)

    @property
    def through(self) -> date:
        """The newest day that may be included: yesterday, or the day of a replay."""
        return self.replay_through or self.now().date() - ONE_DAY

    @property
    def today(self) -> date:
        """The day as of which staleness is judged."""
        return self.through + ONE_DAY


@dataclass(frozen=True)
class Fetch:
    """Answers of the source that are asked for only while they are iterated over, so that each is stored at once."""

    ask: Callable[[], Iterator[Answer]]

    def __iter__(self) -> Iterator[Answer]:
        """Ask, once more at each iteration."""
        return self.ask()


@dataclass(frozen=True)
class Installation:
    """A config at work. `on_answer` is told of each answer of the source once it is stored."""

    settings: Settings
    clock: Clock = Clock()
    on_answer: Callable[[Answer], None] = lambda _: None
    given_source: Source | None = None
    waits: bool = True
    """Whether a run waits for a day that the source does not have yet, instead of failing."""

    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    @cached_property
    def source(self) -> Source:
        """Where raw counts come from."""
        return self.given_source or open_source(self.settings.source, self.settings.data_dir, self.settings.local_dir)

    @cached_property
    def raw(self) -> DayStore:
        """The store of raw counts."""
        return raw_store(self.settings.store_folder)

    @cached_property
    def honest(self) -> DayStore:
        """The store of honest counts."""
        return honest_store(self.settings.store_folder)

    @cached_property
    def web(self) -> WebDir:
        """The directory that is served."""
        s = self.settings
        table = "" if s.source.kind == "sample" else PUBLIC_TABLE
        return WebDir(s.output_dir, Site(s.stale_threshold_days, s.base_url, table, s.looks), s.spellings)

    @cached_property
    def ownership(self) -> Ownership:
        """Who may publish to the web directory."""
        s = self.settings
        return Ownership(s.data_dir, s.output_dir, s.config_file or s.folder / CONFIG_NAME)

    @property
    def due_day(self) -> date:
        """The newest day that the schedule should have read: yesterday, once the tick of today has passed."""
        now, s = self.clock.now(), self.settings
        tick = now.replace(hour=s.schedule_hour, minute=s.schedule_minute, second=0, microsecond=0)
        return now.date() - (ONE_DAY if now >= tick else 2 * ONE_DAY)

    @property
    def oldest_kept_run(self) -> datetime:
        """The moment before which runs are forgotten."""
        return self.clock.now() - timedelta(days=self.settings.keep_runs_days)

    def window_days(self, through: date, *, weeks_before: int = 0) -> list[date]:
        """Return the days of the longest window up to `through`, oldest first, and of so many weeks before it."""
        window = Window(max(self.settings.longest_windows.values()) + 7 * weeks_before, through)
        return [day for day in days_between(window.first_day, through) if day >= self.settings.start_date]

    @property
    def reader(self) -> Reader:
        """What decides whether a reading has to be made now."""
        once = frozenset(package.selector for package in self.settings.packages if not package.settle)
        return Reader(self.clock.now(), self.settings.source.settle_days, once)

    def gaps(self, selectors: Collection[Selector] | None = None, through: date | None = None) -> list[Gap]:
        """Return what has to be read to bring these selectors, or all, up to date, or to `through`."""
        longest = self.settings.longest_windows
        wanted = {s: days for s, days in longest.items() if selectors is None or s in selectors}
        return find_gaps(
            wanted, self._covered(), self.reader, start=self.settings.start_date, through=through or self.clock.through
        )

    def fetch(self, days: Collection[date], packages: Collection[str], *, refetch: bool) -> Fetch:
        """Return what will ask the source for what these days do not cover yet.

        `packages`: the selectors to ask for, as text; none means all.
        """
        chosen = [s for s in self.settings.windows if not packages or str(s) in packages]
        return Fetch(lambda: self._ask(days, chosen, refetch=refetch))

    def _ask(self, days: Collection[date], selectors: Collection[Selector], *, refetch: bool) -> Iterator[Answer]:
        """Ask while holding the store's lock: it is free again once the last answer was stored.

        Raises SourceError, once each failure is stored, where the source answers nothing at all, and NotOursError.
        """
        # Before money is spent on what may not be published. Days are stored even while output_dir cannot be reached.
        with contextlib.suppress(StorageError):
            self.ownership.claim()
        with fetching(self.settings.store_folder):
            self.raw.tidy()
            requests = plan_requests(days, selectors, self.raw.coverages(days), self.reader, refetch=refetch)
            answered: set[tuple[Selector, date]] = set()
            try:
                for answer in self.source.read(requests) if requests else ():
                    yield answer
                    self.on_answer(answer)
                    if isinstance(answer, Reading):
                        answered.update(
                            (request.selector, day) for request in answer.requests for day in request.days()
                        )
                    # What is paid for is stored by now, and another asks for the rest.
                    ensure_held()
            except SourceError as error:
                for request in requests:
                    if any((request.selector, day) not in answered for day in request.days()):
                        yield Failure(request, str(error))
                if not answered:
                    raise

    def missing(self, through: date | None = None) -> dict[str, str]:
        """Return the selectors that are not covered on each day of their longest window: on which days, and why.

        The window ends with `through`, by default the newest day that may be included.
        """
        covered = self._covered()
        found: dict[str, str] = {}
        for selector, longest in self.settings.longest_windows.items():
            window = Window(longest, through or self.clock.through)
            days = [d for d in days_between(window.first_day, window.as_of) if d >= self.settings.start_date]
            gone = [d for d in days if not covered.get(d, NOTHING).covers(selector)]
            if gone:
                why = (self.raw.coverage(gone[-1]) or NOTHING).failure(selector) or "not asked for yet"
                found[str(selector)] = f"{len(gone)} days, {gone[0]} to {gone[-1]}: {why}"
        return found

    def packages(self, keys: Collection[str]) -> Described:
        """Return what the store says of each package of these selectors, and of these groups, by their texts."""
        published = self.published() if self.settings.everything else {}
        in_full = [state.package for state in published.get(str(EVERYTHING), ())]
        windows, raw = self.settings.published_windows, self.raw.coverages(self.raw.stored_days())
        described = describe(self._stored(), windows, raw, self._question, in_full)
        everything = self.everything(described.get(str(EVERYTHING), ())) if str(EVERYTHING) in keys else None
        found = Described({key: packages for key, packages in described.items() if key in keys})
        return Described({**found, str(EVERYTHING): everything}) if everything else found

    def everything(self, in_full: Sequence[Package] = ()) -> Everything | None:
        """Return what the store says of `*`, of which these packages are published in full; None where it is not asked.

        Nothing is counted yet.
        """
        entry = self.settings.everything
        if entry is None:
            return None
        windows = self.settings.published_windows
        return describe_everything(self._stored(), windows, self.web.wide.look, self._question, in_full)

    def _stored(self) -> Days:
        return self.honest.load([day for day in self.honest.stored_days() if day <= self.clock.through])

    @property
    def _question(self) -> Question:
        return Question(self.clock.through, self.settings.source.kind, self.settings.source.settle_days)

    def published(self) -> dict[str, list[PackageState]]:
        """Return what is published of each package of each selector, and of each group, in the config's order."""
        found: dict[str, list[PackageState]] = {str(which): [] for which in self.settings.published_windows}
        for name, state in self.web.read_all().items():
            key = state.package if state.package in found else str(selector_of(state.package, self.settings.windows))
            # A folder of another spelling holds a copy.
            if key in found and name == state.package:
                found[key].append(state)
        return found

    def recount(self, published: Iterable[PackageState]) -> Recount:
        """Return what the store says now of what was published, where it covers it."""
        states = {state.package: state for state in published}
        members = {
            name: tuple(map(Selector.parse, state.members)) or (Selector(name),) for name, state in states.items()
        }
        stored = self.honest.load(self.honest.stored_days())
        return Recount(*retell(stored, members, windows_of(states.values()), self.settings.source.settle_days))

    def refuse_sample_over_real(self) -> None:
        """Raise SampleOverRealError if this is sample data and real numbers are published, of whatever package."""
        self.web.wide.check_source(self.settings.source.kind)
        for state in self.web.read_all().values():
            self.web.check_source(state, self.settings.source.kind)

    def rows(self, published: Mapping[str, list[PackageState]], packages: Collection[str] = ()) -> list[Row]:
        """Return a row for each published package and group, or for these only, in the config's order."""
        return list_packages(
            [s for states in published.values() for s in states if not packages or s.package in packages],
            self.settings.spellings,
            self.web.site,
            through=self.clock.through,
            today=self.clock.today,
        )

    def site_files(self, published: Mapping[str, list[PackageState]]) -> dict[str, bytes]:
        """Return the files that span packages, by their paths, from what is published of each."""
        settings, clock = self.settings, self.clock
        listing = Listing(
            self.rows(published),
            settings.source.kind,
            clock.through,
            settings.stale_threshold_days,
            self.web.wide.summary(),
        )
        return listing.files(self.web.read_history, started=self.started, finished=clock.now())

    def _covered(self) -> dict[date, Coverage]:
        """Return what is covered all the way: in the raw counts and in the honest counts made from them."""
        honest = self.honest.coverages(self.honest.stored_days())
        return {day: coverage for day, coverage in honest.items() if self.raw.coverage(day) is not None}
