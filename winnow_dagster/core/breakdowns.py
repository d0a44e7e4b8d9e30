"""Breakdowns: a package's downloads by the values of open dimensions, honest and CI apart, by day and by window.

A day or window has a breakdown only where the dimension was read on every day (R1). The value "" stands for downloads
that do not say (R10).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.categories import category
from winnow_dagster.core.coverage import NOTHING, days_between
from winnow_dagster.core.dimensions import OPEN_DIMENSIONS
from winnow_dagster.core.names import matches_any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date, datetime

    from winnow_dagster.core.coverage import Coverage
    from winnow_dagster.core.days import Days
    from winnow_dagster.core.names import Selector
    from winnow_dagster.core.window import Window

VALUES_SCHEMA = pl.Schema(
    {"dimension": pl.String, "date": pl.Date, "value": pl.String, "honest": pl.Int64, "ci": pl.Int64}
)
"""The honest and CI downloads of one package by dimension, day and value; values without either are left out."""


@dataclass(frozen=True)
class Breakdown:
    """A package's downloads by the values of one dimension, over contiguous days."""

    dimension: str
    first_day: date
    last_day: date
    honest: Mapping[str, int]
    """The honest downloads by value. "" is not said. Values without one are left out."""

    ci: Mapping[str, int]
    """The downloads of CI by value, likewise."""


@dataclass(frozen=True)
class PackageBreakdowns:
    """The breakdowns of one package or group by day, as far as this count computed them."""

    dimensions: tuple[str, ...] = ()
    """The open dimensions that the config asks for, in the order of their table."""

    values: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=VALUES_SCHEMA))
    """The counts of the known days (VALUES_SCHEMA), sorted by dimension and date."""

    known: Mapping[str, Sequence[date]] = field(default_factory=dict)
    """The computed days on which each dimension is known, oldest first."""

    read_until: datetime | None = None
    """The time of the newest reading in these counts."""

    def over(self, window: Window, dimension: str) -> Breakdown | None:
        """Return the breakdown over the newest known days of a window without a gap; None if its last day is unknown.

        The caller compares the breakdown's first day with the window's to see whether it is whole.
        """
        known = set(self.known.get(dimension, ()))
        first = None
        for day in reversed(days_between(window.first_day, window.as_of)):
            if day not in known:
                break
            first = day
        if first is None:
            return None
        chosen = pl.col("dimension") == dimension, pl.col("date").is_between(first, window.as_of)
        summed = self.values.lazy().filter(*chosen).group_by("value").agg(pl.col("honest", "ci").sum()).collect()
        honest = {value: count for value, count in summed.select("value", "honest").iter_rows() if count}
        ci = {value: count for value, count in summed.select("value", "ci").iter_rows() if count}
        return Breakdown(dimension, first, window.as_of, honest, ci)


NO_BREAKDOWNS = PackageBreakdowns()


@dataclass(frozen=True)
class PublishedBreakdowns:
    """What the published files of a package say of its breakdowns."""

    source: str
    read_until: datetime | None = None
    """The time of the newest reading in the files."""

    days: Mapping[str, Sequence[tuple[date, date]]] = field(default_factory=dict)
    """The ranges of known days by dimension: the first and last day of each, oldest first."""

    windows: Mapping[int, Mapping[str, Breakdown]] = field(default_factory=dict)
    """The published breakdowns by dimension, by the length of the window."""


def days_to_count(
    stored: Mapping[date, Coverage],
    parts: Sequence[Selector],
    dimensions: Sequence[str],
    published: PublishedBreakdowns | None,
    first_day: date | None,
) -> set[date]:
    """Return the days whose breakdowns a publication has to count.

    These are the days since `first_day`, those read since the last publication, and those that it did not know.
    `stored`: the coverage of all stored days.
    """
    shown = {name: _days_of(published.days.get(name, ()) if published else ()) for name in dimensions}
    shown_for_all = set.intersection(*shown.values())
    read_until = published.read_until if published else None
    found = set()
    for day, coverage in stored.items():
        if not coverage.has_dimensions:
            continue
        is_shown, read = day in shown_for_all, [coverage.last_read(part) for part in parts]
        is_newer = read_until is None or any(at is not None and at > read_until for at in read)
        if (
            is_newer
            or (first_day is not None and day >= first_day)
            or (not is_shown and _adds(day, coverage, parts, shown))
        ):
            found.add(day)
    return found


