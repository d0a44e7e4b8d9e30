"""Windows: honest counts by day to totals over N days, with missing days explicit.

Knows nothing of where counts come from or what is shown of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from winnow_dagster.core.categories import CATEGORIES
from winnow_dagster.core.coverage import ONE_DAY, days_between

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date

    from winnow_dagster.core.dimensions import Dimension


ALL = 0
"""The length of the window without a fixed one: every day up to as-of, without a gap, since the first covered one."""

MAX_UNLISTED = 100
"""How many installers that nobody listed are named."""

OTHERS = "others"


@dataclass(frozen=True)
class Window:
    """The `days` UTC days that end with `as_of`, inclusive."""

    days: int
    as_of: date

    @property
    def first_day(self) -> date:
        """The oldest day of the window."""
        return self.as_of - (self.days - 1) * ONE_DAY


@dataclass(frozen=True)
class WindowCounts:
    """One package's downloads over one window."""

    window: Window
    numbers: Mapping[str, int | None]
    """By their names in NUMBERS. None, or not there: the release that read or published them did not count it (R10)."""

    unlisted: Mapping[str, int] | None = field(default_factory=dict)
    """The downloads of category `other`, by installer: not counted, but never hidden (R4). None: not published then."""

    short_days: tuple[date, ...] = ()
    """Short days of the window, which Winnow counts as they are."""

    @property
    def honest(self) -> int:
        """The downloads that a badge shows."""
        count = self.numbers["honest"]
        if count is None:
            raise ValueError("a window without its honest count has no counts")
        return count

    @property
    def raw(self) -> int:
        """All downloads."""
        count = self.numbers["raw"]
        if count is None:
            raise ValueError("a window without its raw count has no counts")
        return count

    @property
    def categories(self) -> dict[str, int | None]:
        """All downloads by category."""
        return {category: self.numbers.get(category) for category in CATEGORIES}

    def by(self, dimension: Dimension) -> dict[str, int | None]:
        """Return the honest downloads by the values of a dimension, as the source spells them, without the rest."""
        return {name: self.numbers.get(dimension.number(key)) for key, name in dimension.values.items()}

    def sum(self, numbers: Iterable[str]) -> int | None:
        """Return the sum of these numbers; None if one of them is unknown."""
        return sum_counts(map(self.numbers.get, numbers))

    def with_short_days(self, days: Iterable[date]) -> WindowCounts:
        """Return these counts with the short days among `days` that lie in the window."""
        window = self.window
        return replace(self, short_days=tuple(sorted(d for d in days if window.first_day <= d <= window.as_of)))


@dataclass(frozen=True)
class WindowState:
    """What is known of a window of `days` days, or ALL: its newest counts, if any, and how many days are covered."""

    days: int
    counts: WindowCounts | None
    collected: int


@dataclass(frozen=True)
class PackageState:
    """What is known of one package, or group: its windows, the headline first, of which source, and what is wrong."""

    package: str
    source: str
    windows: tuple[WindowState, ...]
    problem: str | None = None
    members: tuple[str, ...] = ()
    """The packages of a group, whose downloads are added up; `package` is the group's folder then."""

    former: tuple[WindowState, ...] = ()
    """Windows that were published and are no longer configured: their badges stay, and grow stale."""

    @property
    def headline(self) -> WindowState:
        """The window that stands for the package."""
        return self.windows[0]


def sum_counts(counts: Iterable[int | None]) -> int | None:
    """Return the sum of these counts; None if one of them is unknown."""
    known = list(counts)
    return None if None in known else sum(count for count in known if count is not None)


def name_length(days: int) -> str:
    """Return the length of a window as file names and messages have it: `30d`, `all`."""
    return "all" if days == ALL else f"{days}d"


def newest_window(days: int, covered: Callable[[date], bool], *, start: date, through: date) -> Window | None:
    """Return the newest window of `days` covered days within `start` to `through`, or None if there is none."""
    run = 0
    for day in reversed(days_between(start, through)):
        run = run + 1 if covered(day) else 0
        if run == days:
            return Window(days, day + (days - 1) * ONE_DAY)
    return None


def whole_window(covered: Callable[[date], bool], *, start: date, through: date, max_wait: int) -> Window | None:
    """Return the longest window of covered days within `start` to `through`, or None if there is none.

    It ends within the last `patience` days, in which a missing day is still going to be read: a day that could not be
    read yet does not make a window start anew, and days of long ago that somebody read are not taken for the present.
    """
    found: Window | None = None
    run = 0
    for day in days_between(start, through):
        run = run + 1 if covered(day) else 0
        if run and (through - day).days < max_wait and (found is None or run >= found.days):
            found = Window(run, day)
    return found


def count_covered(days: int, covered: Callable[[date], bool], through: date) -> int:
    """Return how many days of the window of `days` days up to `through` are covered."""
    return sum(map(covered, days_between(Window(days, through).first_day, through)))


def top_unlisted(unlisted: Mapping[str, int]) -> dict[str, int]:
    """Return the installers with the most downloads, and the sum of the others under a name that no installer has."""
    ordered = sorted(unlisted.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(downloads for _, downloads in ordered[MAX_UNLISTED:])
    others = OTHERS
    while others in unlisted:
        others = f"all {others}"
    return dict(sorted(ordered[:MAX_UNLISTED])) | ({others: rest} if rest else {})


def keep_newest(published: PackageState, computed: PackageState) -> PackageState:
    """Return `computed` with each window whose published counts are newer kept as published (R5)."""
    before = {state.days: state for state in (*published.windows, *published.former)}
    configured = {state.days for state in computed.windows}
    return replace(
        computed,
        windows=tuple(_newer(before[w.days].counts if w.days in before else None, w) for w in computed.windows),
        former=tuple(before[days] for days in sorted(before) if days not in configured and before[days].counts),
    )


def _newer(published: WindowCounts | None, computed: WindowState) -> WindowState:
    """Return the state with the published counts where they are newer than its own."""
    if published is None:
        return computed
    if computed.counts is not None and computed.counts.window.as_of >= published.window.as_of:
        return computed
    return replace(computed, counts=published)
