"""Days: stored counts with their coverage, and from them what is known of every package."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import polars as pl

from winnow_dagster.core.coverage import NOTHING, Coverage, days_between
from winnow_dagster.core.names import NormalizedName, Selector, matches_any, selector_of
from winnow_dagster.core.window import (
    PackageState,
    Window,
    WindowCounts,
    WindowState,
    count_covered,
    newest_window,
    total,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date


@dataclass(frozen=True)
class Days:
    """Counts of one or more days, told apart by their `date` column, and the coverage of each of the days."""

    counts: pl.LazyFrame
    coverage: Mapping[date, Coverage]

    def derive(self, transform: Callable[[pl.LazyFrame], pl.LazyFrame]) -> Days:
        """Return other counts of the same days, with the same coverage."""
        return Days(transform(self.counts), self.coverage)

    def of(self, day: date) -> pl.DataFrame:
        """Return the counts of one of the days."""
        return self.counts.filter(pl.col("date") == day).collect()


def package_states(
    honest: Days,
    windows: Mapping[Selector, Sequence[int]],
    raw_coverage: Mapping[date, Coverage],
    *,
    through: date,
    source: str,
) -> dict[Selector, list[PackageState]]:
    """Return what the stored honest days up to `through` say of each package that each selector selects.

    `windows` has the lengths of the windows in days, the headline's first. A package that has a selector of its own
    is left out of the prefixes that select it too. `raw_coverage` tells which days could not be read.
    """
    members = _members(honest, windows)
    newest = {s: [_newest(honest, s, days, through) for days in windows[s]] for s in windows}
    counted = _count(honest, members, newest)
    return {
        selector: [
            PackageState(
                package,
                source,
                tuple(
                    WindowState(
                        days,
                        counted[window][package] if window else None,
                        count_covered(days, _covered(honest, selector), through),
                    )
                    for days, window in zip(lengths, newest[selector], strict=True)
                ),
                _problem(raw_coverage, selector, max(lengths), through),
            )
            for package in members[selector]
        ]
        for selector, lengths in windows.items()
    }


def _covered(honest: Days, selector: Selector) -> Callable[[date], bool]:
    return lambda day: honest.coverage.get(day, NOTHING).covers(selector)


def _newest(honest: Days, selector: Selector, days: int, through: date) -> Window | None:
    start = min(honest.coverage, default=through)
    return newest_window(days, _covered(honest, selector), start=start, through=through)


def _members(honest: Days, windows: Mapping[Selector, Sequence[int]]) -> dict[Selector, list[NormalizedName]]:
    """Return the packages of each selector: a name's own, and for a prefix each that was ever downloaded."""
    members = {s: [] if s.is_prefix else [cast("NormalizedName", s.stem)] for s in windows}
    prefixes = [s for s in windows if s.is_prefix]
    if prefixes:
        seen = honest.counts.filter(matches_any(prefixes, "package")).select("package").unique().collect()
        for package in sorted(seen["package"]):
            selector = selector_of(package, windows)
            if selector and selector.is_prefix:
                members[selector].append(package)
    return members


def _count(
    honest: Days,
    members: Mapping[Selector, list[NormalizedName]],
    newest: Mapping[Selector, list[Window | None]],
) -> dict[Window, dict[NormalizedName, WindowCounts]]:
    """Sum each window once, for all the packages that need it."""
    wanted: dict[Window, set[NormalizedName]] = defaultdict(set)
    for selector, windows in newest.items():
        for window in filter(None, windows):
            wanted[window].update(members[selector])
    return {window: total(honest.counts, window, sorted(packages)) for window, packages in wanted.items()}


def _problem(raw_coverage: Mapping[date, Coverage], selector: Selector, longest: int, through: date) -> str | None:
    """Return which day of the longest window could not be read, the newest; None if each asked for could.

    Not why: this is published, and reasons name accounts and paths.
    """
    for day in reversed(days_between(Window(longest, through).first_day, through)):
        coverage = raw_coverage.get(day, NOTHING)
        if coverage.failure(selector) is not None and not coverage.covers(selector):
            return f"{day} could not be read"
    return None
