"""Whether Winnow has to read a day now: for the first time, once more, or with another breakdown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from winnow_dagster.core.completeness import DayRows, have_grown, is_recheck_due, is_rechecked
from winnow_dagster.core.coverage import CLOCK_TOLERANCE, ONE_DAY, Coverage, end_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from winnow_dagster.core.names import Selector

LOW_REREAD_DAYS = (3, 10, 30)
"""The ages in days at which Winnow re-reads a day with suspiciously few downloads."""


@dataclass(frozen=True)
class ReadPolicy:
    """Decides whether Winnow has to read a day now.

    A day read less than `settle_days` after its end is provisional; 0 means that every day settles at once.
    """

    now: datetime
    settle_days: int = 0
    read_once: frozenset[Selector] = frozenset()
    """Selectors that are not re-read to settle."""

    rows: Mapping[date, DayRows] = field(default_factory=dict)
    """The newest numbers of rows from the source, by day."""

    low_days: frozenset[date] = frozenset()
    """Days with suspiciously few downloads whose number of rows the source does not know."""

    dimensions: Mapping[Selector, tuple[str, ...]] = field(default_factory=dict)
    """The open dimensions by which to break down what each selector selects."""

    uncounted: frozenset[date] = frozenset()
    """Days of which a prefix or `*` was read and not counted: the run has died."""

    backfill: frozenset[str] = frozenset()
    """Open dimensions for which Winnow re-reads the days that lack them."""

    def has_to_read(self, day: date, coverage: Coverage, selector: Selector) -> bool:
        """Return whether `selector` is not covered on `day`, or has to be re-read."""
        return not coverage.covers(selector) or self.has_to_reread(day, coverage, selector)

    def has_to_reread(self, day: date, coverage: Coverage, selector: Selector) -> bool:
        """Return whether `selector` is covered on `day`, and has to be re-read.

        Winnow re-reads a day once it has settled, and once lost rows have come back. It also re-reads a day whose
        timestamp lies in the future, since a clock that was ahead may have read the day before its end.
        """
        last_read = coverage.last_read(selector)
        if last_read is None:
            return False
        if self.is_ahead(coverage, selector):
            return True
        if self.has_lost_rows(day, coverage, selector):
            return False
        if self.has_come_back(day, coverage, selector) or self._was_interrupted(day, coverage, selector):
            return True
        settles = () if selector in self.read_once else (self.settle_days,)
        moments = (*settles, *(LOW_REREAD_DAYS if day in self.low_days else ()))
        return any(last_read < end_of(day) + days * ONE_DAY <= self.now for days in moments)

    def _was_interrupted(self, day: date, coverage: Coverage, selector: Selector) -> bool:
        """Return whether a run died after it had read a wider selector, and before it read this one's dimensions."""
        wanted = self.dimensions.get(selector, ())
        is_left = selector not in coverage.read and not coverage.dimensions_of(selector).issuperset(wanted)
        return day in self.uncounted and coverage.covers(selector) and is_left

    def has_to_backfill(self, coverage: Coverage, selector: Selector) -> bool:
        """Return whether `selector` was read without a dimension of `backfill` by which it is to be broken down."""
        wanted = self.backfill.intersection(self.dimensions.get(selector, ()))
        return bool(wanted) and coverage.covers(selector) and not wanted <= coverage.dimensions_of(selector)

    def answers(self, wide: Selector, selector: Selector) -> bool:
        """Return whether a request for `wide` answers one for `selector` too, with all its dimensions."""
        wanted = self.dimensions.get(selector, ())
        return wide.covers(selector) and set(wanted) <= set(self.dimensions.get(wide, ()))

    def is_ahead(self, coverage: Coverage, selector: Selector) -> bool:
        """Return whether the newest reading of `selector` has a timestamp in the future."""
        last_read = coverage.last_read(selector)
        return last_read is not None and last_read > self.now + CLOCK_TOLERANCE

    def has_lost_rows(self, day: date, coverage: Coverage, selector: Selector) -> bool:
        """Return whether the source has fewer rows than when `selector` was read. A re-read would replace nothing."""
        rows, before = self.rows.get(day), coverage.facts_of(selector).source_rows
        return rows is not None and before is not None and rows.rows < before

    def has_come_back(self, day: date, coverage: Coverage, selector: Selector) -> bool:
        """Return whether `selector` was read on a marked day, whose rows have come back since."""
        rows, facts = self.rows.get(day), coverage.facts_of(selector)
        return (
            facts.is_short
            and is_rechecked(day, self.now)
            and have_grown(facts.source_rows, rows.rows if rows else None)
        )

    def has_to_ask_for_rows(self, day: date, coverage: Coverage, selector: Selector) -> bool:
        """Return whether `selector` was read on a marked day, and Winnow has to ask for its number of rows today."""
        known = self.rows.get(day)
        return coverage.facts_of(selector).is_short and is_recheck_due(day, known.asked if known else None, self.now)
