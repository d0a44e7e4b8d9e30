"""Describe each package and group from the stored days: its windows, its history and its problem."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.counting import DayCounts
from winnow_dagster.core.coverage import NOTHING, Coverage, days_between
from winnow_dagster.core.days import MAX_WAIT_DAYS, CountOptions, Days, Package
from winnow_dagster.core.definition import Definition
from winnow_dagster.core.history import DayMark, History, history_of
from winnow_dagster.core.names import Group, Selector, matches_any, selector_of
from winnow_dagster.core.window import (
    ALL,
    PackageState,
    Window,
    WindowCounts,
    WindowState,
    count_covered,
    newest_window,
    whole_window,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import date


def describe_packages(
    honest: Days,
    windows: Mapping[Selector | Group, Sequence[int]],
    raw_coverage: Mapping[date, Coverage],
    options: CountOptions,
    in_full: Collection[str] = (),
) -> dict[str, list[Package]]:
    """Return the packages that each selector or group publishes, keyed by the selector's or group's text.

    `windows`: the lengths of the windows in days, the headline's first. A prefix leaves out packages that have a
    selector of their own. `raw_coverage`: says which days could not be read. `in_full`: the only packages of `*` to
    describe.
    """
    names = _names(honest, windows, in_full)
    groups = {str(which): which.members for which in windows if isinstance(which, Group)}
    counts = _count_days(honest, groups, [name for found in names.values() for name in found])
    newest = {which: [_newest(honest, which, days, options.through) for days in windows[which]] for which in windows}
    by_day, counted = counts.by_package(), _count(counts, names, newest)
    described: dict[str, list[Package]] = {}
    for which, lengths in windows.items():
        covered = _covered(honest, which)
        problem = _problem(raw_coverage, which, max(*lengths, MAX_WAIT_DAYS * (ALL in lengths)), options)
        marks = _marks(honest, _parts(which), options)
        short = [day for day, mark in marks.items() if mark.is_short]
        described[str(which)] = [
            Package(
                PackageState(
                    name,
                    options.source,
                    tuple(
                        WindowState(
                            days,
                            counted[window][name].with_short_days(short) if window else None,
                            count_covered(days, covered, options.through),
                        )
                        for days, window in zip(lengths, newest[which], strict=True)
                    ),
                    problem,
                    _members(names, which) if isinstance(which, Group) else (),
                ),
                history_of(by_day.get(name, {}), marks),
            )
            for name in names[which]
        ]
    return described


def recount(
    honest: Days,
    members: Mapping[str, Sequence[Selector]],
    windows: Mapping[Window, Collection[str]],
    options: CountOptions,
) -> tuple[dict[Window, dict[str, WindowCounts]], dict[str, History]]:
    """Count these windows and days again from the stored honest days, as far as the days cover them.

    `members`: the selectors that each published name adds up. `windows`: the published names to count for each window.
    """
    groups = {name: parts for name, parts in members.items() if list(parts) != [Selector(name)]}
    counts = _count_days(honest, groups, members)
    by_day = counts.by_package()
    marks = {name: _marks(honest, parts, options) for name, parts in members.items()}

    def covers(day: date, name: str) -> bool:
        return all(map(honest.coverage.get(day, NOTHING).covers, members[name]))

    found: dict[Window, dict[str, WindowCounts]] = {}
    for window, names in windows.items():
        days = days_between(window.first_day, window.as_of)
        known = [name for name in names if all(covers(day, name) for day in days)]
        found[window] = {
            name: total.with_short_days(day for day, mark in marks[name].items() if mark.is_short)
            for name, total in counts.total(window, known).items()
        }
    return found, {name: history_of(by_day.get(name, {}), marks[name]) for name in members}


def _parts(which: Selector | Group) -> Sequence[Selector]:
    """Return the selectors that must all be covered."""
    return which.members if isinstance(which, Group) else [which]


def _covered(honest: Days, which: Selector | Group) -> Callable[[date], bool]:
    return lambda day: all(map(honest.coverage.get(day, NOTHING).covers, _parts(which)))


def _has_counts(honest: Days, which: Selector | Group) -> Callable[[date], bool]:
    return lambda day: all(map(honest.coverage.get(day, NOTHING).holds, _parts(which)))


def _marks(honest: Days, parts: Sequence[Selector], options: CountOptions) -> dict[date, DayMark]:
    """Return a mark for each day on which all parts are counted by the same definition."""
    found: dict[date, DayMark] = {}
    for day, coverage in honest.coverage.items():
        if day > options.through:
            continue
        if all(map(coverage.covers, parts)):
            is_short = day in options.empty_days or any(coverage.facts_of(part).is_short for part in parts)
            provisional = any(coverage.is_provisional(day, part, options.settle_days) for part in parts)
            found[day] = DayMark(provisional, Definition.FILES, is_short)
        elif all(coverage.holds(part) and not _has_some_of(coverage, part) for part in parts):
            found[day] = DayMark(provisional=False, definition=Definition.REQUESTS)
    return found


def _has_some_of(coverage: Coverage, part: Selector) -> bool:
    """Return whether the present definition counted anything that `part` selects."""
    return coverage.covers(part) or any(part.covers(read) for read in coverage.read)


def _newest(honest: Days, which: Selector | Group, days: int, through: date) -> Window | None:
    start, covered = min(honest.coverage, default=through), _covered(honest, which)
    if days == ALL:
        # Winnow will re-read days that an older definition counted. Until then they do not shorten the window.
        window = whole_window(_has_counts(honest, which), start=start, through=through, max_wait=MAX_WAIT_DAYS)
        is_covered = window and all(map(covered, days_between(window.first_day, window.as_of)))
        return window if is_covered else None
    return newest_window(days, covered, start=start, through=through)


def _names(
    honest: Days, windows: Collection[Selector | Group], in_full: Collection[str]
) -> dict[Selector | Group, list[str]]:
    """Return the names that each selector or group publishes. A prefix publishes each package with a download."""
    selectors = [s for s in windows if isinstance(s, Selector)]
    names: dict[Selector | Group, list[str]] = {which: [] for which in windows}
    for which in windows:
        if isinstance(which, Group):
            names[which] = [str(which)]
        elif which.is_all:
            names[which] = sorted(in_full)
        elif not which.is_prefix:
            names[which] = [which.stem]
    prefixes = [s for s in selectors if s.is_prefix and not s.is_all]
    if prefixes:
        seen = honest.counts.filter(matches_any(prefixes, "package")).select("package").unique().collect()
        for package in sorted(seen["package"]):
            selector = selector_of(package, selectors)
            if selector and selector.is_prefix and not selector.is_all:
                names[selector].append(package)
    return names


def _members(names: Mapping[Selector | Group, Sequence[str]], group: Group) -> tuple[str, ...]:
    """Return the published packages of a group, sorted.

    Members that only `*` selects, and members without a download, keep the spelling of the config.
    """
    selectors = [which for which in names if isinstance(which, Selector)]
    published = {n for which in selectors for n in names[which]}
    covered = [which for which in selectors if not which.is_all]
    as_written = {
        part
        for part in group.members
        if not any(which.covers(part) for which in covered) or not any(map(part.matches, published))
    }
    chosen = {n for n in published if any(part.matches(n) for part in group.members)}
    listed = {n for n in chosen if not any(part.matches(n) for part in as_written)}
    return tuple(sorted(listed | set(map(str, as_written))))


def _count_days(honest: Days, groups: Mapping[str, Sequence[Selector]], names: Collection[str]) -> DayCounts:
    """Count the days of these packages and groups. A group's downloads also count under the group's name."""

    def add_groups(rows: pl.DataFrame) -> pl.DataFrame:
        added = [
            rows.filter(matches_any(members, "package")).with_columns(package=pl.lit(name))
            for name, members in groups.items()
        ]
        return pl.concat([rows, *added]).filter(pl.col("package").is_in(list(names)))

    parts = [part for members in groups.values() for part in members]
    chosen = honest.derive(lambda counts: _select(counts, names, parts))
    return DayCounts.of(map(add_groups, chosen.batches()) if names else ())


def _select(counts: pl.LazyFrame, names: Collection[str], parts: Collection[Selector]) -> pl.LazyFrame:
    """Return the counts of these packages and of all packages that `parts` select."""
    # A join, because polars compares each row with up to a hundred names of a filter one by one.
    exact = pl.LazyFrame({"package": [*names, *(part.stem for part in parts if not part.is_prefix)]})
    found = counts.join(exact, on="package", how="semi")
    prefixes = [part for part in parts if part.is_prefix]
    if not prefixes:
        return found
    return pl.concat([found, counts.filter(matches_any(prefixes, "package")).join(exact, on="package", how="anti")])


def _count(
    counts: DayCounts,
    names: Mapping[Selector | Group, Sequence[str]],
    newest: Mapping[Selector | Group, Sequence[Window | None]],
) -> dict[Window, dict[str, WindowCounts]]:
    """Sum each window once for all packages and groups that need it."""
    wanted: dict[Window, set[str]] = defaultdict(set)
    for which, windows in newest.items():
        for window in filter(None, windows):
            wanted[window].update(names[which])
    return {window: counts.total(window, sorted(found)) for window, found in wanted.items()}


def _problem(
    raw_coverage: Mapping[date, Coverage], which: Selector | Group, longest: int, options: CountOptions
) -> str | None:
    """Return a sentence on the newest day of the longest window that could not be read; None without one.

    It does not give the reason: the sentence is published, and reasons name accounts and paths.
    """
    through = options.through
    for day in reversed(days_between(Window(longest, through).first_day, through)):
        coverage = raw_coverage.get(day, NOTHING)
        missing = [part for part in _parts(which) if not coverage.covers(part)]
        if missing and day in options.short_days:
            return lacks_rows(day)
        if any(coverage.failure(part) is not None for part in missing):
            return f"{day} could not be read"
    return None


def lacks_rows(day: date) -> str:
    """Return the sentence that explains why a package waits for a short day."""
    return f"PyPI's log lacks rows of {day}"
