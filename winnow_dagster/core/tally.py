"""Tally: stored honest counts, added up by package and day, and from those over any window."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.categories import printable_name
from winnow_dagster.core.counting import number_rows, sum_known
from winnow_dagster.core.history import NO_DOWNLOADS, NUMBERS
from winnow_dagster.core.window import WindowCounts, most_unlisted, sum_counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.window import Window


@dataclass(frozen=True)
class Tally:
    """What rows of honest counts (HONEST_SCHEMA) come to."""

    numbers: Mapping[str, Mapping[date, tuple[int | None, ...]]]
    """By package and day that has rows: the NUMBERS of a history."""

    unlisted: Mapping[str, Sequence[tuple[date, str, int]]]
    """By package, the downloads of category `other`: of which day, by which installer, how many."""

    @classmethod
    def of(cls, batches: Iterable[pl.DataFrame]) -> Tally:
        """Add up rows that come some at a time; those of a day come together."""
        numbers: dict[str, dict[date, tuple[int | None, ...]]] = defaultdict(dict)
        unlisted: dict[str, list[tuple[date, str, int]]] = defaultdict(list)
        for rows in batches:
            parts = number_rows(rows.lazy(), NUMBERS).group_by("package", "date")
            sums = parts.agg(sum_known(number).alias(number) for number in NUMBERS).collect()
            for package, day, *counted in sums.iter_rows():
                numbers[package][day] = tuple(counted)
            others = rows.filter(pl.col("category") == "other").group_by("package", "date", "installer")
            for package, *other in others.agg(pl.col("downloads").sum()).iter_rows():
                unlisted[package].append((other[0], other[1], other[2]))
        return cls(numbers, unlisted)

    def total(self, window: Window, packages: Iterable[str]) -> dict[str, WindowCounts]:
        """Sum over a covered window. A package without a row has counts of 0.

        The caller knows that the window is covered: a day without rows counts as a day without downloads.
        """
        return {package: self._total(window, package) for package in packages}

    def _total(self, window: Window, package: str) -> WindowCounts:
        days = [n for day, n in self.numbers.get(package, {}).items() if window.first_day <= day <= window.as_of]
        summed = map(sum_counts, zip(*days, strict=True)) if days else NO_DOWNLOADS
        unlisted = Counter[str]()
        for day, installer, downloads in self.unlisted.get(package, ()):
            if window.first_day <= day <= window.as_of:
                unlisted[printable_name(installer)] += downloads
        return WindowCounts(window, dict(zip(NUMBERS, summed, strict=True)), most_unlisted(unlisted))
