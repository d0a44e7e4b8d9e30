"""Days: stored counts with their coverage, what is asked of them, and what they say of a package."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.window import keep_newest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import date

    from winnow_dagster.core.coverage import Coverage
    from winnow_dagster.core.history import History
    from winnow_dagster.core.window import PackageState

MAX_WAIT_DAYS = 30
"""For how many days the window ALL waits for a missing one; as many are read if no window is longer."""

MAX_ROWS_IN_MEMORY = 20_000
"""How many stored rows are held in memory while packages are counted, or a day's if it has more."""


@dataclass(frozen=True)
class Days:
    """Counts of one or more days, told apart by their `date` column, and the coverage of each of the days."""

    counts: pl.LazyFrame
    coverage: Mapping[date, Coverage]
    by_day: Mapping[date, pl.LazyFrame] = field(default_factory=dict)
    """The same counts, of each day by itself, where they are stored so."""

    def derive(self, transform: Callable[[pl.LazyFrame], pl.LazyFrame]) -> Days:
        """Return other counts of the same days, with the same coverage."""
        return Days(
            transform(self.counts), self.coverage, {day: transform(counts) for day, counts in self.by_day.items()}
        )

    def of(self, day: date) -> pl.LazyFrame:
        """Return the counts of one of the days."""
        return self.by_day[day] if day in self.by_day else self.counts.filter(pl.col("date") == day)

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield the counts a few days at a time: no more rows than are quickly counted."""
        held: list[pl.DataFrame] = []
        for counts in self.by_day.values() or [self.counts]:
            held.append(counts.collect(engine="streaming"))
            if sum(rows.height for rows in held) >= MAX_ROWS_IN_MEMORY:
                yield pl.concat(held)
                held = []
        if held:
            yield pl.concat(held)


@dataclass(frozen=True)
class Package:
    """All that is known of one package or group: its windows, and each of its days."""

    state: PackageState
    history: History

    @property
    def source(self) -> str:
        """The kind of source that the numbers come from."""
        return self.state.source

    @property
    def as_of(self) -> set[date]:
        """The newest day of each window that has numbers, configured or not."""
        return {w.counts.window.as_of for w in (*self.state.windows, *self.state.former) if w.counts}

    def keep_newest(self, published: Package) -> Package:
        """Return this with the published windows where they are newer, and with the published days that it lacks."""
        return Package(keep_newest(published.state, self.state), self.history.keep(published.history))


@dataclass(frozen=True)
class CountOptions:
    """What is asked of the stored days: up to which one, of which source, and when a day settles."""

    through: date
    source: str
    settle_days: int = 0
    short_days: frozenset[date] = frozenset()
    """Days that Winnow does not read, since the source has lost rows of them."""

    empty_days: frozenset[date] = frozenset()
    """Days that Winnow counts although the source unusually returned no rows."""
