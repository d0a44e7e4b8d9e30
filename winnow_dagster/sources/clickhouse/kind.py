"""ClickHouse's entry in the table of kinds. Imports the client only when it opens the source."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from winnow_dagster.core.dimensions import OPEN_DIMENSIONS, USUAL_BREAKDOWNS
from winnow_dagster.core.reader_query import ReaderQuery
from winnow_dagster.sources.clickhouse.query import query_for_readers
from winnow_dagster.sources.clickhouse.settings import (
    COLUMNS,
    DATABASE,
    FIRST_DAY,
    HOST,
    NO_KERNELS,
    NOT_CI,
    REMARKS,
    TABLE,
    USER,
    ClickHouseSection,
    ClickHouseSettings,
)
from winnow_dagster.sources.interface import Kind

if TYPE_CHECKING:
    from winnow_dagster.sources.interface import Source, SourceContext


def _open(settings: ClickHouseSettings, context: SourceContext) -> Source:
    del context
    # No other source needs the client.
    from winnow_dagster.sources.clickhouse.source import ClickHouseSource  # noqa: PLC0415

    return ClickHouseSource(settings)


def _find_problems(settings: ClickHouseSettings, context: SourceContext) -> list[str]:
    del context
    variable = settings.password_env
    if not variable or variable in os.environ:
        return []
    return [f"source.password_env: the environment has no variable {variable}. Set it to the password"]


def _identify(settings: ClickHouseSettings, context: SourceContext) -> str:
    del context
    return f"user {settings.user}" + (", which is public" if settings.is_public else f" at {settings.host}")


def _address(settings: ClickHouseSettings) -> str:
    return f"{'https' if settings.secure else 'http'}://{settings.host}:{settings.port}"


CLICKHOUSE = Kind(
    name=ClickHouseSettings.kind,
    section=ClickHouseSection,
    open=_open,
    summary="ClickPy's public copy of PyPI's log; free, without an account",
    problems=_find_problems,
    identify=_identify,
    address=_address,
    # Few runs at a time: many people share the public server.
    pool="winnow_clickhouse",
    open_dimensions=tuple(name for name in OPEN_DIMENSIONS if name in COLUMNS),
    usual_breakdowns=USUAL_BREAKDOWNS,
    first_day=FIRST_DAY,
    reader_query=ReaderQuery(
        f"{DATABASE}.{TABLE} at {HOST}",
        f"At ClickPy's public server {HOST}, as user {USER}",
        query_for_readers,
        honest_ci=NOT_CI,
    ),
    remarks=(*REMARKS, NO_KERNELS),
    why_not_all="a whole day has more rows than ClickPy's server reads in one query. List packages or prefixes, or use "
    "kind bigquery",
)
