"""Shards: the numbers of all packages whose names begin alike, of which `*` publishes a file each.

The numbers of a shard are its record: they are published before its badges are, and read back before anything newer is.
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
"""What is counted of each package for its headline."""

ALL_COLUMNS = (*HEADLINE_COLUMNS, *(d.number(key) for d in DIMENSIONS if d.slug for key in d.values))
"""What is counted for all badges: the honest ones by the dimensions too."""

SHOWN_COLUMNS = {kind.slug: frozenset((*kind.numbers, *(("raw",) * kind.is_share))) for kind in BADGE_KINDS}
"""By slug, the columns that a badge shows."""

SHARD_LENGTH = 2
"""How many characters the names of a shard begin with in common."""

Numbers = tuple[int | None, ...]
"""Of one package: for each window, its columns; None where nobody counted it, which is not 0 (R1)."""


@dataclass(frozen=True)
class Shard:
    """The numbers of the packages whose names begin alike: for each window the same columns."""

    source: str
    columns: tuple[str, ...]
    windows: tuple[Window, ...]
    """The newest whole ones, the headline's first; each length once."""

    lengths: tuple[int, ...]
    """How many days each was asked for; the order is that of `windows`."""

    packages: Mapping[str, Numbers]

    @property
    def as_of(self) -> set[date]:
        """The newest day of each window."""
        return {window.as_of for window in self.windows}

    def state(self, numbers: Numbers) -> PackageState:
        """Return what is known of a package with these numbers, of whatever name."""
        found = []
        for days, window in zip(self.lengths, self.windows, strict=True):
            counted = self.counted(numbers, days)
            if "honest" in counted:
                found.append(WindowState(days, WindowCounts(window, counted), days))
        return PackageState("", self.source, tuple(found))

    def counted(self, numbers: Numbers, days: int) -> dict[str, int]:
        """Return what was counted of a package with these numbers in the window of that length, by column."""
        at = self.lengths.index(days) * len(self.columns)
        part = zip(self.columns, numbers[at : at + len(self.columns)], strict=True)
        return {column: count for column, count in part if count is not None}

    def common(self, other: Shard) -> list[int]:
        """Return the lengths of the windows that another has of the same days, with the same columns."""
        theirs = dict(zip(other.lengths, other.windows, strict=True)) if other.columns == self.columns else {}
        return [days for days, window in zip(self.lengths, self.windows, strict=True) if theirs.get(days) == window]

    def knows(self, numbers: Numbers, days: int, slug: str) -> bool:
        """Tell whether all was counted that a badge shows of a package with these numbers."""
        return self.counted(numbers, days).keys() >= SHOWN_COLUMNS[slug]

    def keep_newest(self, published: Shard | None) -> Shard:
        """Return this with what is published of newer days, of windows that are no longer asked for, or of others.

        A published package that was not downloaded in a window has counts of 0 there. What was published without a
        package or a column says nothing of it.
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
        """Return this without the windows of these lengths."""
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
    """Return the name of the shard that a package is in."""
    return package[:SHARD_LENGTH]


def columns_for(look: BadgeStyle) -> tuple[str, ...]:
    """Return what has to be counted for these badges."""
    return HEADLINE_COLUMNS if all(SHOWN_COLUMNS[slug] <= set(HEADLINE_COLUMNS) for slug in look.slugs) else ALL_COLUMNS


def _part(shard: Shard, numbers: Numbers | None, at: int, columns: Sequence[str]) -> Numbers:
    """Return the numbers of one window, in the order of `columns`."""
    start = at * len(shard.columns)
    if numbers is not None and columns == shard.columns:
        return numbers[start : start + len(columns)]
    found = dict(zip(shard.columns, numbers[start:], strict=False)) if numbers else {}
    return tuple(found.get(column) for column in columns)
