"""History: the numbers of a package by day. Only covered days are in it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from winnow_dagster.core.categories import CATEGORIES
from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.definition import Definition
from winnow_dagster.core.dimensions import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

NUMBERS = ("raw", *CATEGORIES, *(number for dimension in DIMENSIONS for number in dimension.numbers))
"""The names of the numbers of a day or window: raw, the seven categories, the honest ones by each dimension."""


class Day(NamedTuple):
    """A day of a history."""

    date: date
    provisional: bool | None
    """None if the day's file does not say."""

    numbers: tuple[int | None, ...]
    """The counts in the order of NUMBERS. None: the release that read or published the day did not count it."""

    definition: Definition = Definition.FILES
    is_short: bool = False
    """Whether the day is short and Winnow counts it as it is."""

    source: str = ""
    """The kind of source that the day is from; empty if it is that of the package."""

    def by_name(self) -> dict[str, int | None]:
        """Return the counts of the day by their names."""
        return dict(zip(NUMBERS, self.numbers, strict=True))


FILES, REQUESTS = Definition.FILES, Definition.REQUESTS
NO_DOWNLOADS = (0,) * len(NUMBERS)


@dataclass(frozen=True)
class History:
    """The covered days of one package or group, oldest first."""

    days: tuple[Day, ...]

    @classmethod
    def empty(cls) -> History:
        """Return a history without a day."""
        return cls(())

    @property
    def first(self) -> date | None:
        """The oldest day; None if there is none."""
        return self.days[0].date if self.days else None

    @property
    def last(self) -> date | None:
        """The newest day; None if there is none."""
        return self.days[-1].date if self.days else None

    def missing(self) -> list[tuple[date, date]]:
        """Return the ranges of missing days between the oldest and the newest day: the first and last day of each."""
        days = [day.date for day in self.days]
        return [(one + ONE_DAY, other - ONE_DAY) for one, other in pairwise(days) if other - one > ONE_DAY]

    def newest(self, days: int) -> History:
        """Return the covered days among the last `days` days up to the newest."""
        if self.last is None:
            return self
        after = self.last - days * ONE_DAY
        return History(tuple(day for day in self.days if day.date > after))

    def short_days(self) -> list[date]:
        """Return the short days that Winnow counts as they are."""
        return [day.date for day in self.days if day.is_short]

    def from_source(self, source: str) -> History:
        """Return this history for a package of another source: each day names the source that it is from."""
        return History(tuple(day._replace(source=day.source or source) for day in self.days))

    def keep_published(self, published: History) -> History:
        """Return this history with the published days that it lacks, so that a lost store removes nothing (R5).

        A published day by the present definition also replaces a day by the older one.
        """
        mine = {day.date: day for day in self.days}
        kept = {
            day.date: day
            for day in published.days
            if day.date not in mine or (day.definition, mine[day.date].definition) == (FILES, REQUESTS)
        }
        return History(tuple(sorted((mine | kept).values()))) if kept else self

    def within(self, other: History) -> History:
        """Return the days that `other` also has."""
        theirs = {day.date for day in other.days}
        return History(tuple(day for day in self.days if day.date in theirs))


class DayMark(NamedTuple):
    """Facts about a day with stored counts."""

    provisional: bool
    definition: Definition = Definition.FILES
    is_short: bool = False


def history_of(counted: Mapping[date, tuple[int | None, ...]], marks: Mapping[date, DayMark]) -> History:
    """Return a package's history over the marked days. A marked day without a count has no downloads."""
    return History(
        tuple(
            Day(day, mark.provisional, counted.get(day, NO_DOWNLOADS), mark.definition, mark.is_short)
            for day, mark in sorted(marks.items())
        )
    )
