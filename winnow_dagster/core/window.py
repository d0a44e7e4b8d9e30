"""Windows: totals over N days, with missing days explicit.

This module knows nothing of where counts come from or how Winnow shows them.
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
"""Stands for the length of the window over all days, which reaches from the last gap to as-of."""

MAX_UNLISTED = 100
"""The maximum number of unlisted installers that Winnow names."""

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
    """The counts by their names in NUMBERS. None or absent: that release did not count it (R10)."""

    unlisted: Mapping[str, int] | None = field(default_factory=dict)
    """The downloads of category `other` by installer (R4). None: the release that published them left them out."""

    short_days: tuple[date, ...] = ()
    """Short days of the window, counted as they are."""

    source: str = ""
    """The kind of source that the counts are from; empty if it is that of the package. No window adds up two."""

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
        """The downloads of each category."""
        return {category: self.numbers.get(category) for category in CATEGORIES}

    def by(self, dimension: Dimension) -> dict[str, int | None]:
        """Return the honest downloads by the values of a dimension, as the source spells them. Leave out its rest."""
        return {name: self.numbers.get(dimension.number(key)) for key, name in dimension.values.items()}

    def sum(self, numbers: Iterable[str]) -> int | None:
        """Return the sum of these numbers; None if one of them is unknown."""
        return sum_counts(map(self.numbers.get, numbers))

    def with_short_days(self, days: Iterable[date]) -> WindowCounts:
        """Return these counts with those short days that lie in the window."""
        window = self.window
        return replace(self, short_days=tuple(sorted(d for d in days if window.first_day <= d <= window.as_of)))


@dataclass(frozen=True)
class WindowState:
    """The state of a window of `days` days, or ALL: its newest counts, if any, and its number of covered days."""

    days: int
    counts: WindowCounts | None
    covered_days: int


@dataclass(frozen=True)
class PackageState:
    """The state of one package or group: its source, its windows with the headline first, and its problem."""

    package: str
    source: str
    windows: tuple[WindowState, ...]
    problem: str | None = None
    members: tuple[str, ...] = ()
    """The packages that a group adds up; `package` is then the group's folder."""

    former: tuple[WindowState, ...] = ()
    """Published windows that are no longer configured. Their badges stay and grow stale."""

    @property
    def headline(self) -> WindowState:
        """The window that represents the package."""
        return self.windows[0]


def sum_counts(counts: Iterable[int | None]) -> int | None:
    """Return the sum of these counts; None if one of them is unknown."""
    known = list(counts)
    return None if None in known else sum(count for count in known if count is not None)


def name_length(days: int) -> str:
    """Return the length of a window for file names and messages: `30d`, `all`."""
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

    It ends within the last `max_wait` days. Winnow may still read a missing day among them, so one missing day does not
    restart the window. Older days that somebody read do not make a current window.
    """
    found: Window | None = None
    run = 0
    for day in days_between(start, through):
        run = run + 1 if covered(day) else 0
        if run and (through - day).days < max_wait and (found is None or run >= found.days):
            found = Window(run, day)
    return found


def count_covered(days: int, covered: Callable[[date], bool], through: date) -> int:
    """Return the number of covered days in the window of `days` days up to `through`."""
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
    """Return `computed`, but keep the published counts of each window that are newer (R5).

    Counts from another source name it.
    """
    before = {
        state.days: _name_source(state, published.source, computed.source)
        for state in (*published.windows, *published.former)
    }
    configured = {state.days for state in computed.windows}
    return replace(
        computed,
        windows=tuple(_newer(before[w.days].counts if w.days in before else None, w) for w in computed.windows),
        former=tuple(before[days] for days in sorted(before) if days not in configured and before[days].counts),
    )


def _name_source(state: WindowState, published: str, computed: str) -> WindowState:
    """Return a published window for a package of source `computed`."""
    if state.counts is None:
        return state
    source = state.counts.source or published
    return replace(state, counts=replace(state.counts, source="" if source == computed else source))


def _newer(published: WindowCounts | None, computed: WindowState) -> WindowState:
    """Return the computed state, with the published counts if they are newer."""
    if published is None:
        return computed
    if computed.counts is not None and computed.counts.window.as_of >= published.window.as_of:
        return computed
    return replace(computed, counts=published)


def mixes_sample(one: str, other: str) -> bool:
    """Return whether exactly one of two sources is the sample source: sample and real numbers never mix (R8)."""
    return (one == "sample") != (other == "sample")
