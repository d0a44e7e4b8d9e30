"""The source's answers, until they are merged into their days."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from winnow_dagster.core.coverage import ReadingFacts
from winnow_dagster.core.dimensions import in_order
from winnow_dagster.core.requested import breakdowns_asked_for, rows_asked_for, sum_by_request

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date, datetime

    import polars as pl

    from winnow_dagster.core.coverage import Coverage, Failure, Reading, Request
    from winnow_dagster.core.names import Selector


@dataclass(frozen=True)
class WaitingAnswer:
    """An answer that is stored but not yet merged into its days. The caller keeps its counts."""

    requests: tuple[Request, ...]
    at: datetime
    """When the source was read, or the request failed. It differs from the stamps of the readings that it replaces."""

    facts: Mapping[date, Mapping[Selector, ReadingFacts]] = field(default_factory=dict)
    """The facts about each reading, by day and selector; none if the request failed."""

    superseded: Mapping[date, Mapping[Selector, datetime]] = field(default_factory=dict)
    """The readings that had a later stamp when this answer arrived, because some clock was ahead."""

    failure: str | None = None
    """Why the request failed. None if it succeeded, or if Winnow did not send it because the day is short."""

    job_id: str = ""

    def days(self) -> list[date]:
        """Return the days of the requests, oldest first."""
        return sorted({day for request in self.requests for day in request.days()})

    def has_superseded(self, selector: Selector, at: datetime, day: date) -> bool:
        """Return whether this answer has replaced a reading with a later stamp."""
        superseded = self.superseded.get(day, {})
        covers = any(other.covers(selector) for other in self.facts.get(day, ()))
        return bool(superseded) and (covers or superseded.get(selector) == at)


def answer_from_reading(
    reading: Reading, at: datetime, stored: Mapping[date, Coverage]
) -> tuple[WaitingAnswer, pl.DataFrame, pl.DataFrame]:
    """Return a reading as an answer to merge, and the counts and breakdowns that its requests ask for.

    `stored`: the coverage of its days before this reading.
    """
    asked: dict[date, dict[Selector, tuple[str, ...]]] = defaultdict(dict)
    for request in reading.requests:
        for day in request.days():
            asked[day][request.selector] = in_order((*asked[day].get(request.selector, ()), *request.dimensions))
    counts = reading.counts.filter(rows_asked_for(reading.requests))
    downloads = sum_by_request(counts, "downloads", reading.requests)
    unnamed = sum_by_request(reading.unnamed, "rows", reading.requests)
    rows, short = reading.source_rows, reading.short_days
    facts = {
        day: {
            s: ReadingFacts(rows.get(day), downloads.get((day, s), 0), unnamed.get((day, s), 0), day in short, names)
            for s, names in selectors.items()
        }
        for day, selectors in sorted(asked.items())
    }
    at = _distinct(at, asked, stored)
    superseded = _superseded(at, asked, stored)
    answer = WaitingAnswer(tuple(reading.requests), at, facts, superseded, job_id=reading.job_id)
    return answer, counts, reading.breakdowns.filter(breakdowns_asked_for(reading.requests))


def answer_from_failure(failure: Failure, at: datetime, stored: Mapping[date, Coverage]) -> WaitingAnswer:
    """Return a failure as an answer to merge. `stored`: the coverage of its days before this failure."""
    asked = {day: [failure.request.selector] for day in failure.request.days()}
    at = _distinct(at, asked, stored)
    reason = None if failure.is_short else failure.reason
    return WaitingAnswer((failure.request,), at, superseded=_superseded(at, asked, stored), failure=reason)


def _distinct(at: datetime, asked: Mapping[date, Collection[Selector]], stored: Mapping[date, Coverage]) -> datetime:
    """Return a stamp that no reading of these selectors has.

    With equal stamps, Winnow would take the honest counts of one reading for those of the other.
    """
    taken = {stored[day].read.get(s) for day, selectors in asked.items() if day in stored for s in selectors}
    while at in taken:
        at += timedelta(microseconds=1)
    return at


def _superseded(
    at: datetime, asked: Mapping[date, Collection[Selector]], stored: Mapping[date, Coverage]
) -> dict[date, dict[Selector, datetime]]:
    """Return the stamps later than `at` of stored readings that overlap with these selectors."""
    found: dict[date, dict[Selector, datetime]] = {}
    for day, selectors in asked.items():
        newest = stored[day].newest if day in stored else None
        if newest is not None and newest > at:
            found[day] = {
                other: stamp
                for other, stamp in stored[day].read.items()
                if stamp > at and any(other.covers(s) or s.covers(other) for s in selectors)
            }
    return found
