"""Stored days: their counts and coverage, the options of a count, and the resulting package."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.breakdowns import NO_BREAKDOWNS, PackageBreakdowns
from winnow_dagster.core.window import keep_newest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import date

    from winnow_dagster.core.coverage import Coverage
    from winnow_dagster.core.history import History
    from winnow_dagster.core.window import PackageState

MAX_WAIT_DAYS = 30
"""The number of days that the window ALL waits for a missing day. Winnow reads at least that many days for it."""

MAX_ROWS_IN_MEMORY = 20_000
"""The number of stored rows after which a batch ends. A batch holds whole days."""


@dataclass(frozen=True)
class Days:
    """The counts of one or more days, in one frame with a `date` column, and the coverage of each day."""

    counts: pl.LazyFrame
    coverage: Mapping[date, Coverage]
    by_day: Mapping[date, pl.LazyFrame] = field(default_factory=dict)
    """The same counts by day, if each day has a file of its own."""

    def derive(self, transform: Callable[[pl.LazyFrame], pl.LazyFrame]) -> Days:
        """Return the transformed counts with the same coverage."""
        return Days(
            transform(self.counts), self.coverage, {day: transform(counts) for day, counts in self.by_day.items()}
        )

    def of(self, day: date) -> pl.LazyFrame:
        """Return the counts of one of the days."""
        return self.by_day[day] if day in self.by_day else self.counts.filter(pl.col("date") == day)

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield the counts in batches of whole days, to bound memory."""
        batch: list[pl.DataFrame] = []
        for counts in self.by_day.values() or [self.counts]:
            batch.append(counts.collect(engine="streaming"))
            if sum(rows.height for rows in batch) >= MAX_ROWS_IN_MEMORY:
                yield pl.concat(batch)
                batch = []
        if batch:
            yield pl.concat(batch)


@dataclass(frozen=True)
class Package:
    """The state of one package or group, and its history."""

    state: PackageState
    history: History
    breakdowns: PackageBreakdowns = NO_BREAKDOWNS
    """The breakdowns of the days that this publication computed. Files keep the published breakdowns of other days."""

    @property
    def source(self) -> str:
        """The kind of source that the numbers come from."""
        return self.state.source

    @property
    def as_of(self) -> set[date]:
        """The newest day of each window that has numbers, configured or not."""
        return {w.counts.window.as_of for w in (*self.state.windows, *self.state.former) if w.counts}

    def keep_newest(self, published: Package) -> Package:
        """Return this package with the published windows that are newer and the published days that it lacks."""
        state = keep_newest(published.state, self.state)
        kept = published.history
        if published.source != self.source:
            kept = kept.from_source(published.source)
        return Package(state, self.history.keep_published(kept), self.breakdowns)


@dataclass(frozen=True)
class CountOptions:
    """The options of a count: the newest day to include, the kind of source, and when a day settles."""

    through: date
    source: str
    settle_days: int = 0
    short_days: frozenset[date] = frozenset()
    """Days that Winnow does not read because the source has lost rows of them."""

    empty_days: frozenset[date] = frozenset()
    """Days that Winnow counts although the source unusually returned no rows."""
