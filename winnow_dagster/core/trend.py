"""Trends: a window compared with the window of the same length before it.

Winnow compares only whole windows of one source and one definition, without a short day. Otherwise the change would say
more about the log than about the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from winnow_dagster.core.coverage import DAYS_OF_WEEK, ONE_DAY, days_between
from winnow_dagster.core.definition import Definition
from winnow_dagster.core.history import NUMBERS
from winnow_dagster.core.window import Window, WindowCounts, sum_counts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from winnow_dagster.core.history import Day, History

HONEST = NUMBERS.index("honest")
MAX_WEEKS = 13
MIN_CHANGES = 3
"""The minimum number of changes from week to week that a usual change needs."""

BLOCKS, ASCII = "▁▂▃▄▅▆▇█", "_.-=+*#@"
"""The marks of a spark line, lowest first."""


@dataclass(frozen=True)
class Change:
    """The window before, to compare a window with."""

    before: Window
    honest: int | None
    """The honest downloads of the window before; None if the two windows cannot be compared."""

    why_not: str = ""
    """Why they cannot be compared."""

    def ratio(self, honest: int) -> float | None:
        """Return the relative change to `honest`: 0.5 is 50 % more. None if there is nothing to compare."""
        return (honest - self.honest) / self.honest if self.honest else None


def compare(history: History, window: Window) -> Change:
    """Return the change of a package's honest downloads against the window before."""
    before = Window(window.days, window.first_day - ONE_DAY)
    known = {day.date: day for day in history.days}
    older = [known[day] for day in days_between(before.first_day, before.as_of) if day in known]
    both = [*older, *(known[day] for day in days_between(window.first_day, window.as_of) if day in known)]
    if why_not := _why_not(before, older, both):
        return Change(before, None, why_not)
    return Change(before, sum(day.numbers[HONEST] or 0 for day in older))


def _why_not(before: Window, older: Sequence[Day], both: Sequence[Day]) -> str:
    if len(older) < before.days:
        return f"only {len(older)} of the {before.days} days before are read"
    if len(both) < 2 * before.days:
        return "days are missing"
    if len({day.source for day in both}) > 1:
        return "days before are from another source"
    short = [day.date for day in both if day.is_short]
    if short:
        return f"PyPI's log lacks rows of {short[-1]}"
    if any(day.definition is not Definition.FILES or day.numbers[HONEST] is None for day in both):
        return "days before count other files too"
    return ""


def usual_change(history: History, as_of: date) -> float | None:
    """Return the median relative change from week to week, over the last MAX_WEEKS weeks up to `as_of`.

    None if fewer than MIN_CHANGES changes between comparable weeks are known.
    """
    known = {day.date: day for day in history.days}
    newest = known.get(as_of)
    weeks: list[int | None] = []
    for week in range(MAX_WEEKS):
        last = as_of - week * DAYS_OF_WEEK * ONE_DAY
        days = [known.get(last - at * ONE_DAY) for at in range(DAYS_OF_WEEK)]
        counts = [day.numbers[HONEST] for day in days if day and newest and _is_comparable(day, newest)]
        whole = [count for count in counts if count is not None]
        weeks.append(sum(whole) if len(whole) == DAYS_OF_WEEK else None)
    changes = [abs(later - before) / before for later, before in pairwise(weeks) if later is not None and before]
    return median(changes) if len(changes) >= MIN_CHANGES else None


def _is_comparable(day: Day, newest: Day) -> bool:
    return not day.is_short and day.definition is Definition.FILES and day.source == newest.source


def daily(history: History, window: Window) -> dict[date, int | None]:
    """Return the honest downloads of each day of a window; None for a missing day."""
    known = {day.date: day.numbers[HONEST] for day in history.days}
    return {day: known.get(day) for day in days_between(window.first_day, window.as_of)}


def sum_newest(history: History, days: int) -> WindowCounts | None:
    """Return the counts of the newest `days` days; None if a day is missing, or if the days do not add up.

    Only known numbers of one source and one definition add up (R1, R9).
    """
    found = history.newest(days).days
    if len(found) < days or len({day.source for day in found}) > 1:
        return None
    numbers = dict(zip(NUMBERS, map(sum_counts, zip(*(day.numbers for day in found), strict=True)), strict=True))
    if any(day.definition is not Definition.FILES for day in found) or None in (numbers["raw"], numbers["honest"]):
        return None
    counts = WindowCounts(Window(days, found[-1].date), numbers, source=found[-1].source)
    return counts.with_short_days(history.short_days())


def spark(counts: Sequence[int | None], marks: str, width: int) -> str:
    """Return a spark line of at most `width` marks, scaled from 0. Missing days are blank.

    With more days than marks, each mark is the average of several days.
    """
    size = max(1, -(-len(counts) // width))
    # The last mark has as many days as the others, so the newest days look like the rest.
    parts = [counts[max(0, end - size) : end] for end in range(len(counts), 0, -size)][::-1]
    known = [[count for count in part if count is not None] for part in parts]
    means = [sum(part) / len(part) if part else None for part in known]
    top = max((mean for mean in means if mean is not None), default=0) or 1
    return "".join(" " if mean is None else marks[round(mean / top * (len(marks) - 1))] for mean in means)
