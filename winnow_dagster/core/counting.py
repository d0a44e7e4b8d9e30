"""Count honest downloads: the numbers of each package by day and by window.

All work is columnar, so the same code counts one package with all numbers and all of PyPI with two. If a release
without a dimension read a day, the dimension's numbers of that day are unknown, never 0 (R10).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.categories import CATEGORIES, HONEST_SCHEMA, printable_name
from winnow_dagster.core.dimensions import DIMENSIONS
from winnow_dagster.core.history import NUMBERS
from winnow_dagster.core.window import WindowCounts, top_unlisted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.dimensions import Dimension
    from winnow_dagster.core.window import Window

NULLABLE_NUMBERS = frozenset(number for dimension in DIMENSIONS if dimension.is_later for number in dimension.numbers)
"""The numbers that may be unknown."""

IS_HONEST = pl.col("category") == "honest"


@dataclass(frozen=True)
class DayCounts:
    """All numbers of some packages by day."""

    days: pl.DataFrame
    """One row per package and day with downloads: package, date and NUMBERS."""

    unlisted: pl.DataFrame
    """Package, date, installer and downloads of category `other`."""

    @classmethod
    def of(cls, batches: Iterable[pl.DataFrame]) -> DayCounts:
        """Add up batches of honest counts. All counts of a day are in one batch."""
        days, unlisted = [], []
        for rows in chain([HONEST_SCHEMA.to_frame()], batches):
            days.append(sum_days(select_numbers(rows.sort("date", "package").lazy(), NUMBERS).collect(), NUMBERS))
            others = rows.filter(pl.col("category") == "other").group_by("package", "date", "installer")
            unlisted.append(others.agg(pl.col("downloads").sum()))
        return cls(pl.concat(days), pl.concat(unlisted))

    def by_package(self) -> dict[str, dict[date, tuple[int | None, ...]]]:
        """Return the NUMBERS of each package and day with rows."""
        found: dict[str, dict[date, tuple[int | None, ...]]] = defaultdict(dict)
        for package, day, *numbers in self.days.iter_rows():
            found[package][day] = tuple(numbers)
        return found

    def total(self, window: Window, packages: Collection[str]) -> dict[str, WindowCounts]:
        """Sum over a window. A package without a row has counts of 0.

        The caller makes sure that the window is covered: a day without rows counts as a day without downloads.
        """
        is_wanted = pl.col("package").is_in(list(packages)), pl.col("date").is_between(window.first_day, window.as_of)
        summed = sum_windows(self.days.lazy().filter(*is_wanted), [window], NUMBERS)
        found = {package: dict(zip(NUMBERS, numbers, strict=True)) for package, *numbers in summed.iter_rows()}
        unlisted: Mapping[str, Counter[str]] = defaultdict(Counter)
        others = self.unlisted.lazy().filter(*is_wanted).group_by("package", "installer").agg(pl.col("downloads").sum())
        for package, installer, downloads in others.collect().iter_rows():
            unlisted[package][printable_name(installer)] += downloads
        nothing = dict.fromkeys(NUMBERS, 0)
        return {name: WindowCounts(window, found.get(name, nothing), top_unlisted(unlisted[name])) for name in packages}


def select_numbers(honest: pl.LazyFrame, numbers: Iterable[str]) -> pl.LazyFrame:
    """Return package, date and, for each number, the downloads that a row adds to it; NULL is unknown."""
    return honest.select("package", "date", *(_PARTS[number].alias(number) for number in numbers))


def sum_days(rows: pl.DataFrame, numbers: Sequence[str]) -> pl.DataFrame:
    """Return the sum of each number by package and day."""
    # The store sorts rows by package and day. Adding up neighbouring rows takes a tenth of the time of a group_by.
    package, date_ = pl.col("package"), pl.col("date")
    is_later = (date_ > date_.shift(1)) | ((date_ == date_.shift(1)) & (package >= package.shift(1)))
    if not rows.select(is_later.all()).item():
        rows = rows.sort("date", "package")
    ends = rows.select(is_last_of_run(package, date_).arg_true()).to_series()
    later = [number for number in numbers if number in NULLABLE_NUMBERS]
    unknown = rows.select(pl.col(later).is_null().cast(pl.Int64).name.prefix("no "))
    rows = rows.with_columns(pl.col(later).fill_null(0), *unknown)
    totals = pl.exclude("package", "date")
    sums = rows.select("package", "date", totals.cum_sum())[ends].with_columns(totals - totals.shift(1, fill_value=0))
    known = [pl.when(pl.col(f"no {number}") == 0).then(number).alias(number) for number in later]
    return sums.with_columns(known).select("package", "date", *numbers)


def sum_windows(rows: pl.LazyFrame, windows: Sequence[Window], numbers: Sequence[str]) -> pl.DataFrame:
    """Return the sum of each number over each window: one row per package, one column per window and number.

    `rows`: package, date and the numbers, by row or by day.
    """
    within = [pl.col("date").is_between(window.first_day, window.as_of) for window in windows]
    sums = [
        # With one window, the caller has filtered the rows already.
        sum_known(number, condition if len(windows) > 1 else None).alias(f"{number} {at}")
        for at, condition in enumerate(within)
        for number in numbers
    ]
    # The streaming engine is twice as fast, and keeps only the sums in memory.
    return rows.group_by("package").agg(sums).sort("package").collect(engine="streaming")


def is_last_of_run(*keys: pl.Expr) -> pl.Expr:
    """Return the condition that a row is the last of a run of rows with the same keys."""
    return pl.any_horizontal(key != key.shift(-1) for key in keys).fill_null(value=True)


def sum_known(number: str, condition: pl.Expr | None = None) -> pl.Expr:
    """Return the sum of a number over the rows that meet `condition`; unknown if it is unknown in one of them."""
    counted = pl.col(number) if condition is None else pl.col(number).filter(condition)
    return pl.when(~counted.has_nulls()).then(counted.sum()) if number in NULLABLE_NUMBERS else counted.sum()


def _parts() -> Iterator[tuple[str, pl.Expr]]:
    downloads = pl.col("downloads")
    yield "raw", downloads
    for category in CATEGORIES:
        yield category, downloads * (pl.col("category") == category)
    for dimension in DIMENSIONS:
        yield from _parts_of(dimension)


def _parts_of(dimension: Dimension) -> Iterator[tuple[str, pl.Expr]]:
    downloads, value = pl.col("downloads"), pl.col(dimension.name)
    conditions = {key: value == name for key, name in dimension.values.items()}
    if dimension.rest:
        conditions[dimension.rest] = ~value.is_in(list(dimension.values.values())).fill_null(value=False)
    for key, condition in conditions.items():
        counted = downloads * (IS_HONEST & condition).fill_null(value=False)
        if dimension.is_later:
            counted = pl.when(~(IS_HONEST & value.is_null())).then(counted)
        yield dimension.number(key), counted


_PARTS = dict(_parts())
