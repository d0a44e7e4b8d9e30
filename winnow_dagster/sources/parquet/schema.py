"""Read the columns of a Parquet file by their meaning, whatever types a tool has chosen.

Tools write text as dictionaries, categories or enums, and an all-NULL column as any type. They write timestamps with
any time zone, or with none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.dimensions import DIMENSIONS, OPEN_FIELDS

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
"""The columns that Winnow reads, each with its expected type in words."""

OPEN_COLUMNS = {dimension.column: "a list of texts" if dimension.is_repeated else "text" for dimension in OPEN_FIELDS}
"""The columns that Winnow reads only for requests that name their dimension, likewise."""

REPEATED = {dimension.column for dimension in OPEN_FIELDS if dimension.is_repeated}
"""The columns whose values are lists of texts. Some tools export each list as one text."""

OPTIONAL = {FILE_NAME, *(dimension.column for dimension in DIMENSIONS if dimension.is_later), *OPEN_COLUMNS}
"""The columns that a file may lack. Only days before PyPI's change need file names."""

LOGGED = {"timestamp", "project", "country_code", "url", "file", "details", "tls_protocol", "tls_cipher"}
"""The columns of file_downloads. A tool may add others, such as the time of the export."""

MAY_NOT_BE_NULL = {"timestamp", "project"}
"""The columns without which a file says nothing about any package."""

MOMENT = pl.Datetime("us", "UTC")

AS_EXPORTED = "Export it as file_downloads has it"
_TEXT = (pl.String, pl.Categorical, pl.Enum)


@dataclass(frozen=True)
class Columns:
    """How to read the columns of one file, or why Winnow cannot."""

    values: dict[str, pl.Expr]
    """The expression of each of these columns that the file has."""

    wrong: dict[str, str]
    """What is wrong with the file, by column."""

    null_or_wrong: dict[str, tuple[pl.Expr, str]]
    """Columns of a wrong type, each with its error. They are allowed if they are NULL in every row."""

    @property
    def has_file_names(self) -> bool:
        """Whether the file has a column with the names of the downloaded files."""
        return FILE_NAME in self.values


def parse_columns(schema: pl.Schema) -> Columns:
    """Return how to read a file with this schema."""
    columns = Columns({}, {}, {})
    for column, expected in {**COLUMNS, **OPEN_COLUMNS}.items():
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
            if isinstance(kind, pl.List):
                value = _as_text(value)
            columns.values[column] = value.cast(pl.Boolean if column == "details.ci" else pl.String)
        elif column in MAY_NOT_BE_NULL:
            columns.wrong[column] = complaint + AS_EXPORTED
        else:
            columns.values[column] = pl.lit(None, pl.Boolean if column == "details.ci" else pl.String)
            columns.null_or_wrong[column] = value, complaint + AS_EXPORTED
    return columns


def _find(column: str, schema: pl.Schema) -> tuple[pl.Expr, pl.DataType] | None:
    """Return a column, or the field of a struct by its dotted name; None without one.

    Tools may write an all-NULL struct as another type. Then this returns that column.
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
    if column in REPEATED and isinstance(kind, pl.List):
        return isinstance(kind.inner, _TEXT)
    return isinstance(kind, pl.Boolean) if column == "details.ci" else isinstance(kind, _TEXT)


def to_utc(value: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Return a timestamp in UTC.

    A timestamp without a zone is in UTC: according to Google's page on exporting data, BigQuery exports a TIMESTAMP
    without one (isAdjustedToUTC = false).
    """
    if isinstance(kind, pl.Datetime) and kind.time_zone is None:
        return value.dt.replace_time_zone("UTC")
    if isinstance(kind, pl.Datetime) and kind.time_zone != "UTC":
        return value.dt.convert_time_zone("UTC")
    return value


@dataclass(frozen=True)
class Leaf:
    """A column or a field of a struct, by its dotted name, with the type that `value` has."""

    name: str
    kind: pl.DataType
    value: pl.Expr


def leaf_columns(schema: pl.Schema) -> list[Leaf]:
    """Return the log's columns and struct fields, converted so that two tools' files can be compared."""
    return [leaf for name in schema.names() if name in LOGGED for leaf in _leaves_of(name, pl.col(name), schema[name])]


def _leaves_of(name: str, value: pl.Expr, kind: pl.DataType) -> Iterator[Leaf]:
    if isinstance(kind, pl.Struct):
        for field, inner in pl.Schema(kind.to_schema()).items():
            yield from _leaves_of(f"{name}.{field}", value.struct.field(field), inner)
    elif isinstance(kind, pl.Datetime):
        yield Leaf(name, MOMENT, to_utc(value, kind).dt.cast_time_unit("us"))
    elif isinstance(kind, (pl.Categorical, pl.Enum)):
        yield Leaf(name, pl.String(), value.cast(pl.String))
    elif isinstance(kind, pl.List) and isinstance(kind.inner, _TEXT):
        yield Leaf(name, pl.String(), _as_text(value))
    else:
        yield Leaf(name, kind, value)


def _as_text(value: pl.Expr) -> pl.Expr:
    return value.cast(pl.List(pl.String)).list.join(" ")
