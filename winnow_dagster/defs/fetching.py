"""One fetch: ask the source for missing counts, under the fetch lock, and yield each answer as it arrives."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.completeness import days_to_judge, is_read_anyway, judge_days
from winnow_dagster.core.coverage import NOTHING, Failure, Reading, Request
from winnow_dagster.core.planning import contiguous, plan_requests, without_answered, without_read_since
from winnow_dagster.core.verdicts import describe_short
from winnow_dagster.files.locks import fetching
from winnow_dagster.files.operations import make_writable
from winnow_dagster.sources.interface import IncompleteDaysError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import date, datetime

    from winnow_dagster.core.completeness import DayRows, Judgement
    from winnow_dagster.core.coverage import Coverage
    from winnow_dagster.core.names import Selector
    from winnow_dagster.defs.resources import Installation
    from winnow_dagster.files.held import Lock
    from winnow_dagster.sources.interface import Source

logger = logging.getLogger(__name__)

Answer = Reading | Failure


@dataclass(frozen=True)
class Fetch:
    """The source's answers. Iteration sends the requests, so the caller can store each answer at once."""

    ask: Callable[[], Iterator[Answer]]

    def __iter__(self) -> Iterator[Answer]:
        """Send the requests. Each iteration sends them again."""
        return self.ask()


@dataclass(frozen=True)
class FetchScope:
    """The days and selectors to fetch."""

    days: Collection[date]
    selectors: Collection[Selector]
    refetch: bool | datetime = False
    """Whether to re-read covered days too; if it is a moment, only what was last read before it."""

    backfill: frozenset[str] = frozenset()
    """Open dimensions for which covered days are re-read if they lack them."""


def fetch(winnow: Installation, wanted: FetchScope) -> Iterator[Answer]:
    """Fetch missing counts under the fetch lock. Release the lock after the answers are merged into the days.

    Winnow does not read short days. Raises StorageError and NotOursError before it sends a request. If the source
    answers nothing at all, raises SourceError after the caller has stored each failure.
    """
    with fetching(winnow.settings.store_folder) as lease:
        winnow.raw.clean_up()
        # The answers that a dead run left behind.
        winnow.raw.merge()
        try:
            yield from _ask(winnow, wanted, lease)
        except SourceError:
            _merge(winnow, lease)
            raise
        _merge(winnow, lease)


def _merge(winnow: Installation, lease: Lock) -> None:
    """Merge the answers, unless another process has taken over the lock: then that one merges them."""
    lease.ensure_held()
    winnow.raw.merge()


def _ask(winnow: Installation, wanted: FetchScope, lease: Lock) -> Iterator[Answer]:
    stored = winnow.judge.trusted(winnow.raw.coverages(wanted.days), once_a_day=True)
    requests = _plan(winnow, wanted, stored, winnow.source_rows.load())
    if requests:
        # Do not pay for counts that Winnow cannot store or publish.
        for folder in (winnow.settings.output_dir, winnow.settings.data_dir):
            make_writable(folder)
        winnow.ownership.claim()
    answered: set[tuple[Selector, date]] = set()
    has_read = False
    try:
        for answer in _answers(winnow, wanted, stored, requests):
            yield answer
            winnow.on_answer(answer)
            has_read |= isinstance(answer, Reading)
            answered.update((request.selector, day) for request in answer.requests for day in request.days())
            # The caller has stored this answer. If another process has the lock now, it asks for the rest.
            lease.ensure_held()
    except SourceError as error:
        for request in requests:
            if any((request.selector, day) not in answered for day in request.days()):
                yield Failure(request, str(error))
        if not has_read:
            raise


def _answers(
    winnow: Installation, wanted: FetchScope, stored: Mapping[date, Coverage], requests: Iterable[Request]
) -> Iterator[Answer]:
    """Yield recovered answers, then a failure for each short day, then the answers to all other requests."""
    source_days = _SourceDays(winnow)
    answered: list[Request] = []
    # Recover paid answers before any query that costs, such as the one for the numbers of rows.
    for answer in winnow.source.recover(list(requests)) if requests else ():
        # A run that died just after it stored the answer to a query did not enter the query's end.
        fresh = _without_read_since(winnow, answer, stored)
        if fresh.requests:
            answered += fresh.requests
            yield from source_days.note(fresh)
    source_days.ask(_days_in_question(winnow, wanted, stored, without_answered(requests, answered)))
    planned = _plan(winnow, wanted, stored, source_days.rows)
    whole, short = source_days.split(without_answered(planned, answered))
    _warn_of_lost_rows(winnow, wanted, stored, source_days.rows)
    yield from short
    for answer in _read(winnow.source, whole):
        yield from source_days.note(answer)
    if short and not whole and winnow.waits:
        raise IncompleteDaysError("; ".join(dict.fromkeys(failure.reason for failure in short)))


def _read(source: Source, requests: Sequence[Request]) -> Iterator[Answer]:
    """Read `*` first if entries of their own have dimensions that it lacks, so that theirs is the later reading."""
    dimensions = {name for request in requests for name in request.dimensions}
    wide = [r for r in requests if r.selector.is_all and not dimensions <= set(r.dimensions)]
    rest = [r for r in requests if r not in wide]
    try:
        yield from source.read(wide) if wide else ()
    except SourceError:
        # It refuses `*`, perhaps for its price. The others may be read all the same.
        yield from source.read(rest) if rest else ()
        raise
    yield from source.read(rest) if rest else ()


