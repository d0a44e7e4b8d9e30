"""Completeness: whether the source holds all of a day, judged by its number of rows over all packages.

PyPI's log has lost days, or most of their rows, and some came back weeks later. A query cannot tell such a day from a
day without downloads. The number of rows can, if it is compared with the same weekday of other weeks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from statistics import median
from typing import TYPE_CHECKING

from winnow_dagster.core.definition import LAST_MIXED_DAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

WEEKS = 8
"""How many earlier weeks a day is compared with."""

LOOK_BACK_DAYS = 7 * WEEKS
MIN_COMPARED = 4
"""With fewer days to compare with, Winnow does not judge a day."""

MIN_USUAL_ROWS = 100
"""With a smaller median Winnow does not judge a day: an export of a few packages varies that much by chance."""

SHORT_OF_MEDIAN = 0.5
SHORT_OF_SMALLEST = 0.75
"""A short day has less than these shares of both its weekday's median and the smallest whole day.

A holiday has as few rows as a Sunday, and is whole.
"""

READ_ANYWAY_DAYS = 14
"""After this many days, Winnow counts a short day as it is and marks it."""

RECHECK_DAYS = 90
"""For this many days after a marked day, Winnow checks whether its rows have come back."""

GROWTH_PERCENT = 10
"""How much a marked day's rows must grow before Winnow re-reads the day."""


ALL_ROWS, ALL_ENTRIES = "rows of all packages", "downloads of all entries"


@dataclass(frozen=True)
class DayRows:
    """The number of rows that the source has of a day, over all packages, and when Winnow asked."""

    rows: int
    asked: datetime


@dataclass(frozen=True)
class Judgement:
    """Whether a day is short. `usual` is the median it is compared with; None if there are too few days to compare."""

    rows: int
    usual: int | None
    is_short: bool
    of: str = ALL_ROWS
    """What `rows` counts, in words: ALL_ENTRIES if the source does not know its number of rows."""

    def __str__(self) -> str:
        """Return the numbers in words."""
        usual = "" if self.usual is None else f", and usually about {self.usual:,} on this weekday"
        return f"the source has {self.rows:,} {self.of}{usual}"


def judge_days(rows: Mapping[date, int], of: str = ALL_ROWS) -> dict[date, Judgement]:
    """Judge each day by the days before it. `rows` has the known numbers of rows, `of` says what they count.

    Later comparisons leave out short days, and days on the other side of the change of the log. The day of the change
    itself is neither judged nor compared with. A day without a row is always short.
    """
    found: dict[date, Judgement] = {}
    whole: dict[date, int] = {}
    for day in sorted(rows):
        found[day] = judgement = replace(_judge(day, rows[day], whole), of=of)
        if not judgement.is_short and day != LAST_MIXED_DAY:
            whole[day] = rows[day]
    return found


def _judge(day: date, rows: int, whole: Mapping[date, int]) -> Judgement:
    comparable = {
        before: whole[before]
        for before in (day - timedelta(days=n) for n in range(1, LOOK_BACK_DAYS + 1))
        if before in whole and is_comparable(before, day)
    }
    same_weekday = [count for before, count in comparable.items() if before.weekday() == day.weekday()]
    usual = median(same_weekday) if len(same_weekday) >= MIN_COMPARED else 0
    if day == LAST_MIXED_DAY or usual < MIN_USUAL_ROWS:
        return Judgement(rows, None, is_short=rows == 0)
    is_short = rows < SHORT_OF_MEDIAN * usual and rows < SHORT_OF_SMALLEST * min(comparable.values())
    return Judgement(rows, round(usual), is_short or rows == 0)


def is_comparable(one: date, other: date) -> bool:
    """Return whether both days lie on the same side of the change of the log, and neither is the day of the change."""
    return LAST_MIXED_DAY not in (one, other) and (one < LAST_MIXED_DAY) == (other < LAST_MIXED_DAY)


def days_to_judge(days: Iterable[date]) -> tuple[date, date]:
    """Return the first and last day whose numbers of rows are needed to judge these days."""
    wanted = list(days)
    return min(wanted) - timedelta(days=LOOK_BACK_DAYS), max(wanted)


def is_read_anyway(day: date, now: datetime) -> bool:
    """Return whether a day is old enough to be counted even if it is short."""
    return now.date() >= read_anyway_day(day)


def read_anyway_day(day: date) -> date:
    """Return the first day on which Winnow counts a short day as it is."""
    return day + timedelta(days=READ_ANYWAY_DAYS)


def is_rechecked(day: date, now: datetime) -> bool:
    """Return whether Winnow still re-reads a marked day if its rows come back."""
    return (now.date() - day).days <= RECHECK_DAYS


def is_recheck_due(day: date, last_asked: datetime | None, now: datetime) -> bool:
    """Return whether to ask for a marked day's rows: once a day, for RECHECK_DAYS."""
    return is_rechecked(day, now) and (last_asked is None or last_asked.date() != now.date())


def have_grown(before: int | None, rows: int | None) -> bool:
    """Return whether a marked day has gained enough rows to be re-read."""
    return (
        before is not None and rows is not None and rows > before and 100 * (rows - before) >= GROWTH_PERCENT * before
    )
