"""Fixtures of the ClickHouse source: the real engine behind a server, and a source that reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import pytest

from tests.clickhouse_service import Engine, Service, serve
from winnow_dagster.core.coverage import Failure, Reading, Request
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.clickhouse.client import WaitPolicy
from winnow_dagster.sources.clickhouse.settings import ClickHouseSettings
from winnow_dagster.sources.clickhouse.source import ClickHouseSource

FIRST = date(2026, 10, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(6)]
LAST = DAYS[-1]
"""The newest loaded day of the `service`. It is not complete."""

CONTROL_ROWS = 200

Make = Callable[..., ClickHouseSource]


@pytest.fixture
def service(chdb_engine: Engine) -> Iterator[Service]:
    """A server whose copy is loaded up to LAST, and which has no package but the control package."""
    chdb_engine.create()
    chdb_engine.insert(DAYS, "twine", CONTROL_ROWS)
    with serve(chdb_engine) as service:
        yield service


@pytest.fixture
def waits() -> list[float]:
    """The seconds that the source has waited."""
    return []


@pytest.fixture
def make_source(service: Service, waits: list[float]) -> Make:
    def make(**changes: Any) -> ClickHouseSource:
        given = {"host": "127.0.0.1", "port": service.port, "secure": False, **changes}
        return ClickHouseSource(ClickHouseSettings(**given), WaitPolicy(sleep=waits.append))

    return make


def ask(name: str = "a", first: date = FIRST, last: date = DAYS[-2], dimensions: tuple[str, ...] = ()) -> Request:
    return Request(Selector.parse(name), first, last, dimensions=dimensions)


def readings(answers: Sequence[Reading | Failure]) -> list[Reading]:
    return [answer for answer in answers if isinstance(answer, Reading)]


def reasons(answers: Sequence[Reading | Failure]) -> dict[date, str]:
    """Return the reason of each day that failed."""
    failures = [answer for answer in answers if isinstance(answer, Failure)]
    return {day: failure.reason for failure in failures for day in failure.request.days()}


def days_read(answers: Sequence[Reading | Failure]) -> list[date]:
    return sorted(day for reading in readings(answers) for request in reading.requests for day in request.days())


def downloads(answers: Sequence[Reading | Failure]) -> dict[date, int]:
    """Return the downloads of each day that was read."""
    found = dict.fromkeys(days_read(answers), 0)
    for reading in readings(answers):
        for row in reading.counts.iter_rows(named=True):
            found[row["date"]] += row["downloads"]
    return found
