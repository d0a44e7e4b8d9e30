"""Which days the source seems to lack, whole or in part. Such a day is read again, and is never published as a 0."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from winnow_dagster.core.completeness import ALL_ENTRIES, Judgement, is_read_anyway, judge_days
from winnow_dagster.core.coverage import NOTHING
from winnow_dagster.core.quality import QuietDayFinder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from winnow_dagster.config.settings import Settings
    from winnow_dagster.core.coverage import Coverage
    from winnow_dagster.core.quality import QuietDays
    from winnow_dagster.defs.clock import Clock
    from winnow_dagster.store.raw import RawStore
    from winnow_dagster.store.source_rows import SourceRows


@dataclass(frozen=True)
class DayJudge:
    """Judges days by the rows that the source has of all packages, and by the downloads of all entries together."""

    settings: Settings
    clock: Clock
    raw: RawStore
    source_rows: SourceRows

    def quiet_days(self, judged: Iterable[date]) -> QuietDays:
        """Return which of these days have suspiciously few downloads, and which have none."""
        return self._finder.find(self.raw.coverages(self.raw.stored_days()), judged)

    @cached_property
    def _finder(self) -> QuietDayFinder:
        return QuietDayFinder(self.settings.windows)

    def by_rows(self, days: Iterable[date]) -> dict[date, Judgement]:
        """Return the judgement of each day whose number of rows at the source is known."""
        rows = {day: known.rows for day, known in self.source_rows.load().items()}
        judged = judge_days(rows, self.settings.source.counted_rows)
        return {day: judged[day] for day in days if day in judged}

    def trusted(self, coverage: Mapping[date, Coverage], *, once_a_day: bool = False) -> dict[date, Coverage]:
        """Return the coverage without recent days for which the source unusually returned no rows.

        With `once_a_day`, keep the days that were read today, so that Winnow re-reads each once a day.
        """
        today = self.clock.now().date()
        empty = self._empty_days(coverage)
        read_today = {
            day for day in empty if once_a_day and any(at.date() == today for at in coverage[day].read.values())
        }
        return {day: found for day, found in coverage.items() if day not in empty or day in read_today}

    def short_days(self) -> dict[date, Judgement]:
        """Return the short days that the longest window of some entry needs."""
        now, through = self.clock.now(), self.clock.through
        days = self.settings.days_of_longest_window(through)
        judged = self.by_rows(days).items()
        short = {day: judgement for day, judgement in judged if judgement.is_short and not is_read_anyway(day, now)}
        short |= self._empty_days(days)
        stored = self.trusted(self.raw.coverages(short))
        return {
            day: judgement
            for day, judgement in short.items()
            if any(
                (through - day).days < longest and not stored.get(day, NOTHING).covers(selector)
                for selector, longest in self.settings.longest_windows.items()
            )
        }

    def _empty_days(self, days: Iterable[date]) -> dict[date, Judgement]:
        """Return a judgement for each day that counts as short because all entries together have no download."""
        now = self.clock.now()
        recent = [day for day in days if not is_read_anyway(day, now)]
        empty = self.quiet_days(recent).empty if recent else {}
        return {day: Judgement(found, usual, is_short=True, of=ALL_ENTRIES) for day, (found, usual) in empty.items()}
