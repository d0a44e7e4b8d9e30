"""Quality: days with suspiciously few downloads, for sources that do not know how many rows a day has.

Compares only config entries that both days cover, since a package may have been added in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING

from winnow_dagster.core.completeness import MIN_COMPARED, WEEKS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.coverage import Coverage
    from winnow_dagster.core.names import Selector

LOW_SHARE = 0.5
MIN_USUAL_OF_LOW = 1000
MIN_USUAL_OF_EMPTY = 100
"""Below these medians, few or no downloads may be chance."""


@dataclass(frozen=True)
class QuietDays:
    """Days with fewer downloads than usual, each with its downloads and the median of its weekday."""

    low: Mapping[date, tuple[int, int]]
    empty: Mapping[date, tuple[int, int]]
    """Days without a single download, which are treated as short."""


class QuietDayFinder:
    """Finds the days on which all these selectors together have suspiciously few downloads.

    Judges only readings without the source's number of rows. Judges a day once for as long as its coverage and that of
    the weeks before are the same objects: a collect asks dozens of times.
    """

    def __init__(self, selectors: Collection[Selector]) -> None:
        self._selectors = selectors
        self._known: dict[date, tuple[list[Coverage | None], _Judgement | None]] = {}

    def find(self, coverage: Mapping[date, Coverage], judged: Iterable[date]) -> QuietDays:
        """Return which of the judged days are quiet."""
        found = {day: judgement for day in judged if (judgement := self._judge(day, coverage)) is not None}
        return QuietDays(
            {day: (each.found, each.usual) for day, each in found.items() if not each.is_empty},
            {day: (each.found, each.usual) for day, each in found.items() if each.is_empty},
        )

    def _judge(self, day: date, coverage: Mapping[date, Coverage]) -> _Judgement | None:
        compared = [coverage.get(day - timedelta(weeks=n)) for n in range(WEEKS + 1)]
        known, judgement = self._known.get(day, ([], None))
        if len(known) < len(compared) or any(a is not b for a, b in zip(known, compared, strict=True)):
            judgement = _judge(compared[0], [week for week in compared[1:] if week], self._selectors)
            self._known[day] = compared, judgement
        return judgement


@dataclass(frozen=True)
class _Judgement:
    found: int
    usual: int
    is_empty: bool


def _judge(day: Coverage | None, weeks: Sequence[Coverage], selectors: Iterable[Selector]) -> _Judgement | None:
    """Compare a day with the same weekday in the weeks before; return None unless it is quiet."""
    if day is None or len(weeks) < MIN_COMPARED:
        return None
    today = _downloads(day, selectors, only_unknown=True)
    totals, ratios = [], []
    for week in weeks if today else ():
        before = _downloads(week, today, only_unknown=False)
        usual = sum(before.values())
        if usual:
            totals.append(usual)
            ratios.append(sum(today[selector] for selector in before) / usual)
    if len(totals) < MIN_COMPARED:
        return None
    found, usual = sum(today.values()), round(median(totals))
    is_empty = found == 0 and usual >= MIN_USUAL_OF_EMPTY
    is_low = usual >= MIN_USUAL_OF_LOW and median(ratios) < LOW_SHARE
    return _Judgement(found, usual, is_empty) if is_empty or is_low else None


def _downloads(coverage: Coverage, selectors: Iterable[Selector], *, only_unknown: bool) -> dict[Selector, int]:
    """Return the raw downloads of each selector that was read by itself on a day."""
    found: dict[Selector, int] = {}
    for selector in selectors:
        facts = coverage.facts.get(selector)
        if selector in coverage.read and facts is not None and facts.downloads is not None:
            if only_unknown and facts.source_rows is not None:
                continue
            found[selector] = facts.downloads
    return found
