"""Pythons on a page: how many downloads each possible cut would affect, and the Pythons in use over time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import polars as pl
from markupsafe import Markup

from winnow_dagster.core.badge import format_share
from winnow_dagster.core.coverage import DAYS_OF_WEEK, ONE_DAY
from winnow_dagster.core.dimensions import PYTHON
from winnow_dagster.core.values import MIN_PERCENTAGE_DOWNLOADS, NOT_SAID, order_values
from winnow_dagster.site.scale import bins_of
from winnow_dagster.site.value_chart import stack
from winnow_dagster.site.words import NOT_SAID_NAME, name_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.breakdowns import Breakdown
    from winnow_dagster.site.scale import Bin

MAX_CUTS = 12
MAX_DAYS = 365
MAX_SERIES = 8
"""The maximum number of Pythons with a colour of their own."""


class Cut(NamedTuple):
    """What dropping a Python and all older ones would affect."""

    newest: str
    """The newest Python that the cut drops."""

    is_oldest: bool
    honest: str
    """The affected part of the honest downloads: `1.8%` or `2 of 12`."""

    everything: str
    """The affected part of the honest downloads and those of CI, likewise."""

    is_share: bool


class ValueChart(NamedTuple):
    """The charts of the same days for honest downloads, CI and both."""

    charts: Sequence[tuple[str, Markup]]
    """The name and picture of each."""

    legend: Sequence[tuple[str, str]]
    """The CSS class and name of each series, from top to bottom."""

    summary: str
    has_gaps: bool


def list_cuts(breakdown: Breakdown) -> list[Cut]:
    """Return each possible cut, the smallest first. All shares are of downloads that name a Python."""
    honest, ci = breakdown.honest, breakdown.ci
    both = {value: honest.get(value, 0) + ci.get(value, 0) for value in {*honest, *ci}}
    versions = [value for value in order_values(PYTHON, both) if value != NOT_SAID]
    shows_shares = sum(honest.get(version, 0) for version in versions) >= MIN_PERCENTAGE_DOWNLOADS

    def affected(counts: Mapping[str, int], gone: Sequence[str]) -> str:
        part, whole = (sum(counts.get(version, 0) for version in which) for which in (gone, versions))
        return format_share(part, whole) if shows_shares else f"{part:,} of {whole:,}"

    if not any(honest.get(version) for version in versions):
        return []
    cuts = []
    for at, newest in enumerate(versions[:-1]):
        gone = versions[: at + 1]
        cuts.append(Cut(newest, at == 0, affected(honest, gone), affected(both, gone), shows_shares))
    return cuts[-MAX_CUTS:]


@dataclass(frozen=True)
class _Series:
    """One series of a chart."""

    style: str
    """Its CSS class."""

    name: str
    values: Sequence[str]


def plot_pythons(rows: pl.DataFrame, known: set[date]) -> ValueChart | None:
    """Return the charts of the last MAX_DAYS days up to the newest known one; None for less than two days.

    `rows`: the date, value, honest and CI downloads of the known days.
    """
    if not known or min(known) == max(known):
        return None
    last = max(known)
    first = max(min(known), last - (MAX_DAYS - 1) * ONE_DAY)
    bins = bins_of(known, first, last)
    sums = _sum_bins(rows.lazy().filter(pl.col("date") >= first), bins)
    if not any(honest for _, _, honest, _ in sums):
        return None
    shown = _choose(sums)
    unit = f"average day of each week, {DAYS_OF_WEEK} days up to the day shown" if bins[0].length > 1 else "by day"
    charts, heights = [], _stack_up(sums, shown, len(bins))
    for column, name in (("honest", "honest"), ("ci", "CI"), ("all", "all")):
        series = zip((each.style for each in shown), heights[column], strict=True)
        title = f"{'Honest and CI' if column == 'all' else name[0].upper() + name[1:]} downloads by Python, {unit}"
        charts.append((name, Markup(stack(bins, list(series), f"python-{column}", title))))  # noqa: S704 - numbers and our own words
    missing = (last - first).days + 1 - sum(day >= first for day in known)
    summary = f"{first} to {last}, {unit}" + (f", {missing} days missing" if missing else "")
    return ValueChart(charts, [(each.style, each.name) for each in reversed(shown)], summary, missing > 0)


def _sum_bins(rows: pl.LazyFrame, bins: Sequence[Bin]) -> list[tuple[str, int, int, int]]:
    """Return the honest and CI downloads by value and bin. Bin -1 has the days before the first whole bin."""
    place = (pl.col("date") - bins[0].first).dt.total_days() // bins[0].length
    return rows.group_by("value", bin=place).agg(pl.col("honest", "ci").sum()).collect().rows()


def _choose(sums: Iterable[tuple[str, int, int, int]]) -> list[_Series]:
    """Return the series, the lowest first: not said, all small ones together, then the largest from old to new."""
    totals: Counter[str] = Counter()
    for value, _, honest, ci in sums:
        totals[value] += honest + ci
    named = sorted(set(totals) - {NOT_SAID}, key=lambda value: (-totals[value], value))
    largest = order_values(PYTHON, named[:MAX_SERIES])
    # The newest Python has the last colour, so that its colour is the same on all pages with enough Pythons.
    styles = [f"v-{MAX_SERIES - len(largest) + at + 1}" for at in range(len(largest))]
    shown = [_Series("c-unknown", NOT_SAID_NAME, [NOT_SAID])] if NOT_SAID in totals else []
    others = named[MAX_SERIES:]
    shown += (
        [_Series("c-other", name_value(PYTHON.name, others[0]) if len(others) == 1 else "others", others)]
        if others
        else []
    )
    return shown + [
        _Series(style, name_value(PYTHON.name, value), [value]) for style, value in zip(styles, largest, strict=True)
    ]


def _stack_up(
    sums: Iterable[tuple[str, int, int, int]], series: Sequence[_Series], bins: int
) -> dict[str, list[list[int]]]:
    """Return the honest, CI and all downloads of each series by bin."""
    found = {column: [[0] * bins for _ in series] for column in ("honest", "ci", "all")}
    owners = {value: at for at, each in enumerate(series) for value in each.values}
    for value, place, honest, ci in sums:
        if place >= 0:
            for column, downloads in (("honest", honest), ("ci", ci), ("all", honest + ci)):
                found[column][owners[value]][place] += downloads
    return found
