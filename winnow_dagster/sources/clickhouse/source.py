"""Raw counts from a ClickHouse table: one package at a time, over ranges of days that fit the server's limits."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from winnow_dagster.core.completeness import LOOK_BACK_DAYS
from winnow_dagster.core.coverage import ONE_DAY, Cost, Failure, Reading, days_between, describe_requests
from winnow_dagster.core.planning import contiguous
from winnow_dagster.sources.clickhouse.answers import ControlRows, read_answer, read_control
from winnow_dagster.sources.clickhouse.causes import CLICKHOUSE
from winnow_dagster.sources.clickhouse.client import Connection, WaitPolicy, connect
from winnow_dagster.sources.clickhouse.completeness import (
    TOO_EARLY,
    complete_rows,
    newest_usable_day,
    refuse_days,
)
from winnow_dagster.sources.clickhouse.errors import CLICKHOUSE_ERRORS, cause_of, describe, source_error
from winnow_dagster.sources.clickhouse.query import MAX_DAYS, CountQuery, control_query, make_smaller, split_days
from winnow_dagster.sources.clickhouse.settings import FIRST_DAY
from winnow_dagster.sources.interface import IncompleteDaysError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.coverage import Request
    from winnow_dagster.sources.clickhouse.answers import Answer
    from winnow_dagster.sources.clickhouse.settings import ClickHouseSettings

logger = logging.getLogger(__name__)


class ClickHouseSource:
    """Reads the configured table. Sends one query at a time, since many people share the public server."""

    def __init__(self, settings: ClickHouseSettings, policy: WaitPolicy | None = None) -> None:
        """Take the settings. Each method connects by itself."""
        self._settings = settings
        self._policy = policy or WaitPolicy()
        self._seen: dict[date, int] = {}
        self._newest_seen: date | None = None

    def read(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:
        """Yield the answers of each request. Raises SourceError, and IncompleteDaysError if no day is complete yet."""
        if not requests:
            return
        absent: list[Failure] = []
        has_answered = False
        with connect(self._settings, self._policy) as connection:
            for request in requests:
                for answer, is_absent in self._read(connection, request):
                    if is_absent and isinstance(answer, Failure):
                        absent.append(answer)
                    else:
                        has_answered = True
                        yield answer
        if absent and not has_answered:
            raise IncompleteDaysError(absent[0].reason)
        yield from absent

    def recover(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:  # noqa: ARG002 - the interface's
        """Yield nothing: this source is free."""
        return iter(())

    def newest_day(self, today: date) -> date | None:
        """Return the newest day before `today` that is complete and has its CI flags."""
        return newest_usable_day(self._read_control(today - LOOK_BACK_DAYS * ONE_DAY), today)

    def day_rows(self, first: date, last: date) -> Mapping[date, int]:
        """Return the rows of the control package on each complete day."""
        first = max(first, FIRST_DAY)
        return complete_rows(self._read_control(first), days_between(first, last)) if first <= last else {}

    def _read_control(self, first: date) -> ControlRows:
        """Return the rows of the control package since a day. Raises SourceError."""
        s = self._settings
        given = {"control": s.control, "first": max(first, FIRST_DAY)}
        with connect(s, self._policy) as connection:
            try:
                found = read_control(connection.ask(control_query(s.database, s.table), given))
            except CLICKHOUSE_ERRORS as error:
                raise source_error(error) from None
        self._remember(found)
        return found

    def _remember(self, control: ControlRows) -> None:
        """Remember the most rows that any replica had, so that an answer of one that is behind is refused."""
        for day, rows in control.by_day.items():
            self._seen[day] = max(rows, self._seen.get(day, 0))
        self._newest_seen = max((d for d in (control.newest, self._newest_seen) if d), default=None)

    def _read(self, connection: Connection, request: Request) -> Iterator[tuple[Reading | Failure, bool]]:
        """Yield the answers of a request, each with whether it fails because the copy is not loaded that far."""
        if request.first < FIRST_DAY:
            yield Failure(replace(request, last=min(request.last, FIRST_DAY - ONE_DAY)), TOO_EARLY), False
        if request.last < FIRST_DAY:
            return
        # The newest days first: a short run still renews the newest numbers.
        waiting = split_days(replace(request, first=max(request.first, FIRST_DAY)), MAX_DAYS)
        while waiting:
            part = waiting.pop()
            query = CountQuery(part, self._settings.control)
            try:
                answer = self._ask(connection, query)
            except CLICKHOUSE_ERRORS as error:
                cause = cause_of(error)
                if cause.fails_every_query:
                    raise source_error(error) from None
                smaller = make_smaller(part) if cause is CLICKHOUSE["too_large"] else []
                waiting += smaller
                if not smaller:
                    yield Failure(part, describe(error), cause.is_transient), False
                continue
            self._remember(answer.control)
            yield from self._judge(query, answer)

    def _ask(self, connection: Connection, query: CountQuery) -> Answer:
        text, what = query.text(self._settings.database, self._settings.table), describe_requests([query.request])
        logger.info("ClickHouse is asked for %s", what)
        rows = connection.ask(text, query.parameters())
        logger.info("ClickHouse has answered for %s: %d rows", what, len(rows))
        return read_answer(rows, query)

    def _judge(self, query: CountQuery, answer: Answer) -> Iterator[tuple[Reading | Failure, bool]]:
        """Yield a reading of the days that Winnow may count, and a failure for each run of other days."""
        days = query.request.days()
        refused = refuse_days(days, answer, self._seen, self._newest_seen, self._settings.control)
        good = [day for day in days if day not in refused]
        # The answer has no dimension that the table lacks.
        request = replace(query.request, dimensions=query.dimensions)
        if good:
            yield _reading(_runs(request, good), good, answer), False
        for refusal in dict.fromkeys(refused.values()):
            for part in _runs(query.request, [day for day in days if refused.get(day) == refusal]):
                yield Failure(part, refusal.reason, refusal.is_transient), refusal.is_absent


def _reading(requests: Sequence[Request], days: Sequence[date], answer: Answer) -> Reading:
    counts, breakdowns = (frame.filter(frame["date"].is_in(days)) for frame in (answer.counts, answer.breakdowns))
    rows = {day: answer.control.by_day[day] for day in days}
    return Reading(requests, counts, Cost(1), breakdowns=breakdowns, source_rows=rows)


def _runs(request: Request, days: Sequence[date]) -> list[Request]:
    return [replace(request, first=run[0], last=run[-1]) for run in contiguous(days)]