def _without_read_since(winnow: Installation, answer: Answer, stored: Mapping[date, Coverage]) -> Answer:
    """Return an answer without the days that were read at the same time or later: a re-read asks for newer rows."""
    if isinstance(answer, Failure) or answer.read_at is None:
        return answer
    return replace(answer, requests=without_read_since(answer.requests, answer.read_at, stored, winnow.reader))


def _warn_of_lost_rows(
    winnow: Installation, wanted: FetchScope, stored: Mapping[date, Coverage], rows: Mapping[date, DayRows]
) -> None:
    """Warn of each day that a refetch skips because the source has lost rows of it."""
    reader = replace(winnow.reader, rows=rows)
    for day, coverage in stored.items() if wanted.refetch else ():
        if any(reader.has_lost_rows(day, coverage, selector) for selector in wanted.selectors):
            logger.warning(
                "%s is not read again: the source has fewer rows of it than at the last reading. Its counts stay", day
            )


def _plan(
    winnow: Installation, wanted: FetchScope, stored: Mapping[date, Coverage], rows: Mapping[date, DayRows]
) -> list[Request]:
    reader = replace(winnow.reader, rows=rows, backfill=wanted.backfill, uncounted=_uncounted(winnow, stored))
    if wanted.backfill:
        stored = winnow.raw.without_lost_breakdowns(stored)
    return plan_requests(wanted.days, wanted.selectors, stored, reader, refetch=wanted.refetch)


def _uncounted(winnow: Installation, stored: Mapping[date, Coverage]) -> frozenset[date]:
    """Return the days of which a prefix or `*` was read and not counted."""
    wide = {day: [(s, at) for s, at in coverage.read.items() if s.is_prefix] for day, coverage in stored.items()}
    honest = winnow.honest.coverages([day for day, readings in wide.items() if readings])
    return frozenset(
        day for day, readings in wide.items() for s, at in readings if honest.get(day, NOTHING).read.get(s) != at
    )


def _days_in_question(
    winnow: Installation, wanted: FetchScope, stored: Mapping[date, Coverage], requests: Iterable[Request]
) -> set[date]:
    """Return the days whose numbers of rows decide what to read: those of requests, and those marked as short."""
    reader = replace(winnow.reader, rows=winnow.source_rows.load())
    marked = {
        day
        for day, coverage in stored.items()
        if any(reader.has_to_ask_for_rows(day, coverage, selector) for selector in wanted.selectors)
    }
    return marked.union(*(request.days() for request in requests))


class _SourceDays:
    """The number of rows that the source has of each day, and the days that are short."""

    def __init__(self, winnow: Installation) -> None:
        self._winnow = winnow
        self._now = winnow.clock.now()
        self.rows: Mapping[date, DayRows] = winnow.source_rows.load()
        self._judged = self._judge()
        self._told: Collection[date] = ()
        """The days whose number of rows the source has reported in this fetch."""

    def ask(self, days: Collection[date]) -> None:
        """Ask the source for the numbers of rows that Winnow needs to judge these days. Raises SourceError."""
        rows = self._winnow.source.day_rows(*days_to_judge(days)) if days else {}
        self._told = rows.keys()
        self._learn(rows)

    def _learn(self, rows: Mapping[date, int]) -> None:
        self.rows = self._winnow.source_rows.update(rows, self._now)
        self._judged = self._judge()

    def _judge(self) -> Mapping[date, Judgement]:
        rows = {day: known.rows for day, known in self.rows.items()}
        return judge_days(rows, self._winnow.settings.source.counted_rows)

    def split(self, requests: Iterable[Request]) -> tuple[list[Request], list[Failure]]:
        """Split requests into requests to send, and a failure for each short day."""
        whole: list[Request] = []
        short: list[Failure] = []
        for request in requests:
            withheld = [day for day in request.days() if self._is_withheld(day)]
            short += [self._failure(replace(request, first=day, last=day)) for day in withheld]
            runs = contiguous(day for day in request.days() if day not in withheld)
            whole += [replace(request, first=run[0], last=run[-1]) for run in runs]
        return whole, short

    def note(self, answer: Answer) -> Iterator[Answer]:
        """Yield an answer with the facts about its days, and a failure for each day that a scan shows to be short."""
        if isinstance(answer, Failure):
            yield answer
            return
        days = {day for request in answer.requests for day in request.days()}
        if any(request.selector.is_all for request in answer.requests) and days.isdisjoint(self._told):
            # The source does not report rows. The scan counts them, and an earlier scan's number may be outdated.
            counted = answer.counts.group_by("date").agg(pl.col("downloads").sum())
            self._learn(dict.fromkeys(days, 0) | dict(counted.iter_rows()))
            whole, short = self.split(answer.requests)
            yield from short
            if not whole:
                return
            answer = replace(answer, requests=whole)
        judged = {day: self._judged[day] for day in days if day in self._judged}
        yield replace(
            answer,
            source_rows={day: judgement.rows for day, judgement in judged.items()},
            short_days=frozenset(day for day, judgement in judged.items() if judgement.is_short),
        )

    def _is_withheld(self, day: date) -> bool:
        # A number of rows from another day, such as from a scan, is no reason not to ask today.
        is_fresh = day in self.rows and self.rows[day].asked.date() == self._now.date()
        return is_fresh and self._judged[day].is_short and not is_read_anyway(day, self._now)

    def _failure(self, request: Request) -> Failure:
        return Failure(request, describe_short(request.last, self._judged[request.last]), is_short=True)
