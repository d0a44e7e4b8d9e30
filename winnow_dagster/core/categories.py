"""Categories: which raw downloads are honest, and where each of the others falls.

The only place that knows installers. Raw counts go in, honest counts come out; nothing is dropped on the way.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.dimensions import DIMENSIONS, INSTALLER

if TYPE_CHECKING:
    from collections.abc import Collection

INSTALLERS = tuple(INSTALLER.values.values())
"""The allowlist, exact and case-sensitive, in the order in which published files list them."""

MIRRORS = ("bandersnatch", "Nexus", "devpi", "Artifactory", "z3c.pypimirror", "pep381client")
BROWSERS = ("Browser",)
SCRIPTS = ("requests",)

CATEGORIES = ("honest", "ci", "mirror", "browser", "script", "unknown", "other")
"""The seven categories; each raw download falls in exactly one."""

MAX_SHOWN_LENGTH = 80

RULES = hashlib.sha256(repr((INSTALLERS, MIRRORS, BROWSERS, SCRIPTS, CATEGORIES)).encode()).hexdigest()[:8]
"""What tells these lists from others: counts made by different ones are never summed."""

RAW_SCHEMA = pl.Schema(
    {
        "date": pl.Date,
        "package": pl.String,
        **{dimension.name: pl.String for dimension in DIMENSIONS},
        "ci": pl.Boolean,
        "downloads": pl.Int64,
    }
)
"""One raw count: a UTC day, a normalised name, the dimensions and `details.ci` (each may be NULL), downloads."""

HONEST_SCHEMA = pl.Schema(
    {
        "date": pl.Date,
        "package": pl.String,
        "category": pl.String,
        **{dimension.name: pl.String for dimension in DIMENSIONS},
        "downloads": pl.Int64,
    }
)
"""One honest count: as a raw count, with the category it fell in instead of `ci`."""


COLUMNS = {
    "date": "the UTC day",
    "package": "the normalised name",
    **{dimension.name: f"{dimension.column} as the source has it; may be NULL" for dimension in DIMENSIONS},
    "ci": "details.ci: TRUE where the client said that it ran in CI, else NULL",
    "category": f"one of {', '.join(CATEGORIES)}",
    "downloads": "how many downloads",
}
"""What the columns of both schemas mean."""


def stored_schema(columns: Collection[str], schema: pl.Schema) -> pl.Schema:
    """Return the schema of stored counts with these columns: earlier releases lack later dimensions."""
    later = {dimension.name for dimension in DIMENSIONS if dimension.is_later}
    return pl.Schema({name: dtype for name, dtype in schema.items() if name in columns or name not in later})


def category() -> pl.Expr:
    """Return the category of a raw count, from its columns `ci` and `installer`. First match wins."""
    installer = pl.col("installer")
    return (
        # NULL, never FALSE, is what the source has where ci is not TRUE: `ci != TRUE` would drop the honest rows.
        pl.when(pl.col("ci").fill_null(value=False))
        .then(pl.lit("ci"))
        .when(installer.is_in(INSTALLERS))
        .then(pl.lit("honest"))
        .when(installer.is_in(MIRRORS))
        .then(pl.lit("mirror"))
        .when(installer.is_in(BROWSERS))
        .then(pl.lit("browser"))
        .when(installer.is_in(SCRIPTS))
        .then(pl.lit("script"))
        .when(installer.fill_null("") == "")
        .then(pl.lit("unknown"))
        .otherwise(pl.lit("other"))
    )


def printable_name(installer: str) -> str:
    """Return an installer's name as it is shown. Clients choose it, so it may have any length and characters."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in installer[:MAX_SHOWN_LENGTH])
    return shown if len(installer) <= MAX_SHOWN_LENGTH else f"{shown}\N{HORIZONTAL ELLIPSIS}"


def winnow(raw: pl.LazyFrame) -> pl.LazyFrame:
    """Turn raw counts (RAW_SCHEMA) into honest counts (HONEST_SCHEMA), the same downloads in all."""
    return (
        raw.with_columns(category=category())
        .group_by(HONEST_SCHEMA.names()[:-1])
        .agg(pl.col("downloads").sum())
        .select(HONEST_SCHEMA.names())
    )
