"""Ranges of days: the compact form of a set of days in published files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from winnow_dagster.core.coverage import ONE_DAY, days_between

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date

    DayRanges = Sequence[tuple[date, date]]
    """The first and last day of each range, oldest first. Ranges do not touch."""


def to_ranges(days: Iterable[date]) -> list[tuple[date, date]]:
    """Return the ranges of these days."""
    return join_ranges((day, day) for day in days)


def join_ranges(ranges: Iterable[tuple[date, date]]) -> list[tuple[date, date]]:
    """Return the ranges of all days in ranges that may touch or overlap, in any order."""
    found: list[tuple[date, date]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + ONE_DAY:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return found


def days_in(ranges: DayRanges) -> set[date]:
    """Return the days in these ranges."""
    return {day for first, last in ranges for day in days_between(first, last)}


def newest_run(days: set[date], first: date, last: date) -> list[date]:
    """Return the newest of these days within `first` to `last`, and the days before it without a gap, oldest first."""
    run: list[date] = []
    for day in reversed(days_between(first, last)):
        if day in days:
            run.append(day)
        elif run:
            break
    return run[::-1]


def without_days(
    ranges: Mapping[str, Mapping[str, DayRanges]], days: Mapping[str, Collection[date]]
) -> dict[str, dict[str, DayRanges]]:
    """Return the ranges of each key and name without the days of that name. The result leaves out empty entries."""
    found: dict[str, dict[str, DayRanges]] = {}
    for key, by_name in ranges.items():
        for name, each in by_name.items():
            if left := to_ranges(days_in(each).difference(days.get(name, ()))):
                found.setdefault(key, {})[name] = left
    return found
