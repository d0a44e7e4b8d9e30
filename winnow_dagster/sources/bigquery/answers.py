"""Validate BigQuery's answers before Winnow counts anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.categories import RAW_SCHEMA
from winnow_dagster.core.coverage import UNNAMED_SCHEMA
from winnow_dagster.core.names import is_name, matches_any

if TYPE_CHECKING:
    from winnow_dagster.core.coverage import Request
    from winnow_dagster.sources.bigquery.query import CountQuery

MAX_DOWNLOADS = 10**16
"""The maximum count in one row of an answer. All of PyPI has 10**10 a day; sums over years still fit 64 bits."""

UNNAMED = "unnamed"


class InvalidResponseError(Exception):
    """An answer has impossible values, so Winnow counts nothing of it."""


def read_answer(frame: pl.DataFrame, query: CountQuery) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the raw counts of an answer (RAW_SCHEMA), and its rows without a file name (UNNAMED_SCHEMA).

    Raises InvalidResponseError.
    """
    if not query.needs_file_names:
        return check_answer(frame, query), pl.DataFrame(schema=UNNAMED_SCHEMA)
    expected = pl.Schema([*RAW_SCHEMA.items(), (UNNAMED, pl.Int64())])
    if frame.schema != expected:
        raise InvalidResponseError(f"BigQuery's answer has the columns {dict(frame.schema)}, not {dict(expected)}")
    is_none = (pl.col("downloads") == 0) & (pl.col(UNNAMED) > 0)
    counts = check_answer(frame.filter(~is_none.fill_null(value=False)).drop(UNNAMED), query)
    unnamed = check_answer(
        frame.filter(pl.col(UNNAMED).ne_missing(0)).drop("downloads").rename({UNNAMED: "downloads"}), query
    )
    rows = unnamed.group_by("date", "package").agg(pl.col("downloads").sum().alias("rows"))
    return counts, rows.sort("date", "package").cast(UNNAMED_SCHEMA)


def check_answer(frame: pl.DataFrame, query: CountQuery) -> pl.DataFrame:
    """Return an answer without invalid package names, which a prefix may select.

    Raises InvalidResponseError unless the answer has the requested columns, packages and days, and possible counts.
    """
    if frame.schema != RAW_SCHEMA:
        raise InvalidResponseError(f"BigQuery's answer has the columns {dict(frame.schema)}, not {dict(RAW_SCHEMA)}")
    if any(request.selector.is_prefix for request in query.requests):
        frame = frame.filter(is_name("package"))
    asked_for = matches_any([request.selector for request in query.requests], "package")
    odd = {
        "a package that was not asked for": frame.filter(~asked_for.fill_null(value=False)),
        "a count twice": frame.filter(frame.select(pl.exclude("downloads")).is_duplicated()),
        "a day that was not asked for": frame.filter(
            ~pl.col("date").is_between(query.first, query.last).fill_null(value=False)
        ),
        "an impossible count": frame.filter(~pl.col("downloads").is_between(1, MAX_DOWNLOADS).fill_null(value=False)),
    }
    for what, rows in odd.items():
        if not rows.is_empty():
            raise InvalidResponseError(
                f"BigQuery's answer holds {what}: {rows.row(0)}. Nothing of it is counted; run again"
            )
    return frame


def keep_requested(frame: pl.DataFrame, requests: list[Request]) -> pl.DataFrame:
    """Return the rows that answer these requests."""
    asked_for = [
        matches_any([request.selector], "package") & pl.col("date").is_between(request.first, request.last)
        for request in requests
    ]
    return frame.filter(pl.any_horizontal(asked_for))
