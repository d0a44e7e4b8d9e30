"""Made-up packages with breakdowns."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.breakdowns import VALUES_SCHEMA, PackageBreakdowns, sort_values
from winnow_dagster.core.dimensions import in_order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DAY = date(2025, 6, 30)
READ_AT = datetime(2025, 7, 1, 3, tzinfo=UTC)

Counts = tuple[int, int]


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


def breakdowns(
    dimensions: Sequence[str] = ("python",),
    days: Mapping[date, Mapping[str, Mapping[str, Counts]]] | None = None,
    read_until: datetime = READ_AT,
) -> PackageBreakdowns:
    """Return the honest and CI downloads by day, dimension and value. A day knows the dimensions that it names."""
    days = days or {}
    rows = [
        (name, day, value, *counts)
        for name in in_order(dimensions)
        for day in sorted(days)
        for value, counts in days[day].get(name, {}).items()
    ]
    known = {name: [day for day in sorted(days) if name in days[day]] for name in dimensions}
    values = sort_values(pl.DataFrame(rows, schema=VALUES_SCHEMA, orient="row"))
    return PackageBreakdowns(in_order(dimensions), values, known, read_until)


def believable(days: int, *, honest: int = 4000, known: int | None = None) -> PackageBreakdowns:
    """Return breakdowns by all dimensions in which CI runs every Python and people run the recent ones."""
    found: dict[date, dict[str, dict[str, Counts]]] = {}
    releases = {f"{major}.{minor}.0": 400 - 40 * (7 * major + minor) for major in (0, 1) for minor in range(7)}
    for n in reversed(range(days if known is None else known)):
        size = honest * (0.35 if ago(n).weekday() > 4 else 1) * random.Random(n).uniform(0.9, 1.1)
        newest = 0.02 + 0.2 * max(0, 300 - n) / 300
        pythons = {
            "2.7": (0.001, 0.004), "3.7": (0.004, 0.03), "3.8": (0.013, 0.09), "3.9": (0.05, 0.19),
            "3.10": (0.14, 0.18), "3.11": (0.22, 0.17), "3.12": (0.42 - newest, 0.17), "3.13": (newest, 0.15),
            "3.14": (0.012, 0.03), "": (0.004, 0),
        }  # fmt: skip
        uptake = {version: 1 / (1 + abs(n - 2 * age) / 30) for version, age in releases.items() if n <= age}
        total = sum(uptake.values()) or 1
        shares = {
            "python": pythons,
            "version": {version: (part / total, part / total) for version, part in uptake.items()},
            "country": {
                "US": (0.28, 0.71), "DE": (0.11, 0.06), "IN": (0.1, 0.01), "CN": (0.09, 0.01), "GB": (0.06, 0.02),
                "FR": (0.05, 0.03), "JP": (0.04, 0.01), "BR": (0.04, 0.01), "CA": (0.03, 0.01), "NL": (0.03, 0.05),
                "KR": (0.03, 0.01), "IE": (0.01, 0.05), "PL": (0.02, 0.01), "XK": (0.02, 0), "": (0.01, 0.01),
            },
            "libc": {"glibc": (0.62, 0.92), "musl": (0.04, 0.05), "": (0.34, 0.03)},
            "cpu": {"x86_64": (0.5, 0.9), "arm64": (0.31, 0.04), "aarch64": (0.05, 0.05), "AMD64": (0.14, 0.01)},
            "file_type": {"bdist_wheel": (0.97, 0.99), "sdist": (0.03, 0.01)},
        }  # fmt: skip
        found[ago(n)] = {
            name: {value: (round(size * mine), round(3 * honest * theirs)) for value, (mine, theirs) in values.items()}
            for name, values in shares.items()
        }
    return breakdowns(tuple(shares), found)
