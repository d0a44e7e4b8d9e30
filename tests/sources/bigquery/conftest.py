"""Fixtures of the BigQuery source: a fake service, a ledger, and a source that uses both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.fake_bigquery import Service, fake
from tests.rows import row
from winnow_dagster import credentials
from winnow_dagster.core.coverage import Failure, Reading, Request
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.bigquery.budget import BudgetConfig
from winnow_dagster.sources.bigquery.jobs import RetryPolicy
from winnow_dagster.sources.bigquery.settings import EMULATOR_VARIABLE, BigQuerySettings
from winnow_dagster.sources.bigquery.source import BigQuerySource
from winnow_dagster.store.ledger import Ledger

DAY = date(2025, 6, 30)
NEW = date(2026, 9, 30)
ROW = row(DAY, "a", downloads=7)
RETRY = RetryPolicy(tries=3, initial=0.01, maximum=0.02, total=5, call=2)

Make = Callable[..., BigQuerySource]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with fake([ROW]) as service:
        monkeypatch.setenv(EMULATOR_VARIABLE, service.url)
        for name in (credentials.FILE_VARIABLE, credentials.ENCODED_VARIABLE):
            monkeypatch.delenv(name, raising=False)
        yield service


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl")


@pytest.fixture
def make_source(service: Service, ledger: Ledger) -> Make:
    def make(
        *, key: Path | None = None, ledger: Ledger = ledger, budget_bytes: float | None = None, **changes: Any
    ) -> BigQuerySource:
        configured = BudgetConfig(budget_bytes=budget_bytes)
        return BigQuerySource(BigQuerySettings(**changes), key, ledger, RETRY, configured)

    return make


def ask(
    name: str = "a", first: date = DAY, last: date = DAY, *, second: bool = False, by: tuple[str, ...] = ()
) -> Request:
    return Request(Selector.parse(name), first, last, second, dimensions=by)


def downloads(answers: Sequence[Reading | Failure]) -> int:
    return sum(int(a.counts["downloads"].sum()) for a in answers if isinstance(a, Reading))


def reasons(answers: Sequence[Reading | Failure]) -> list[str]:
    return [answer.reason for answer in answers if isinstance(answer, Failure)]
