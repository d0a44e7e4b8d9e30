"""Validate BigQuery's answers before Winnow counts anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from winnow_dagster.core.categories import RAW_SCHEMA
from winnow_dagster.core.coverage import BREAKDOWN_SCHEMA, UNNAMED_SCHEMA
from winnow_dagster.core.names import is_name, matches_any
from winnow_dagster.sources.interface import MAX_DOWNLOADS, InvalidResponseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from winnow_dagster.core.coverage import Request
    from winnow_dagster.sources.bigquery.query import CountQuery

UNNAMED = "unnamed"


class Answer(NamedTuple):
    """A validated answer."""

    counts: pl.DataFrame
    """The raw counts (RAW_SCHEMA)."""

    unnamed: pl.DataFrame
    """The rows without a file name (UNNAMED_SCHEMA)."""

    breakdowns: pl.DataFrame
    """The raw counts by each dimension that the query asks for (BREAKDOWN_SCHEMA)."""

    def keep_requested(self, requests: list[Request]) -> Answer:
        """Return the rows that answer these requests."""
        return Answer(*(_keep_requested(frame, requests) for frame in self))


def read_answer(frame: pl.DataFrame, query: CountQuery) -> Answer:
    """Return the parts of an answer. Raises InvalidResponseError."""
    _check_columns(frame, _schema_of(query))
    unnamed = pl.DataFrame(schema=UNNAMED_SCHEMA)
    if query.needs_file_names:
        unnamed = _read_unnamed(frame, query)
        is_none = (pl.col("downloads") == 0) & (pl.col(UNNAMED) > 0)
        frame = frame.filter(~is_none.fill_null(value=False)).drop(UNNAMED)
    if not query.dimensions:
        return Answer(check_answer(frame, query), unnamed, pl.DataFrame(schema=BREAKDOWN_SCHEMA))
    is_headline = pl.col("dimension").is_null()
    counts = check_answer(frame.filter(is_headline).select(RAW_SCHEMA.names()), query)
    breakdowns = check_breakdowns(frame.filter(~is_headline).select(BREAKDOWN_SCHEMA.names()), counts, query)
    return Answer(counts, unnamed, breakdowns)


def _schema_of(query: CountQuery) -> pl.Schema:
    *keys, downloads = RAW_SCHEMA.items()
    breakdown = [("dimension", pl.String()), ("value", pl.String())] if query.dimensions else []
    return pl.Schema([*keys, *breakdown, downloads, *([(UNNAMED, pl.Int64())] if query.needs_file_names else [])])


def _read_unnamed(frame: pl.DataFrame, query: CountQuery) -> pl.DataFrame:
    """Return the rows without a file name. Breakdowns repeat the same rows."""
    headline = frame.filter(pl.col("dimension").is_null()) if query.dimensions else frame
    rows = headline.filter(pl.col(UNNAMED).ne_missing(0)).drop("downloads").rename({UNNAMED: "downloads"})
    counts = check_answer(rows.select(RAW_SCHEMA.names()), query)
    found = counts.group_by("date", "package").agg(pl.col("downloads").sum().alias("rows"))
    return found.sort("date", "package").cast(UNNAMED_SCHEMA)


def check_answer(frame: pl.DataFrame, query: CountQuery) -> pl.DataFrame:
    """Return raw counts without invalid package names, which a prefix may select.

    Raises InvalidResponseError unless they have the requested columns, packages and days, and are possible.
    """
    _check_columns(frame, RAW_SCHEMA)
    return _check_rows(frame, query)


def check_breakdowns(frame: pl.DataFrame, counts: pl.DataFrame, query: CountQuery) -> pl.DataFrame:
    """Return breakdowns without invalid package names, which a prefix may select.

    Raises InvalidResponseError unless they are possible, and each requested dimension sums to the counts.
    """
    frame = _check_rows(frame, query)
    keys = ["dimension", "date", "package", "installer", "ci"]
    asked = pl.DataFrame({"dimension": query.dimensions}, schema={"dimension": pl.String})
    expected = asked.join(counts, how="cross").select(*keys, -pl.col("downloads"))
    sums = pl.concat([frame.select(*keys, "downloads"), expected]).group_by(keys).agg(pl.col("downloads").sum())
    _refuse({
        "a breakdown that was not asked for": frame.filter(~pl.col("dimension").is_in(query.dimensions)),
        "a breakdown without a value": frame.filter(pl.col("value").is_null()),
        "a breakdown that does not sum to its counts": sums.filter(pl.col("downloads") != 0),
    })  # fmt: skip
    return frame


def _check_columns(frame: pl.DataFrame, expected: pl.Schema) -> None:
    if frame.schema != expected:
        raise InvalidResponseError(f"BigQuery's answer has the columns {dict(frame.schema)}, not {dict(expected)}")


def _check_rows(frame: pl.DataFrame, query: CountQuery) -> pl.DataFrame:
    if any(request.selector.is_prefix for request in query.requests):
        frame = frame.filter(is_name("package"))
    asked_for = matches_any([request.selector for request in query.requests], "package")
    _refuse({
        "a package that was not asked for": frame.filter(~asked_for.fill_null(value=False)),
        "a count twice": frame.filter(frame.select(pl.exclude("downloads")).is_duplicated()),
        "a day that was not asked for": frame.filter(
            ~pl.col("date").is_between(query.first, query.last).fill_null(value=False)
        ),
        "an impossible count": frame.filter(~pl.col("downloads").is_between(1, MAX_DOWNLOADS).fill_null(value=False)),
    })  # fmt: skip
    return frame


def _refuse(odd: Mapping[str, pl.DataFrame]) -> None:
    for what, rows in odd.items():
        if not rows.is_empty():
            raise InvalidResponseError(
                f"BigQuery's answer holds {what}: {rows.row(0)}. Nothing of it is counted; run again"
            )


def _keep_requested(frame: pl.DataFrame, requests: list[Request]) -> pl.DataFrame:
    asked_for = [
        matches_any([request.selector], "package") & pl.col("date").is_between(request.first, request.last)
        for request in requests
    ]
    return frame.filter(pl.any_horizontal(asked_for))
