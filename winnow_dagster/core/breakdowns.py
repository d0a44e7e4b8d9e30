"""Breakdowns: a package's downloads by the values of open dimensions, honest and CI apart, by day and by window.

A day or window has a breakdown only where the dimension was read on every day (R1). The value "" stands for downloads
that do not say (R10).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.categories import category
from winnow_dagster.core.day_ranges import days_in, newest_run
from winnow_dagster.core.dimensions import KERNEL, OPEN_DIMENSIONS, in_order
from winnow_dagster.core.names import matches_any
from winnow_dagster.core.unsaid_ci import CELLS_SCHEMA, estimate, kernel_cells
from winnow_dagster.core.values import order_values

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date, datetime

    from winnow_dagster.core.coverage import Coverage
    from winnow_dagster.core.day_ranges import DayRanges
    from winnow_dagster.core.days import Days
    from winnow_dagster.core.names import Selector
    from winnow_dagster.core.unsaid_ci import UnsaidCi
    from winnow_dagster.core.window import Window

VALUES_SCHEMA = pl.Schema(
    {
        "dimension": pl.Enum(list(OPEN_DIMENSIONS)),
        "date": pl.Date(),
        "value": pl.String(),
        "honest": pl.Int64(),
        "ci": pl.Int64(),
    }
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
    """The counts of the known days (VALUES_SCHEMA), as `sort_values` sorts them."""

    known: Mapping[str, Sequence[date]] = field(default_factory=dict)
    """The computed days on which each dimension is known, oldest first."""

    read_until: datetime | None = None
    """The time of the newest reading in these counts."""

    cells: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CELLS_SCHEMA))
    """The downloads by class of kernel and Python (CELLS_SCHEMA), on the days on which kernels are known."""

    pool: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CELLS_SCHEMA))
    """The same of all packages that are read with their kernels."""

    _sums_by_days: dict[tuple[date, date], dict[str, tuple[dict[str, int], dict[str, int]]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @cached_property
    def _parts(self) -> dict[str, pl.DataFrame]:
        return _slice_by(self.values, "dimension")

    def of(self, dimension: str) -> pl.DataFrame:
        """Return the counts by one dimension (VALUES_SCHEMA)."""
        return self._parts.get(dimension, self.values.clear())

    def over(self, window: Window, dimension: str) -> Breakdown | None:
        """Return the breakdown of the days from the last gap of a window to its end; None if its last day is unknown.

        The breakdown has the whole window if both have the same first day.
        """
        run = newest_run(set(self.known.get(dimension, ())), window.first_day, window.as_of)
        if not run or run[-1] != window.as_of:
            return None
        honest, ci = self._sums(run[0], window.as_of).get(dimension, ({}, {}))
        return Breakdown(dimension, run[0], window.as_of, honest, ci)

    def unsaid_ci(self, window: Window) -> UnsaidCi | None:
        """Return the estimate of unsaid CI over a window; None where there is none."""
        by_kernel = self.over(window, KERNEL.name)
        if by_kernel is None or by_kernel.first_day != window.first_day:
            return None
        inside = pl.col("date").is_between(window.first_day, window.as_of)
        return estimate(self.cells.filter(inside), self.pool.filter(inside))

    def _sums(self, first: date, last: date) -> dict[str, tuple[dict[str, int], dict[str, int]]]:
        """Return the honest and CI downloads over some days by dimension and value.

        Cached: the pages ask for the same windows once for each dimension.
        """
        if (first, last) not in self._sums_by_days:
            chosen = self.values.lazy().filter(pl.col("date").is_between(first, last))
            sums: dict[str, tuple[dict[str, int], dict[str, int]]] = {name: ({}, {}) for name in self.dimensions}
            summed = chosen.group_by("dimension", "value").agg(pl.col("honest", "ci").sum()).collect()
            for dimension, value, *counts in summed.iter_rows():
                for found, count in zip(sums[dimension], counts, strict=True):
                    if count:
                        found[value] = count
            self._sums_by_days[first, last] = sums
        return self._sums_by_days[first, last]

    def within(self, days: Mapping[str, Collection[date]]) -> PackageBreakdowns:
        """Return the breakdowns of these days by dimension, without the time of their readings."""
        kept = {name: sorted(set(known).intersection(days.get(name, ()))) for name, known in self.known.items()}
        dimensions = tuple(name for name in self.dimensions if name in days)
        return PackageBreakdowns(dimensions, _on_days(self.values, kept), kept, cells=self.cells, pool=self.pool)


NO_BREAKDOWNS = PackageBreakdowns()


def days_to_count(
    stored: Mapping[date, Coverage],
    parts: Sequence[Selector],
    published: Mapping[str, DayRanges],
    *,
    since: date | None,
    read_after: datetime | None,
) -> set[date]:
    """Return the days whose breakdowns a publication has to count.

    These are the days from `since` on, those read after `read_after`, and those that are not published.

    `stored`: the coverage of all stored days. `published`: the published days of each dimension.
    """
    shown = {name: days_in(ranges) for name, ranges in published.items()}
    shown_by_all = set.intersection(*shown.values())
    found = set()
    for day, coverage in stored.items():
        if not coverage.has_dimensions:
            continue
        is_recent = since is not None and day >= since
        is_newer = read_after is None or any((at := coverage.last_read(part)) and at > read_after for part in parts)
        if is_recent or is_newer or (day not in shown_by_all and _adds(day, coverage, parts, shown)):
            found.add(day)
    return found


def _adds(day: date, coverage: Coverage, parts: Sequence[Selector], shown: Mapping[str, set[date]]) -> bool:
    """Return whether a day has a dimension that is not published for it."""
    known = frozenset.intersection(*map(coverage.dimensions_of, parts))
    return any(name in known and day not in days for name, days in shown.items())


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
    has_estimates = any(KERNEL.name in dimensions for dimensions in wanted.values())
    pool = _cells(days) if has_estimates else pl.DataFrame(schema=CELLS_SCHEMA)
    newest = {day: coverage.newest for day, coverage in days.coverage.items()}
    found = {}
    for name, dimensions in wanted.items():
        rows = _on_known_days(values.get(name, empty), known[name], days.coverage)
        read = [at for days_known in known[name].values() for day in days_known if (at := newest[day])]
        days_with_kernels = known[name].get(KERNEL.name, [])
        cells = pool.filter(matches_any(members[name], "package"), pl.col("date").is_in(days_with_kernels))
        found[name] = PackageBreakdowns(tuple(dimensions), rows, known[name], max(read, default=None), cells, pool)
    return found


def _known(days: Days, parts: Sequence[Selector], dimensions: Sequence[str]) -> dict[str, list[date]]:
    """Return the days on which each dimension is known for all parts."""
    found: dict[str, list[date]] = {dimension: [] for dimension in dimensions}
    for day in sorted(days.coverage):
        coverage = days.coverage[day]
        known = [coverage.dimensions_of(part) for part in parts]
        for dimension in dimensions:
            if all(dimension in each for each in known):
                found[dimension].append(day)
    return found


def _values(days: Days, members: Mapping[str, Sequence[Selector]]) -> dict[str, pl.DataFrame]:
    """Return the counts of each name (VALUES_SCHEMA)."""
    single = [name for name, parts in members.items() if [str(part) for part in parts] == [name]]
    # Thousands of rows share a name, which an Enum stores in a byte or two.
    schema = pl.Schema({"package": pl.Enum(list(members)), **VALUES_SCHEMA})
    summed = [pl.DataFrame(schema=schema)]
    for rows in days.batches():
        parts = [rows.filter(pl.col("package").is_in(single))]
        parts += [
            rows.filter(matches_any(parts_of, "package")).with_columns(package=pl.lit(name))
            for name, parts_of in members.items()
            if name not in single
        ]
        summed.append(_sum(pl.concat(parts)).cast(schema))
    by_package = _slice_by(sort_values(pl.concat(summed)), "package")
    return {name: rows.drop("package") for name, rows in by_package.items()}


def _cells(days: Days) -> pl.DataFrame:
    """Return the downloads of all packages by class of kernel and Python (CELLS_SCHEMA)."""
    return pl.concat([CELLS_SCHEMA.to_frame(), *map(kernel_cells, days.batches())])


def sort_values(values: pl.DataFrame) -> pl.DataFrame:
    """Sort counts by package (if they name one), dimension, date, and the dimension's order of values."""
    ranks = [pl.DataFrame(schema={"dimension": VALUES_SCHEMA["dimension"], "value": pl.String, "rank": pl.UInt32})]
    for (name,), rows in values.select("dimension", "value").unique().partition_by("dimension", as_dict=True).items():
        ordered = order_values(OPEN_DIMENSIONS[name], rows["value"].to_list())
        ranks.append(
            pl.DataFrame(
                {"dimension": [name] * len(ordered), "value": ordered, "rank": range(len(ordered))}, ranks[0].schema
            )
        )
    keys = [*(["package"] if "package" in values.columns else []), "dimension", "date", "rank"]
    return values.join(pl.concat(ranks), on=["dimension", "value"]).sort(keys).select(values.columns)