def _adds(day: date, coverage: Coverage, parts: Sequence[Selector], shown: Mapping[str, set[date]]) -> bool:
    """Return whether a day has a dimension that is not shown for it."""
    known = frozenset.intersection(*map(coverage.dimensions_of, parts))
    return any(name in known and day not in days for name, days in shown.items())


def _days_of(ranges: Iterable[tuple[date, date]]) -> set[date]:
    return {day for first, last in ranges for day in days_between(first, last)}


def count_breakdowns(
    days: Days, members: Mapping[str, Sequence[Selector]], wanted: Mapping[str, Sequence[str]]
) -> dict[str, PackageBreakdowns]:
    """Return the breakdowns of each package or group over these days.

    `days`: counts by value (BREAKDOWN_SCHEMA), and the coverage of what they hold. `members`: the selectors that each
    published name adds up. `wanted`: the open dimensions of each name.
    """
    known = {name: _known(days, members[name], dimensions) for name, dimensions in wanted.items()}
    values = _values(days, {name: members[name] for name in wanted})
    empty = pl.DataFrame(schema=VALUES_SCHEMA)
    newest = {day: coverage.newest for day, coverage in days.coverage.items()}
    found = {}
    for name, dimensions in wanted.items():
        there = [pl.col("dimension").eq(d) & pl.col("date").is_in(known[name][d]) for d in dimensions]
        rows = values.get(name, empty).filter(pl.any_horizontal(there)) if there else empty
        read = [at for days_known in known[name].values() for day in days_known if (at := newest[day])]
        found[name] = PackageBreakdowns(tuple(dimensions), rows, known[name], max(read, default=None))
    return found


def _known(days: Days, parts: Sequence[Selector], dimensions: Sequence[str]) -> dict[str, list[date]]:
    """Return the days on which each dimension is known for all parts."""
    found: dict[str, list[date]] = {dimension: [] for dimension in dimensions}
    for day in sorted(days.coverage):
        coverage = days.coverage.get(day, NOTHING)
        told = [coverage.dimensions_of(part) for part in parts]
        for dimension in dimensions:
            if all(dimension in each for each in told):
                found[dimension].append(day)
    return found


def _values(days: Days, members: Mapping[str, Sequence[Selector]]) -> dict[str, pl.DataFrame]:
    """Return the counts of each name (VALUES_SCHEMA)."""
    single = [name for name, parts in members.items() if [str(part) for part in parts] == [name]]
    summed = [pl.DataFrame(schema={"package": pl.String, **VALUES_SCHEMA})]
    for rows in days.batches():
        parts = [rows.filter(pl.col("package").is_in(single))]
        parts += [
            rows.filter(matches_any(parts_of, "package")).with_columns(package=pl.lit(name))
            for name, parts_of in members.items()
            if name not in single
        ]
        summed.append(_sum(pl.concat(parts)))
    found = pl.concat(summed).partition_by("package", as_dict=True, include_key=False)
    return {name: rows for (name,), rows in found.items()}


def _sum(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the honest and CI downloads by package, dimension, day and value, sorted."""
    kept = pl.col("category").is_in(["honest", "ci"])
    downloads, order = pl.col("downloads"), ["package", "dimension", "date", "value"]
    return (
        rows.lazy()
        .with_columns(category=category())
        .filter(kept)
        .group_by(order)
        .agg(
            honest=downloads.filter(pl.col("category") == "honest").sum(),
            ci=downloads.filter(pl.col("category") == "ci").sum(),
        )
        .sort(order)
        .collect()
    )


def group_dimensions(dimensions: Collection[str]) -> tuple[str, ...]:
    """Return the dimensions of these that a group can add up, in the order of their table."""
    return tuple(name for name, dimension in OPEN_DIMENSIONS.items() if name in dimensions and dimension.adds_up)
