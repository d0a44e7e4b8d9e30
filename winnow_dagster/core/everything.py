"""Everything: what `*` selects and nothing else does, counted in columns, a shard of names at a time.

Nothing here is done package by package that can be done for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.counting import is_last, number_rows, sum_days, sum_windows
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
"""How many stored rows are held in memory at a time, of a headline; fewer where more columns are counted."""

END_OF_NAMES = "{"
"""What comes after every name: `z` is before it."""


@dataclass(frozen=True)
class ShardCounts:
    """What the stored days say of a shard, and of each of its packages by day, ready for JSON."""

    shard: Shard
    days: Mapping[str, str] = field(default_factory=dict)
    """Of each package, and of others, its days with downloads: `"2025-06-30":[honest,raw],...`"""


@dataclass(frozen=True)
class Everything:
    """What is to be published of `*`: lazily, since it may be a million packages."""

    packages: list[Package]
    """Those that are published in full, since they once had an entry of their own."""

    source: str
    honest: pl.LazyFrame
    windows: Mapping[int, Window]
    """By the length asked for, the newest window of covered days, where there is one."""

    lengths: tuple[int, ...]
    """The lengths asked for, the headline's first."""

    columns: tuple[str, ...]
    named: frozenset[str]
    prefixes: tuple[str, ...]
    """What the packages that something else publishes are called, or begin with."""

    short_days: tuple[date, ...] = ()
    """Short days of the windows, which Winnow counts as they are."""

    def shards(self, *, with_days: bool = True) -> Iterator[dict[str, ShardCounts]]:
        """Count what `*` selects; yield shards by name, a part of the names at a time if there are many rows.

        A part is not only less to hold: what is counted of it stays close at hand, so that all take less time too.
        """
        if not self.windows:
            return
        honest, package = self.honest.filter(self._is_between("date")), pl.col("package")
        weight = honest.select(pl.len()).collect().item() * len(self.columns) // len(HEADLINE_COLUMNS)
        for first, end in pairwise(self._cuts(1 + weight // MAX_ROWS_COUNTED)):
            yield self._count(honest.filter(package >= first, package < end), with_days=with_days)

    def _is_between(self, column: str) -> pl.Expr:
        """Whether a day may be one of any of the windows."""
        windows = self.windows.values()
        return pl.col(column).is_between(min(w.first_day for w in windows), max(w.as_of for w in windows))

    def _is_chosen(self) -> pl.Expr:
        """Whether a package has a name, and nothing else publishes it."""
        others = [pl.col("package").is_in(self.named), *map(pl.col("package").str.starts_with, self.prefixes)]
        return is_name("package") & ~pl.any_horizontal(others)

    def _cuts(self, parts: int) -> list[str]:
        """Return where each part of the names begins, and where the last one ends; about as many rows in each.

        No shard is cut. The newest day stands for all, if it has rows.
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

    def nothing(self) -> ShardCounts:
        """Return what is known of a shard of which nothing was downloaded."""
        return ShardCounts(Shard(self.source, self.columns, tuple(self.windows.values()), tuple(self.windows), {}))

    def _count(self, honest: pl.LazyFrame, *, with_days: bool) -> dict[str, ShardCounts]:
        rows, windows = number_rows(honest, self.columns), list(self.windows.values())
        by_day = sum_days(rows.collect(), self.columns) if with_days else pl.DataFrame()
        frame = sum_windows(by_day.lazy() if with_days else rows, windows, self.columns).filter(self._is_chosen())
        days = _days(by_day, windows, frame["package"]) if with_days else {}
        names = frame["package"].to_list()
        numbers = list(zip(*(column.to_list() for column in frame.drop("package")), strict=True))
        found: dict[str, ShardCounts] = {}
        start, empty = 0, self.nothing().shard
        for run in frame["package"].str.slice(0, SHARD_LENGTH).rle():
            end = start + run["len"]
            packages = dict(zip(names[start:end], numbers[start:end], strict=True))
            found[run["value"]] = ShardCounts(replace(empty, packages=packages), days)
            start = end
        return found


class PackagesBySelector(dict[str, "list[Package] | Everything"]):
    """What the stored days say, by the text of what it is published as: a selector's packages, everything, a group."""


def describe_everything(
    honest: Days,
    windows: Mapping[Selector | Group, Sequence[int]],
    look: BadgeStyle,
    options: CountOptions,
    packages: Sequence[Package],
) -> Everything:
    """Return what the stored honest days say of what `*` selects, without what has an entry of its own.

    `packages`: what else is published of `*`, in full.
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
        columns_for(look),
        frozenset([s.stem for s in others if not s.is_prefix] + [package.state.package for package in packages]),
        tuple(s.stem for s in others if s.is_prefix),
        tuple(day for day in counted if honest.coverage[day].facts_of(EVERYTHING).is_short),
    )


def _days(by_day: pl.DataFrame, windows: Sequence[Window], packages: pl.Series) -> dict[str, str]:
    """Return the days of any of the windows with downloads, oldest first, as JSON has them.

    Of each of these packages, which are sorted.
    """
    # One text of all, which is then cut: a text for each group takes ten times as long.
    days = sorted(by_day["date"].unique())
    opened = pl.col("date").replace_strict(days, [f'"{day}":[' for day in days], return_dtype=pl.String)
    told = (
        by_day.filter(pl.any_horizontal(pl.col("date").is_between(w.first_day, w.as_of) for w in windows))
        .join(packages.to_frame().with_row_index("at"), on="package")
        .sort("at", "date")
        .select(
            "at",
            day=pl.concat_str(opened, pl.col("honest").cast(str), pl.lit(","), pl.col("raw").cast(str), pl.lit("],")),
        )
    )
    cuts = told.select("at", end=pl.col("day").str.len_bytes().cast(pl.Int64).cum_sum()).filter(is_last(pl.col("at")))
    text, found, start = told["day"].str.join("").item() or "", {}, 0
    for name, end in zip(packages.gather(cuts["at"]), cuts["end"], strict=True):
        found[name] = text[start : end - 1]
        start = end
    return found
