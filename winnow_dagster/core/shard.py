"""Shards: the numbers of all packages whose names share their first characters. `*` publishes one file per shard.

That file is the record of its packages: Winnow publishes it before their badges, and reads it back before it publishes
anything newer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import BADGE_KINDS
from winnow_dagster.core.dimensions import DIMENSIONS
from winnow_dagster.core.window import PackageState, Window, WindowCounts, WindowState

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.badge import BadgeStyle

HEADLINE_COLUMNS = ("honest", "raw")
"""The columns of a package's headline badge."""

ALL_COLUMNS = (*HEADLINE_COLUMNS, *(d.number(key) for d in DIMENSIONS if d.slug for key in d.values))
"""The columns of all badges: HEADLINE_COLUMNS and the numbers of each dimension."""

SHOWN_COLUMNS = {kind.slug: frozenset((*kind.numbers, *(("raw",) * kind.is_share))) for kind in BADGE_KINDS}
"""The columns that a badge shows, by its slug."""

SHARD_LENGTH = 2
"""The number of first characters that the names of a shard share."""

Numbers = tuple[int | None, ...]
"""The counts of one package, window after window, column after column. None is unknown, which is not 0 (R1)."""


@dataclass(frozen=True)
class Shard:
    """The numbers of the packages of one shard. Each window has the same columns."""

    source: str
    columns: tuple[str, ...]
    windows: tuple[Window, ...]
    """The newest whole window of each length, the headline's first."""

    lengths: tuple[int, ...]
    """The configured length of each window in days, in the order of `windows`."""

    packages: Mapping[str, Numbers]

    @property
    def as_of(self) -> set[date]:
        """The newest day of each window."""
        return {window.as_of for window in self.windows}

    def state(self, numbers: Numbers) -> PackageState:
        """Return the state of a package with these numbers. It has no name."""
        found = []
        for days, window in zip(self.lengths, self.windows, strict=True):
            counted = self.counted(numbers, days)
            if "honest" in counted:
                found.append(WindowState(days, WindowCounts(window, counted), days))
        return PackageState("", self.source, tuple(found))

    def counted(self, numbers: Numbers, days: int) -> dict[str, int]:
        """Return the known counts by column of a package with these numbers, in the window of that length."""
        at = self.lengths.index(days) * len(self.columns)
        part = zip(self.columns, numbers[at : at + len(self.columns)], strict=True)
        return {column: count for column, count in part if count is not None}

    def common_lengths(self, other: Shard) -> list[int]:
        """Return the lengths of the windows that cover the same days in `other`; none if the columns differ."""
        theirs = dict(zip(other.lengths, other.windows, strict=True)) if other.columns == self.columns else {}
        return [days for days, window in zip(self.lengths, self.windows, strict=True) if theirs.get(days) == window]

    def can_show(self, numbers: Numbers, days: int, slug: str) -> bool:
        """Return whether these numbers include every column that a badge shows."""
        return self.counted(numbers, days).keys() >= SHOWN_COLUMNS[slug]

    def keep_newest(self, published: Shard | None) -> Shard:
        """Return this shard with the published windows that are newer or no longer configured.

        A package without downloads in a computed window has counts of 0 there. If a published window lacks a package or
        a column, its count is unknown.
        """
        if published is None:
            return self
        here = {days: at for at, days in enumerate(self.lengths)}
        there = {days: at for at, days in enumerate(published.lengths)}
        lengths = tuple(dict.fromkeys([*self.lengths, *published.lengths]))
        windows, sources = [], []
        for days in lengths:
            is_mine = days in here and (
                days not in there or self.windows[here[days]].as_of >= published.windows[there[days]].as_of
            )
            side, at = (self, here[days]) if is_mine else (published, there[days])
            windows.append(side.windows[at])
            sources.append((side, at))
        names = sorted({*self.packages, *published.packages})
        nothing = (0,) * len(self.windows) * len(self.columns)
        merged: dict[str, Numbers]
        if all(side is self for side, _ in sources):
            merged = {name: self.packages.get(name, nothing) for name in names}
        else:
            merged = {}
            for name in names:
                mine, theirs = self.packages.get(name, nothing), published.packages.get(name)
                parts = [
                    _part(self, mine, at, self.columns) if side is self else _part(side, theirs, at, self.columns)
                    for side, at in sources
                ]
                merged[name] = tuple(count for part in parts for count in part)
        kept = self.windows if tuple(windows) == self.windows else tuple(windows)
        return replace(self, windows=kept, lengths=lengths, packages=merged)

    def without(self, lengths: Collection[int]) -> Shard:
        """Return this shard without the windows of these lengths."""
        kept = [at for at, days in enumerate(self.lengths) if days not in lengths]
        return replace(
            self,
            windows=tuple(self.windows[at] for at in kept),
            lengths=tuple(self.lengths[at] for at in kept),
            packages={
                name: tuple(count for at in kept for count in _part(self, numbers, at, self.columns))
                for name, numbers in self.packages.items()
            },
        )


def shard_of(package: str) -> str:
    """Return the name of a package's shard."""
    return package[:SHARD_LENGTH]


def columns_for(style: BadgeStyle) -> tuple[str, ...]:
    """Return the columns that Winnow has to count for these badges."""
    return (
        HEADLINE_COLUMNS if all(SHOWN_COLUMNS[slug] <= set(HEADLINE_COLUMNS) for slug in style.slugs) else ALL_COLUMNS
    )


def _part(shard: Shard, numbers: Numbers | None, at: int, columns: Sequence[str]) -> Numbers:
    """Return the numbers of one window, in the order of `columns`."""
    start = at * len(shard.columns)
    if numbers is not None and columns == shard.columns:
        return numbers[start : start + len(columns)]
    found = dict(zip(shard.columns, numbers[start:], strict=False)) if numbers else {}
    return tuple(found.get(column) for column in columns)
