"""Validate ClickHouse's answers, and turn them into raw counts and facts about the days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.categories import RAW_SCHEMA
from winnow_dagster.core.coverage import BREAKDOWN_SCHEMA
from winnow_dagster.core.dimensions import SYSTEM
from winnow_dagster.core.names import is_name, matches_any
from winnow_dagster.sources.clickhouse.settings import CI, LOST_CI, NOT_CI
from winnow_dagster.sources.interface import MAX_DOWNLOADS, InvalidResponseError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from winnow_dagster.sources.clickhouse.query import CountQuery

ANSWER_SCHEMA = pl.Schema(
    {
        "date": pl.Date,
        "newest": pl.Date,
        "package": pl.String,
        "asked": pl.Boolean,
        "dimension": pl.String,
        "value": pl.String,
        "installer": pl.String,
        "ci": pl.String,
        "downloads": pl.Int64,
    }
)
"""The columns of an answer. Rows of the dimension SYSTEM have all downloads; each other dimension has them once more.

Rows that are not `asked` are those of the control package. They have no dimension. A row for the day after the last
stands for all later days, of which `newest` is the newest.
"""


@dataclass(frozen=True)
class ControlRows:
    """The rows of the control package on one replica."""

    by_day: Mapping[date, int]
    lost_ci: Mapping[date, int]
    """The rows among them whose CI flag was lost in a reload, by day."""

    newest: date | None
    """The newest day with a row; None without one."""


@dataclass(frozen=True)
class Answer:
    """The content of an answer."""

    counts: pl.DataFrame
    """Raw counts (RAW_SCHEMA), without rows whose CI flag was lost."""

    breakdowns: pl.DataFrame
    """The same downloads by the query's open dimensions (BREAKDOWN_SCHEMA)."""

    lost_ci: Mapping[date, int]
    """The downloads whose CI flag was lost, by day."""

    control: ControlRows


def read_answer(rows: Sequence[Sequence[object]], query: CountQuery) -> Answer:
    """Return the content of an answer, without invalid names that a prefix may select. Raises InvalidResponseError."""
    frame = _frame(rows, ANSWER_SCHEMA)
    if query.request.selector.is_prefix:
        frame = frame.filter(is_name("package") | ~pl.col("asked"))
    _check(frame, query)
    asked = frame.filter("asked")
    all_downloads = pl.col("dimension") == SYSTEM.name
    has_ci = pl.col("ci") != LOST_CI
    _check_sums(asked, query)
    return Answer(
        _raw_counts(asked.filter(all_downloads, has_ci)),
        _breakdowns(asked.filter(~all_downloads, has_ci)),
        _by_day(asked.filter(all_downloads, ~has_ci)),
        _control_rows(frame.filter(pl.col("package") == query.control, all_downloads | ~pl.col("asked")), query.last),
    )


def read_control(rows: Sequence[Sequence[object]]) -> ControlRows:
    """Return the content of an answer about the control package only. Raises InvalidResponseError."""
    frame = _frame(rows, pl.Schema({"date": pl.Date, "unknown": pl.Int64, "downloads": pl.Int64}))
    if not frame.filter(pl.any_horizontal(pl.all().is_null())).is_empty():
        raise InvalidResponseError("the answer holds a NULL")
    by_day = _by_day(frame)
    unknown = dict(frame.filter(pl.col("unknown") > 0).select("date", "unknown").iter_rows())
    return ControlRows(by_day, unknown, max(by_day, default=None))


def _frame(rows: Sequence[Sequence[object]], schema: pl.Schema) -> pl.DataFrame:
    try:
        columns = list(zip(*rows, strict=True)) or [()] * len(schema)
        return pl.DataFrame(
            [pl.Series(name, values, dtype) for (name, dtype), values in zip(schema.items(), columns, strict=True)]
        )
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise InvalidResponseError(f"the answer does not have the columns {', '.join(schema)} ({error})") from None


def _check(frame: pl.DataFrame, query: CountQuery) -> None:
    """Raise InvalidResponseError unless an answer has only packages, days and dimensions of its query."""
    asked = matches_any([query.request.selector], "package") & pl.col("date").is_between(query.first, query.last)
    asked &= pl.col("dimension").is_in([SYSTEM.name, *query.dimensions]) & (pl.col("newest") == pl.col("date"))
    control = (pl.col("package") == query.control) & (pl.col("date") >= query.first) & (pl.col("dimension") == "")
    odd = {
        "rows that were not asked for": ~pl.when(pl.col("asked")).then(asked).otherwise(control),
        "an unknown CI flag": ~pl.col("ci").is_in([CI, NOT_CI, LOST_CI]),
        "an impossible count": ~pl.col("downloads").is_between(1, MAX_DOWNLOADS),
    }
    for what, condition in odd.items():
        if not (found := frame.filter(condition.fill_null(value=True))).is_empty():
            raise InvalidResponseError(f"the answer holds {what}: {found.row(0)}")
    if frame.select(pl.exclude("downloads", "newest")).is_duplicated().any():
        raise InvalidResponseError("the answer holds a count twice")


def _check_sums(asked: pl.DataFrame, query: CountQuery) -> None:
    """Raise InvalidResponseError unless each dimension has the same downloads."""
    sums = dict(asked.group_by("dimension").agg(pl.col("downloads").sum()).iter_rows())
    found = {name: sums.get(name, 0) for name in (SYSTEM.name, *query.dimensions)}
    if len(set(found.values())) > 1:
        raise InvalidResponseError(f"the dimensions of the answer have different sums: {found}")


def _raw_counts(rows: pl.DataFrame) -> pl.DataFrame:
    counts = rows.with_columns(ci=_ci(), installer=_null_if_not_said("installer"), system=_null_if_not_said("value"))
    return counts.select(RAW_SCHEMA.names()).cast(RAW_SCHEMA)


def _breakdowns(rows: pl.DataFrame) -> pl.DataFrame:
    counts = rows.with_columns(ci=_ci(), installer=_null_if_not_said("installer"), value=pl.col("value").fill_null(""))
    return counts.select(BREAKDOWN_SCHEMA.names()).cast(BREAKDOWN_SCHEMA)


def _ci() -> pl.Expr:
    """Return TRUE or NULL: 'false' means that the client did not say."""
    return pl.when(pl.col("ci") == CI).then(statement=True)


def _null_if_not_said(column: str) -> pl.Expr:
    return pl.when(pl.col(column) != "").then(pl.col(column))


def _by_day(rows: pl.DataFrame) -> dict[date, int]:
    return dict(rows.group_by("date").agg(pl.col("downloads").sum()).sort("date").iter_rows())


def _control_rows(rows: pl.DataFrame, last: date) -> ControlRows:
    in_query = rows.filter(pl.col("date") <= last)
    newest = rows["newest"].max() if rows.height else None
    return ControlRows(_by_day(in_query), _by_day(in_query.filter(pl.col("ci") == LOST_CI)), newest)  # type: ignore[arg-type]  # a date
