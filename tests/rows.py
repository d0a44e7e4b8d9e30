"""Raw counts by column name. A column that is added later is NULL in these rows, and no test has to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import polars as pl

from winnow_dagster.core.categories import RAW_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date


class Row(TypedDict):
    """One raw count."""

    date: date
    package: str
    installer: str | None
    system: str | None
    ci: bool | None
    downloads: int


Counts = dict[tuple[object, ...], int]
"""Downloads by date, package, installer, system and ci."""


def row(
    day: date,
    package: str,
    *,
    downloads: int = 1,
    installer: str | None = "pip",
    system: str | None = "Linux",
    ci: bool | None = None,
) -> Row:
    """Return one raw count; by default of a person who runs pip on Linux."""
    return {
        "date": day,
        "package": package,
        "installer": installer,
        "system": system,
        "ci": ci,
        "downloads": downloads,
    }


def to_frame(rows: Iterable[Row]) -> pl.DataFrame:
    """Return rows as a frame with the columns of RAW_SCHEMA."""
    return pl.DataFrame(list(rows), schema=RAW_SCHEMA)


def to_counts(frames: Iterable[pl.DataFrame]) -> Counts:
    """Return the downloads in frames of raw counts."""
    columns = ("date", "package", "installer", "system", "ci")
    return {tuple(r[c] for c in columns): r["downloads"] for frame in frames for r in frame.iter_rows(named=True)}


def to_breakdown(frames: Iterable[pl.DataFrame], dimension: str) -> Counts:
    """Return the downloads by date, package, value, installer and ci in frames of counts by one open dimension."""
    columns = ("date", "package", "value", "installer", "ci")
    rows = (r for frame in frames for r in frame.iter_rows(named=True) if r["dimension"] == dimension)
    return {tuple(r[c] for c in columns): r["downloads"] for r in rows}
