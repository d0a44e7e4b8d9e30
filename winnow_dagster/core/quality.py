"""Quality: days with suspiciously few downloads, for sources that do not know how many rows a day has.

Compares only config entries that both days cover, since a package may have been added in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING

from winnow_dagster.core.completeness import MIN_COMPARED, WEEKS
from winnow_dagster.core.coverage import NOTHING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
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


def find_quiet_days(
    coverage: Mapping[date, Coverage], selectors: Collection[Selector], judged: Iterable[date]
) -> QuietDays:
    """Return the judged days on which all these selectors together have suspiciously few downloads.

    Judges only readings without the source's number of rows.
    """
    low: dict[date, tuple[int, int]] = {}
    empty: dict[date, tuple[int, int]] = {}
    for day in judged:
        today = _downloads(coverage.get(day, NOTHING), selectors, only_unknown=True)
        weeks = [day - timedelta(weeks=n) for n in range(1, WEEKS + 1)]
        totals, ratios = [], []
        for week in weeks if today else ():
            before = _downloads(coverage.get(week, NOTHING), today, only_unknown=False)
            usual = sum(before.values())
            if usual:
                totals.append(usual)
                ratios.append(sum(today[selector] for selector in before) / usual)
        if len(totals) < MIN_COMPARED:
            continue
        found, usual = sum(today.values()), round(median(totals))
        if found == 0 and usual >= MIN_USUAL_OF_EMPTY:
            empty[day] = found, usual
        elif usual >= MIN_USUAL_OF_LOW and median(ratios) < LOW_SHARE:
            low[day] = found, usual
    return QuietDays(low, empty)


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
