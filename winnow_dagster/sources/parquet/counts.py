"""Count the rows of Parquet files: decide which rows are downloads, and of which package."""

from __future__ import annotations

from datetime import datetime, time
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from winnow_dagster.core.categories import RAW_SCHEMA
from winnow_dagster.core.coverage import BREAKDOWN_SCHEMA, UNNAMED_SCHEMA, end_of
from winnow_dagster.core.definition import FILE_ENDINGS, LAST_MIXED_DAY
from winnow_dagster.core.dimensions import DIMENSIONS, OPEN_DIMENSIONS, SEPARATOR, OpenDimension, in_order
from winnow_dagster.core.kernels import OTHER
from winnow_dagster.core.names import is_name, matches_any, normalise
from winnow_dagster.core.requested import rows_asked_for
from winnow_dagster.core.values import NOT_SAID
from winnow_dagster.sources.parquet.schema import FILE_NAME
from winnow_dagster.sources.parquet.survey import UNREADABLE, UnusableFileError, damage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import date

    from winnow_dagster.core.coverage import Request
    from winnow_dagster.core.dimensions import Dimension
    from winnow_dagster.sources.parquet.survey import Survey


class Counted(NamedTuple):
    """The counts of some files."""

    counts: pl.DataFrame
    """Raw counts (RAW_SCHEMA)."""

    unnamed: pl.DataFrame
    """Rows without a file name on days that need one (UNNAMED_SCHEMA)."""

    breakdowns: pl.DataFrame
    """The raw counts by the open dimensions that the requests name (BREAKDOWN_SCHEMA)."""


NO_ROWS = Counted(*(pl.DataFrame(schema=schema) for schema in (RAW_SCHEMA, UNNAMED_SCHEMA, BREAKDOWN_SCHEMA)))


def count_rows(survey: Survey, requests: Sequence[Request], days: AbstractSet[date]) -> Counted:
    """Count the downloads of these days in a file. Raises UnusableFileError.

    The file has the dimensions that the requests name, on all days for which they name them.
    """
    try:
        return _count_rows(survey, requests, days)
    except UNREADABLE as error:
        raise UnusableFileError(damage(error)) from None


def add_up(counted: Sequence[Counted]) -> Counted:
    """Add up the counts of several files."""
    if len(counted) == 1:
        return counted[0]
    return Counted(*(_sum(pl.concat(frames)) for frames in zip(NO_ROWS, *counted, strict=True)))


def _sum(counts: pl.DataFrame) -> pl.DataFrame:
    """Return the sums of the last column by all others."""
    *keys, number = counts.columns
    return counts.group_by(keys).agg(pl.col(number).sum())


def _count_rows(survey: Survey, requests: Sequence[Request], days: AbstractSet[date]) -> Counted:
    values = survey.columns.values
    first, last = min(days), max(days)
    start = datetime.combine(first, time.min, tzinfo=end_of(first).tzinfo)
    dimensions = in_order(name for request in requests for name in request.dimensions)
    rows = (
        survey.scan()
        .filter(values["timestamp"] >= start, values["timestamp"] < end_of(last))
        .select(
            date=values["timestamp"].dt.date(),
            package=_normalised(survey),
            ci=values["details.ci"],
            is_unnamed=_is_unnamed(survey),
            is_download=_is_download(survey),
            **{dimension.name: _value(survey, dimension) for dimension in DIMENSIONS},
            **{name: _open_value(survey, OPEN_DIMENSIONS[name]) for name in dimensions},
        )
        .filter(pl.col("is_download") | pl.col("is_unnamed"), pl.col("date").is_in(sorted(days)))
        .filter(matches_any({request.selector for request in requests}, "package"))
    )
    counts = rows.group_by(*RAW_SCHEMA.names()[:-1], "is_unnamed").agg(downloads=pl.len().cast(pl.Int64))
    # In one call, polars reads the rows once.
    counted, *breakdowns = pl.collect_all([counts, *(_break_down(rows, name, requests) for name in dimensions)])
    unnamed = counted.filter("is_unnamed").group_by("date", "package").agg(rows=pl.col("downloads").sum())
    return Counted(
        counted.filter(~pl.col("is_unnamed")).select(RAW_SCHEMA.names()),
        unnamed,
        pl.concat([BREAKDOWN_SCHEMA.to_frame(), *breakdowns]),
    )


