"""Count the packages that only `*` selects, shard by shard.

All work is columnar where it can be: there may be a million packages.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.counting import is_last_of_run, select_numbers, sum_days, sum_windows
from winnow_dagster.core.coverage import NOTHING, days_between
from winnow_dagster.core.names import EVERYTHING, Selector, is_name
from winnow_dagster.core.shard import HEADLINE_COLUMNS, SHARD_LENGTH, Shard, columns_for
from winnow_dagster.core.window import Window, newest_window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.badge import BadgeStyle
    from winnow_dagster.core.days import CountOptions, Days, Package
    from winnow_dagster.core.names import Group

MAX_ROWS_COUNTED = 5_000_000
"""The maximum number of stored rows in memory if Winnow counts HEADLINE_COLUMNS. More columns lower it."""

END_OF_NAMES = "{"
"""Sorts after every name, since it follows `z`."""


@dataclass(frozen=True)
class ShardCounts:
    """The counts of a shard, and the days of each of its packages as JSON."""

    shard: Shard
    days: Mapping[str, str] = field(default_factory=dict)
    """The days with downloads by package, maybe of other shards too: `"2025-06-30":[honest,raw],...`"""


@dataclass(frozen=True)
class Everything:
    """The packages of `*`. Winnow counts them only during iteration, since there may be a million."""

    packages: list[Package]
    """The packages with a page, which once had an entry of their own."""

    source: str
    honest: pl.LazyFrame
    windows: Mapping[int, Window]
    """The newest window of covered days, keyed by its configured length. Lengths without one are absent."""

    lengths: tuple[int, ...]
    """The configured lengths of windows in days, the headline's first."""

    columns: tuple[str, ...]
    named: frozenset[str]
    prefixes: tuple[str, ...]
    """Another entry publishes the packages that are in `named` or begin with one of `prefixes`."""

    short_days: tuple[date, ...] = ()
    """Short days of the windows, which Winnow counts as they are."""

    def shards(self, *, with_days: bool = True) -> Iterator[dict[str, ShardCounts]]:
        """Count the packages; yield shards by name. With many rows, each item holds a part of the names.

        Parts bound the memory. They also save time, since the data of a part fits the processor's caches better.
        """
        if not self.windows:
            return
        honest, package = self.honest.filter(self._is_between("date")), pl.col("package")
        weight = honest.select(pl.len()).collect().item() * len(self.columns) // len(HEADLINE_COLUMNS)
        for first, end in pairwise(self._cuts(1 + weight // MAX_ROWS_COUNTED)):
            yield self._count(honest.filter(package >= first, package < end), with_days=with_days)

    def _is_between(self, column: str) -> pl.Expr:
        """Return the condition that a day lies between the first and the last day of all windows."""
        windows = self.windows.values()
        return pl.col(column).is_between(min(w.first_day for w in windows), max(w.as_of for w in windows))

    def _is_chosen(self) -> pl.Expr:
        """Return the condition that a package has a valid name and no other entry publishes it."""
        others = [pl.col("package").is_in(self.named), *map(pl.col("package").str.starts_with, self.prefixes)]
        return is_name("package") & ~pl.any_horizontal(others)

    def _cuts(self, parts: int) -> list[str]:
        """Return the name at which each part begins, and END_OF_NAMES. The parts have about the same number of rows.

        A cut never divides a shard. The newest day represents all days if it has rows.
        """
        start, size = pl.col("package").str.slice(0, SHARD_LENGTH), pl.col("len")
        newest = max(window.as_of for window in self.windows.values())
        sizes = pl.DataFrame()
        for rows in (self.honest.filter(pl.col("date") == newest), self.honest):
            if sizes.is_empty():
                sizes = rows.select(start.alias("start")).group_by("start").len().sort("start").collect()
        part = (size.cum_sum() - size) * parts // size.sum()
        begins = sizes.group_by(part.alias("part"), maintain_order=True).first()["start"]
        return ["", *[text for text in begins[1:] if text < END_OF_NAMES], END_OF_NAMES]

    def empty_shard(self) -> ShardCounts:
        """Return the counts of a shard without downloads."""
        return ShardCounts(Shard(self.source, self.columns, tuple(self.windows.values()), tuple(self.windows), {}))

    def _count(self, honest: pl.LazyFrame, *, with_days: bool) -> dict[str, ShardCounts]:
        rows, windows = select_numbers(honest, self.columns), list(self.windows.values())
        by_day = sum_days(rows.collect(), self.columns) if with_days else pl.DataFrame()
        frame = sum_windows(by_day.lazy() if with_days else rows, windows, self.columns).filter(self._is_chosen())
        days = _days(by_day, windows, frame["package"]) if with_days else {}
        names = frame["package"].to_list()
        numbers = list(zip(*(column.to_list() for column in frame.drop("package")), strict=True))
        found: dict[str, ShardCounts] = {}
        start, empty = 0, self.empty_shard().shard
        for run in frame["package"].str.slice(0, SHARD_LENGTH).rle():
            end = start + run["len"]
            packages = dict(zip(names[start:end], numbers[start:end], strict=True))
            found[run["value"]] = ShardCounts(replace(empty, packages=packages), days)
            start = end
        return found


class PackagesBySelector(dict[str, "list[Package] | Everything"]):
    """The packages of each selector and group, keyed by its text; for `*` an Everything."""


def describe_everything(
    honest: Days,
    windows: Mapping[Selector | Group, Sequence[int]],
    style: BadgeStyle,
    options: CountOptions,
    packages: Sequence[Package],
) -> Everything:
    """Return the packages that only `*` selects, to be counted from the stored honest days.

    `packages`: the packages of `*` with a page.
    """
    start = min(honest.coverage, default=options.through)

    def covered(day: date) -> bool:
        return honest.coverage.get(day, NOTHING).covers(EVERYTHING)

    found = {d: newest_window(d, covered, start=start, through=options.through) for d in windows[EVERYTHING]}
    counted = sorted(
        {day for window in found.values() if window for day in days_between(window.first_day, window.as_of)}
    )
    others = [which for which in windows if isinstance(which, Selector) and not which.is_all]
    return Everything(
        list(packages),
        options.source,
        honest.counts,
        {days: window for days, window in found.items() if window},
        tuple(windows[EVERYTHING]),
        columns_for(style),
        frozenset([s.stem for s in others if not s.is_prefix] + [package.state.package for package in packages]),
        tuple(s.stem for s in others if s.is_prefix),
        tuple(day for day in counted if honest.coverage[day].facts_of(EVERYTHING).is_short),
    )


def _days(by_day: pl.DataFrame, windows: Sequence[Window], packages: pl.Series) -> dict[str, str]:
    """Return, for each package, its days with downloads in any window as JSON members, oldest first.

    `packages`: sorted names.
    """
    # Build one text for all packages, then cut it: one text per group takes ten times as long.
    days = sorted(by_day["date"].unique())
    opened = pl.col("date").replace_strict(days, [f'"{day}":[' for day in days], return_dtype=pl.String)
    lines = (
        by_day.filter(pl.any_horizontal(pl.col("date").is_between(w.first_day, w.as_of) for w in windows))
        .join(packages.to_frame().with_row_index("at"), on="package")
        .sort("at", "date")
        .select(
            "at",
            day=pl.concat_str(opened, pl.col("honest").cast(str), pl.lit(","), pl.col("raw").cast(str), pl.lit("],")),
        )
    )
    cuts = lines.select("at", end=pl.col("day").str.len_bytes().cast(pl.Int64).cum_sum()).filter(
        is_last_of_run(pl.col("at"))
    )
    text, found, start = lines["day"].str.join("").item() or "", {}, 0
    for name, end in zip(packages.gather(cuts["at"]), cuts["end"], strict=True):
        found[name] = text[start : end - 1]
        start = end
    return found