def _slice_by(rows: pl.DataFrame, key: str) -> dict[str, pl.DataFrame]:
    """Return the rows of each value of a column by which they are sorted. They are not copied."""
    found, start = {}, 0
    for value, length in rows.select(pl.col(key).rle()).unnest(key).select("value", "len").iter_rows():
        found[value] = rows.slice(start, length)
        start += length
    return found


def _on_known_days(
    values: pl.DataFrame, known: Mapping[str, Sequence[date]], counted: Collection[date]
) -> pl.DataFrame:
    """Return the counts of the days on which each dimension is known, of the `counted` days."""
    if all(len(days) == len(counted) for days in known.values()) and set(known) >= set(values["dimension"].unique()):
        return values
    return _on_days(values, known)


def _on_days(values: pl.DataFrame, days: Mapping[str, Sequence[date]]) -> pl.DataFrame:
    """Return the counts of each dimension on its days."""
    chosen = [pl.col("dimension").eq(name) & pl.col("date").is_in(of_name) for name, of_name in days.items()]
    return values.filter(pl.any_horizontal(chosen)) if chosen else values.clear()


def _sum(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the honest and CI downloads by package, dimension, day and value."""
    # Stored days may have dimensions of another release, such as an older version of the classes of kernels.
    is_known = pl.col("dimension").is_in(list(OPEN_DIMENSIONS))
    downloads = {name: pl.when(pl.col("category") == name).then("downloads").otherwise(0) for name in ("honest", "ci")}
    return (
        rows.lazy()
        .filter(is_known)
        .with_columns(category=category())
        .with_columns(**downloads)
        .filter((pl.col("honest") > 0) | (pl.col("ci") > 0))
        .group_by("package", "dimension", "date", "value")
        .agg(pl.col("honest", "ci").sum())
        .collect()
    )


def group_dimensions(dimensions: Collection[str]) -> tuple[str, ...]:
    """Return the dimensions of these that a group can add up, in the order of their table."""
    return tuple(name for name in in_order(dimensions) if OPEN_DIMENSIONS[name].adds_up)
