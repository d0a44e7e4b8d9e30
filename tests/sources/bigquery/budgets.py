"""Requests, and budgets for them."""

from __future__ import annotations

from datetime import UTC, date, datetime

from winnow_dagster.core.billing import GB, MB
from winnow_dagster.core.coverage import ONE_DAY, Request
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.bigquery.billing import Figures
from winnow_dagster.sources.bigquery.budget import Budget, BudgetConfig
from winnow_dagster.sources.bigquery.query import CountQuery

NOW = datetime(2026, 11, 27, 4, tzinfo=UTC)
DAY = NOW.date() - ONE_DAY
OLD = LAST_MIXED_DAY - 100 * ONE_DAY
FIGURES = Figures(package_day_bytes=100 * MB, scan_day_bytes=100 * GB)
PYTHON = ("python",)


def ask(
    name: str = "a",
    days: int = 1,
    last: date = DAY,
    *,
    is_reread: bool = False,
    is_recount: bool = False,
    by: tuple[str, ...] = (),
) -> Request:
    return Request(Selector.parse(name), last - (days - 1) * ONE_DAY, last, is_reread, is_recount, by)


def configured(*names: str, settling: bool = False, by: tuple[str, ...] = ()) -> BudgetConfig:
    windows = {Selector.parse(name): 30 for name in names}
    return BudgetConfig(windows, frozenset(windows if settling else ()), dimensions=dict.fromkeys(windows, by))


def budget(
    size: float | None,
    *names: str,
    settling: bool = False,
    spent: float = 0,
    strategy: str = "auto",
    by: tuple[str, ...] = (),
) -> Budget:
    return Budget(size, spent, FIGURES, strategy, configured(*names, settling=settling, by=by))


def query_of(request: Request) -> CountQuery:
    return CountQuery([request], "per_package")
