"""Tally: stored honest counts, added up by package and day, and from those over any window."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.categories import CATEGORIES, INSTALLERS, printable_name
from winnow_dagster.core.history import NO_DOWNLOADS, NUMBERS, OTHER_SYSTEM, SYSTEM_COLUMNS
from winnow_dagster.core.window import SYSTEMS, WindowCounts, most_unlisted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.window import Window


@dataclass(frozen=True)
class Tally:
    """What rows of honest counts (HONEST_SCHEMA) come to."""

    numbers: Mapping[str, Mapping[date, tuple[int, ...]]]
    """By package and day that has rows: the NUMBERS of a history."""

    unlisted: Mapping[str, Sequence[tuple[date, str, int]]]
    """By package, the downloads of category `other`: of which day, by which installer, how many."""

    @classmethod
    def of(cls, batches: Iterable[pl.DataFrame]) -> Tally:
        """Add up rows that come some at a time; those of a day come together."""
        numbers: dict[str, dict[date, tuple[int, ...]]] = defaultdict(dict)
        unlisted: dict[str, list[tuple[date, str, int]]] = defaultdict(list)
        for rows in batches:
            for package, day, *counted in rows.group_by("package", "date").agg(_sums()).iter_rows():
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
        summed = dict(zip(NUMBERS, map(sum, zip(*days, strict=True)) if days else NO_DOWNLOADS, strict=True))
        unlisted = Counter[str]()
        for day, installer, downloads in self.unlisted.get(package, ()):
            if window.first_day <= day <= window.as_of:
                unlisted[printable_name(installer)] += downloads
        return WindowCounts(
            window,
            categories={category: summed[category] for category in CATEGORIES},
            by_installer={installer: summed[installer] for installer in INSTALLERS},
            by_system={system: summed[column] for column, system in SYSTEM_COLUMNS.items()},
            unlisted=most_unlisted(unlisted),
        )


def _sums() -> list[pl.Expr]:
    """Return the NUMBERS of a package and day."""
    installer, system, is_honest = pl.col("installer"), pl.col("system"), pl.col("category") == "honest"
    conditions: Mapping[str, pl.Expr] = {
        "raw": pl.lit(value=True),
        **{category: pl.col("category") == category for category in CATEGORIES},
        **{name: is_honest & (installer == name) for name in INSTALLERS},
        **{column: is_honest & (system == name) for column, name in SYSTEM_COLUMNS.items()},
        OTHER_SYSTEM: is_honest & ~system.is_in(SYSTEMS).fill_null(value=False),
    }
    return [pl.col("downloads").filter(condition).sum().alias(name) for name, condition in conditions.items()]
