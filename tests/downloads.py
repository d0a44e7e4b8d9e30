"""Rows of file_downloads, one per download, as Parquet files: what a user's export looks like."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DETAILS = pl.Struct(
    {
        "installer": pl.Struct({"name": pl.String, "version": pl.String, "subcommand": pl.List(pl.String)}),
        "python": pl.String,
        "implementation": pl.Struct({"name": pl.String, "version": pl.String}),
        "distro": pl.Struct({"libc": pl.Struct({"lib": pl.String, "version": pl.String})}),
        "system": pl.Struct({"name": pl.String, "release": pl.String}),
        "cpu": pl.String,
        "ci": pl.Boolean,
    }
)
FILE = pl.Struct({"filename": pl.String, "project": pl.String, "version": pl.String, "type": pl.String})
SCHEMA = pl.Schema(
    [
        ("timestamp", pl.Datetime("us", "UTC")),
        ("project", pl.String),
        ("file", FILE),
        ("details", DETAILS),
        ("country_code", pl.String),
    ]
)
"""The columns that are read, nested as in file_downloads; `details` has more fields there."""


def download(
    moment: date | datetime,
    project: str,
    installer: str | None = "pip",
    system: str | None = "Linux",
    *,
    ci: bool | None = None,
    file: str | None = "a-1.0-py3-none-any.whl",
    python: str | None = None,
    version: str | None = None,
    country: str | None = None,
    libc: str | None = None,
    cpu: str | None = None,
    file_type: str | None = "bdist_wheel",
    subcommand: list[str] | None = None,
    kernel_v2: str | None = None,
    interpreter: str | None = None,
) -> dict[str, Any]:
    """Return one row; a day alone stands for its noon."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time(12), tzinfo=UTC)
    details = {
        "installer": {"name": installer, "version": None, "subcommand": subcommand},
        "python": python,
        "distro": {"libc": {"lib": libc, "version": None}},
        "implementation": {"name": None, "version": interpreter},
        "system": {"name": system, "release": kernel_v2},
        "cpu": cpu,
        "ci": ci,
    }
    named = {"filename": file, "project": project, "version": version, "type": file_type}
    return {"timestamp": moment, "project": project, "file": named, "details": details, "country_code": country}


def write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows, schema=SCHEMA).write_parquet(path)


def leave_out(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return rows without a column or field, given by its dotted name."""
    outer, *fields = column.split(".")
    if not fields:
        return rows.drop(outer)
    return rows.with_columns(_rebuilt(pl.col(outer), SCHEMA[outer], fields).alias(outer))


def _rebuilt(value: pl.Expr, kind: pl.DataType, path: Sequence[str]) -> pl.Expr:
    """Return a struct without the field at a path."""
    inner = dict(pl.Schema(kind.to_schema())) if isinstance(kind, pl.Struct) else {}
    fields = {name: value.struct.field(name) for name in inner if name != path[0]}
    if len(path) > 1:
        fields[path[0]] = _rebuilt(value.struct.field(path[0]), inner[path[0]], path[1:])
    rebuilt: pl.Expr = pl.struct(*(field.alias(name) for name, field in fields.items()))
    return rebuilt
