"""One fetch: what days lack is asked of the source, under the store's lock, and each answer is stored as it comes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.completeness import days_to_judge, is_read_anyway, judge_days
from winnow_dagster.core.coverage import Failure, Reading, Request
from winnow_dagster.core.planning import contiguous, plan_requests
from winnow_dagster.core.verdicts import describe_short
from winnow_dagster.sources.interface import NotThereYetError, SourceError
from winnow_dagster.storage.files import make_writable
from winnow_dagster.storage.held import ensure_held
from winnow_dagster.storage.lock import fetching

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from datetime import date

    from winnow_dagster.core.completeness import DayRows, Judgement
    from winnow_dagster.core.coverage import Coverage
    from winnow_dagster.core.names import Selector
    from winnow_dagster.defs.resources import Installation

Answer = Reading | Failure


@dataclass(frozen=True)
class Fetch:
    """Answers of the source that are asked for only while they are iterated over, so that each is stored at once."""

    ask: Callable[[], Iterator[Answer]]

    def __iter__(self) -> Iterator[Answer]:
        """Ask, once more at each iteration."""
        return self.ask()


@dataclass(frozen=True)
class Wanted:
    """What a fetch is to bring up to date. With `refetch`, what is covered is read again too."""

    days: Collection[date]
    selectors: Collection[Selector]
    refetch: bool = False


def fetch(winnow: Installation, wanted: Wanted) -> Iterator[Answer]:
    """Ask for what days lack while holding the store's lock; it is free again once the last answer was stored.

    A short day is not read. Raises StorageError and NotOursError before anything is asked, and SourceError, once each
    failure is stored, where the source answers nothing at all.
    """
    with fetching(winnow.settings.store_folder):
        winnow.raw.tidy()
        stored = winnow.trusted(winnow.raw.coverages(wanted.days), once_a_day=True)
        requests = _plan(winnow, wanted, stored, winnow.source_rows.load())
        if requests:
            # What cannot be stored or published should not be paid for.
            for folder in (winnow.settings.output_dir, winnow.settings.data_dir):
                make_writable(folder)
            winnow.ownership.claim()
        told: set[tuple[Selector, date]] = set()
        has_read = False
        try:
            for answer in _answers(winnow, wanted, stored, requests):
                yield answer
                winnow.on_answer(answer)
                has_read |= isinstance(answer, Reading)
                told.update((request.selector, day) for request in answer.requests for day in request.days())
                # What is paid for is stored by now, and another asks for the rest.
                ensure_held()
        except SourceError as error:
            for request in requests:
                if any((request.selector, day) not in told for day in request.days()):
                    yield Failure(request, str(error))
            if not has_read:
                raise


def _answers(
    winnow: Installation, wanted: Wanted, stored: Mapping[date, Coverage], requests: Iterable[Request]
) -> Iterator[Answer]:
    """Yield a failure for each request for a short day, and what the source answers to the others."""
    source_days = _SourceDays(winnow)
    source_days.ask(_days_in_question(winnow, wanted, stored, requests))
    whole, short = source_days.split(_plan(winnow, wanted, stored, source_days.rows))
    yield from short
    yield from map(source_days.note, winnow.source.read(whole) if whole else ())
    if short and not whole and winnow.waits:
        raise NotThereYetError("; ".join(dict.fromkeys(failure.reason for failure in short)))


def _plan(
    winnow: Installation, wanted: Wanted, stored: Mapping[date, Coverage], rows: Mapping[date, DayRows]
) -> list[Request]:
    reader = replace(winnow.reader, rows=rows)
    return plan_requests(wanted.days, wanted.selectors, stored, reader, refetch=wanted.refetch)


def _days_in_question(
    winnow: Installation, wanted: Wanted, stored: Mapping[date, Coverage], requests: Iterable[Request]
) -> set[date]:
    """Return the days whose number of rows decides about what is read: those of requests, and marked ones."""
    reader = replace(winnow.reader, rows=winnow.source_rows.load())
    marked = {
        day
        for day, coverage in stored.items()
        if any(reader.has_to_ask_for_rows(day, coverage, selector) for selector in wanted.selectors)
    }
    return marked.union(*(request.days() for request in requests))


class _SourceDays:
    """How many rows the source has of each day, and which days are short by that."""

    def __init__(self, winnow: Installation) -> None:
        self._winnow = winnow
        self._now = winnow.clock.now()
        self.rows: Mapping[date, DayRows] = {}
        self._judged: Mapping[date, Judgement] = {}
        self._told: Collection[date] = ()
        """Of which days the source has told its number of rows just now."""

    def ask(self, days: Collection[date]) -> None:
        """Ask the source for what decides about these days. Raises SourceError."""
        rows = self._winnow.source.day_rows(*days_to_judge(days)) if days else {}
        self._told = rows.keys()
        self._learn(rows)

    def _learn(self, rows: Mapping[date, int]) -> None:
        self.rows = self._winnow.source_rows.update(rows, self._now)
        self._judged = judge_days({day: known.rows for day, known in self.rows.items()})

    def split(self, requests: Iterable[Request]) -> tuple[list[Request], list[Failure]]:
        """Split requests into those to send, and a failure for each short day."""
        whole: list[Request] = []
        short: list[Failure] = []
        for request in requests:
            withheld = [day for day in request.days() if self._is_withheld(day)]
            short += [self._failure(replace(request, first=day, last=day)) for day in withheld]
            runs = contiguous(day for day in request.days() if day not in withheld)
            whole += [replace(request, first=run[0], last=run[-1]) for run in runs]
        return whole, short

    def note(self, answer: Answer) -> Answer:
        """Return a reading with what is known of its days. A scan of everything that turns out short is a failure."""
        if isinstance(answer, Failure):
            return answer
        days = {day for request in answer.requests for day in request.days()}
        if any(request.selector.is_all for request in answer.requests) and days.isdisjoint(self._told):
            # The source cannot tell; the scan tells its own number of rows, and an earlier scan's may be outdated.
            counted = answer.counts.group_by("date").agg(pl.col("downloads").sum())
            self._learn(dict.fromkeys(days, 0) | dict(counted.iter_rows()))
            if withheld := [day for day in days if self._is_withheld(day)]:
                return self._failure(replace(answer.requests[0], first=withheld[0], last=withheld[0]))
        judged = {day: self._judged[day] for day in days if day in self._judged}
        return replace(
            answer,
            source_rows={day: judgement.rows for day, judgement in judged.items()},
            short_days=frozenset(day for day, judgement in judged.items() if judgement.is_short),
        )

    def _is_withheld(self, day: date) -> bool:
        return day in self._judged and self._judged[day].is_short and not is_read_anyway(day, self._now)

    def _failure(self, request: Request) -> Failure:
        return Failure(request, describe_short(request.last, self._judged[request.last]), is_short=True)
