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
        "installer": pl.Struct({"name": pl.String, "version": pl.String}),
        "system": pl.Struct({"name": pl.String, "release": pl.String}),
        "ci": pl.Boolean,
    }
)
FILE = pl.Struct({"filename": pl.String, "project": pl.String, "version": pl.String, "type": pl.String})
SCHEMA = pl.Schema(
    [("timestamp", pl.Datetime("us", "UTC")), ("project", pl.String), ("file", FILE), ("details", DETAILS)]
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
) -> dict[str, Any]:
    """Return one row; a day alone stands for its noon."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time(12), tzinfo=UTC)
    details = {
        "installer": {"name": installer, "version": None},
        "system": {"name": system, "release": None},
        "ci": ci,
    }
    named = {"filename": file, "project": project, "version": None, "type": "bdist_wheel"}
    return {"timestamp": moment, "project": project, "file": named, "details": details}


def write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows, schema=SCHEMA).write_parquet(path)