def _break_down(rows: pl.LazyFrame, dimension: str, requests: Iterable[Request]) -> pl.LazyFrame:
    """Return the counts by one dimension of the requests that name it (BREAKDOWN_SCHEMA)."""
    asked = rows_asked_for(request for request in requests if dimension in request.dimensions)
    keys = [name for name in BREAKDOWN_SCHEMA.names()[:-1] if name not in {"dimension", "value"}]
    return (
        rows.filter(~pl.col("is_unnamed"), asked)
        .group_by(*keys, value=dimension)
        .agg(downloads=pl.len().cast(pl.Int64))
        .with_columns(dimension=pl.lit(dimension))
        .select(BREAKDOWN_SCHEMA.names())
    )


def _value(survey: Survey, dimension: Dimension) -> pl.Expr:
    """Return the value of a dimension for stored counts. Without its column it is unknown."""
    value = survey.columns.values.get(dimension.column)
    if value is None:
        return pl.lit(None, pl.String)
    if dimension.pattern:
        value = value.str.extract(dimension.pattern, 0)
    return value.fill_null(NOT_SAID) if dimension.is_later else value


def _open_value(survey: Survey, dimension: OpenDimension) -> pl.Expr:
    """Return the value of an open dimension for stored counts."""
    value = survey.columns.values.get(dimension.column, pl.lit(None, pl.String))
    if dimension.pattern:
        value = value.str.extract(dimension.pattern, 0)
    if dimension.classes:
        value = _classify(value, dimension.classes)
    value = value.fill_null(NOT_SAID)
    if dimension.joined is None:
        return value
    whole = pl.concat_str(value, pl.lit(SEPARATOR), _open_value(survey, dimension.joined))
    return pl.when(value == NOT_SAID).then(value).otherwise(whole)


def _classify(text: pl.Expr, classes: Sequence[tuple[str, str]]) -> pl.Expr:
    """Return the first class that matches each text. Text that does not say has no class."""
    says_nothing = text.is_null() | (text == NOT_SAID)
    named = [pl.when(text.str.contains(regex)).then(pl.lit(name)) for name, regex in classes]
    return pl.when(says_nothing).then(pl.lit(NOT_SAID)).otherwise(pl.coalesce(*named, pl.lit(OTHER)))


def _is_unnamed(survey: Survey) -> pl.Expr:
    """Return the condition that a row has no file name, on a day on which only the name identifies a download."""
    name = survey.columns.values.get(FILE_NAME)
    return pl.lit(value=False) if name is None else name.is_null() & _is_old(survey)


def _is_download(survey: Survey) -> pl.Expr:
    """Return the condition that a row is a download (R9).

    Since its change, PyPI's log has only downloads, so each row of a later day is one, even without a file name.
    """
    name = survey.columns.values.get(FILE_NAME)
    if name is None:
        return pl.lit(value=True)
    is_file = pl.any_horizontal(name.str.ends_with(ending) for ending in FILE_ENDINGS)
    return is_file.fill_null(~_is_old(survey))


def _is_old(survey: Survey) -> pl.Expr:
    return survey.columns.values["timestamp"] < end_of(LAST_MIXED_DAY)


def _normalised(survey: Survey) -> pl.Expr:
    """Return the normalised names of packages. Names that are normalised already need no replacement."""
    project = survey.columns.values["project"]
    names = survey.scan().select(name=project).unique().drop_nulls()
    odd = names.filter(~is_name("name")).collect()["name"].to_list()
    if not odd and names.select(pl.len()).collect().item() == 0:
        raise UnusableFileError("column project is NULL in every row. Export it with the names of the packages")
    spellings = {name: _normalise(name) for name in odd}
    return project.replace(spellings) if spellings else project


def _normalise(name: str) -> str:
    """Return the normalised name. Text that is not a name stays as it is; no selector selects it."""
    try:
        return normalise(name)
    except ValueError:
        return name
