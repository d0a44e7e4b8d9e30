"""The columns of a Parquet file by their meaning, not by the type that a tool chose for them.

Tools write text as dictionaries, categories or enums, and a column that is NULL in every row as any type. A timestamp
with a time zone is a moment in any zone; one without is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.dimensions import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE_NAME = "file.filename"

COLUMNS = {
    "timestamp": "a timestamp in UTC",
    "project": "text",
    **{dimension.column: "text" for dimension in DIMENSIONS},
    "details.ci": "true or false",
    FILE_NAME: "text",
}
"""The columns that Winnow reads, and the type that each needs."""

OPTIONAL = {FILE_NAME, *(dimension.column for dimension in DIMENSIONS if dimension.is_later)}
"""Only days before PyPI changed its log need the file's name. Without a later dimension its counts are unknown."""

MAY_NOT_BE_NULL = {"timestamp", "project"}
"""A file without any value of these says nothing about any package."""

MOMENT = pl.Datetime("us", "UTC")

AS_EXPORTED = "Export it as file_downloads has it"
_TEXT = (pl.String, pl.Categorical, pl.Enum)


@dataclass(frozen=True)
class Columns:
    """How to read the columns of one file, and why it cannot be read."""

    values: dict[str, pl.Expr]
    """The expression of each column in COLUMNS that the file has."""

    wrong: dict[str, str]
    """What is wrong with the file, by column."""

    null_or_wrong: dict[str, tuple[pl.Expr, str]]
    """Columns of another type, which is wrong unless they are NULL in every row, each with the error."""

    @property
    def has_file_names(self) -> bool:
        """Whether the file has a column with the names of the downloaded files."""
        return FILE_NAME in self.values


def parse_columns(schema: pl.Schema) -> Columns:
    """Return how to read a file with this schema."""
    columns = Columns({}, {}, {})
    for column, expected in COLUMNS.items():
        found = _find(column, schema)
        if found is None:
            if column not in OPTIONAL:
                columns.wrong[column] = f"has no column {column}. Export it with the schema of file_downloads"
            continue
        value, kind = found
        complaint = f"column {column} is {kind}, not {expected}. "
        if column == "timestamp":
            columns.values[column] = to_utc(value, kind)
            if not isinstance(kind, pl.Datetime):
                columns.wrong[column] = complaint + AS_EXPORTED
        elif _fits(column, kind):
            columns.values[column] = value.cast(pl.Boolean if column == "details.ci" else pl.String)
        elif column in MAY_NOT_BE_NULL:
            columns.wrong[column] = complaint + AS_EXPORTED
        else:
            columns.values[column] = pl.lit(None, pl.Boolean if column == "details.ci" else pl.String)
            columns.null_or_wrong[column] = value, complaint + AS_EXPORTED
    return columns


def _find(column: str, schema: pl.Schema) -> tuple[pl.Expr, pl.DataType] | None:
    """Return a column, or a field of a struct by its dotted name; None if there is none.

    Tools may write a struct that is NULL in every row as another type. Then this returns the column in its place.
    """
    outer, *fields = column.split(".")
    kind = schema.get(outer)
    if kind is None:
        return None
    value = pl.col(outer)
    for name in fields:
        if not isinstance(kind, pl.Struct):
            break
        inner = pl.Schema(kind.to_schema())
        if name not in inner:
            return None
        value, kind = value.struct.field(name), inner[name]
    return value, kind


def _fits(column: str, kind: pl.DataType) -> bool:
    return isinstance(kind, pl.Boolean) if column == "details.ci" else isinstance(kind, _TEXT)


def to_utc(value: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Return a timestamp in UTC.

    A timestamp without a zone is in UTC: BigQuery exports a TIMESTAMP without one, according to Google's page on
    exporting data (isAdjustedToUTC = false).
    """
    if isinstance(kind, pl.Datetime) and kind.time_zone is None:
        return value.dt.replace_time_zone("UTC")
    if isinstance(kind, pl.Datetime) and kind.time_zone != "UTC":
        return value.dt.convert_time_zone("UTC")
    return value


def leaf_columns(schema: pl.Schema) -> Iterator[tuple[str, pl.Expr]]:
    """Yield all columns of a file and the fields of its structs, with dotted names, so that equal values are equal.

    Values compare with those in another tool's file, whatever type a tool chose for the column.
    """
    for name, kind in schema.items():
        yield from _leaves_of(name, pl.col(name), kind)


def _leaves_of(name: str, value: pl.Expr, kind: pl.DataType) -> Iterator[tuple[str, pl.Expr]]:
    if isinstance(kind, pl.Struct):
        for field, inner in pl.Schema(kind.to_schema()).items():
            yield from _leaves_of(f"{name}.{field}", value.struct.field(field), inner)
    elif isinstance(kind, pl.Datetime):
        yield name, to_utc(value, kind).dt.cast_time_unit("us")
    elif isinstance(kind, (pl.Categorical, pl.Enum)):
        yield name, value.cast(pl.String)
    else:
        yield name, value
