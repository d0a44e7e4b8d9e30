"""The sections of a page that break down the headline window, honest and CI apart.

They come from published files only, so a page also shows days that the store has lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import polars as pl
from markupsafe import Markup, escape

from winnow_dagster.core.day_ranges import days_in, newest_run
from winnow_dagster.core.dimensions import KERNEL, OPEN_DIMENSIONS, PYTHON, VERSION
from winnow_dagster.core.values import MIN_PERCENTAGE_DOWNLOADS, NOT_SAID, order_values, sum_first_parts
from winnow_dagster.site.breakdown_days import csv_name, read_days, sum_days
from winnow_dagster.site.pythons import list_cuts, plot_pythons
from winnow_dagster.site.upgrades import list_upgrades
from winnow_dagster.site.words import NOT_SAID_NAME, format_aligned_share, format_interval, name_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.breakdowns import Breakdown
    from winnow_dagster.core.dimensions import OpenDimension
    from winnow_dagster.core.unsaid_ci import UnsaidCi
    from winnow_dagster.core.window import PackageState, Window
    from winnow_dagster.site.breakdown_files import PublishedBreakdowns
    from winnow_dagster.site.pythons import Cut, ValueChart
    from winnow_dagster.site.upgrades import Upgrades

MAX_BARS = 12
MAX_VERSIONS = 10
MAX_LINES = 100
"""The maximum number of values in a table. The files have all of them."""

OTHERS, OLDER = "others", "older"


class Line(NamedTuple):
    """A value, its downloads, and their shares in words."""

    name: str
    honest: int
    ci: int
    honest_share: str
    ci_share: str
    honest_width: float
    """The width of the bar of its honest share, in percent of the longest bar."""

    ci_width: float

    @property
    def bar(self) -> Markup:
        """Two bars: the share of the honest downloads above that of CI."""
        return Markup(  # noqa: S704 - numbers only
            '<svg class="pair" viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true">'
            f'<path class="c-honest" d="M0 1h{self.honest_width:.4g}v8.5H0z"/>'
            f'<path class="c-ci" d="M0 11h{self.ci_width:.4g}v7H0z"/></svg>'
        )


@dataclass(frozen=True)
class Section:
    """One breakdown on a page."""

    name: str
    title: str
    has_versions: bool
    length: str
    """The days that it adds up, in words."""

    note: str
    """Since when the dimension is known; empty if it is known for the whole window."""

    shows_shares: bool
    bars: Sequence[Line]
    table: Sequence[Line]
    left_out: int
    """The number of values that the table adds up in its line of others."""

    file: str
    cuts: Sequence[Cut] = ()
    """What each possible cut of old Pythons would affect."""

    chart: ValueChart | None = None
    upgrades: Upgrades | None = None
    unsaid_ci: UnsaidCi | None = None
    """The estimate of unsaid CI, which is learned from kernels."""

    @property
    def unsaid_jobs(self) -> str:
        """The interval of the estimate in words."""
        return format_interval(self.unsaid_ci.low, self.unsaid_ci.high) if self.unsaid_ci else ""

    @property
    def bar_rows(self) -> Markup:
        """The rows of bars as HTML. Jinja takes four times as long for them."""
        return _join(
            f'<tr><th scope="row">{escape(line.name)}</th><td>{line.bar if self.shows_shares else ""}</td>'
            f'<td class="n">{line.honest_share if self.shows_shares else f"{line.honest:,}"}</td>'
            f'<td class="n">{line.ci_share if self.shows_shares else f"{line.ci:,}"}</td></tr>\n'
            for line in self.bars
        )

    @property
    def table_rows(self) -> Markup:
        """The rows of the table."""
        return _join(
            f'<tr><th scope="row">{escape(line.name)}</th>'
            f'<td class="n">{line.honest:,}</td><td class="n">{line.honest_share if self.shows_shares else ""}</td>'
            f'<td class="n">{line.ci:,}</td><td class="n">{line.ci_share if self.shows_shares else ""}</td></tr>\n'
            for line in self.table
        )


def format_sections(
    state: PackageState, found: PublishedBreakdowns, read: Callable[[str], bytes | None]
) -> Iterator[Section]:
    """Yield a section for each dimension that is known in the headline window. `read`: returns a file by its name."""
    if state.headline.counts is None:
        return
    window = state.headline.counts.window
    for name, ranges in found.days.items():
        dimension = OPEN_DIMENSIONS[name]
        whole = found.windows.get(state.headline.days, {}).get(name)
        breakdown = whole or _known_part(name, newest_run(days_in(ranges), window.first_day, window.as_of), read)
        if breakdown is None or not (breakdown.honest or breakdown.ci):
            continue
        if dimension.joined:
            honest, ci = sum_first_parts(breakdown.honest), sum_first_parts(breakdown.ci)
            breakdown = replace(breakdown, honest=honest, ci=ci)
        yield Section(
            name,
            dimension.title,
            dimension.has_versions,
            _length(breakdown),
            "" if whole else _note(breakdown, window),
            _shows_shares(breakdown),
            _lines(breakdown, *_main_values(dimension, breakdown)),
            *_table(dimension, breakdown),
            csv_name(name),
            list_cuts(breakdown) if dimension is PYTHON else (),
            plot_pythons(_rows(name, found, read), days_in(ranges)) if dimension is PYTHON else None,
            list_upgrades(_rows(name, found, read), days_in(ranges)) if dimension is VERSION else None,
            found.unsaid_ci.get(state.headline.days) if dimension is KERNEL and whole else None,
        )


def _join(rows: Iterable[str]) -> Markup:
    return Markup("".join(rows))  # noqa: S704 - numbers, our own words, and escaped names


def _rows(name: str, found: PublishedBreakdowns, read: Callable[[str], bytes | None]) -> pl.DataFrame:
    """Return the counts of the known days. The file also has the days of other sources, which add up with nothing."""
    rows = read_days(name, read(csv_name(name)))
    return rows.filter(pl.col("date").is_in(sorted(days_in(found.days[name])))) if found.others else rows


def _known_part(name: str, days: Sequence[date], read: Callable[[str], bytes | None]) -> Breakdown | None:
    return sum_days(read_days(name, read(csv_name(name)), days[0]), name, days[0], days[-1]) if days else None


def _note(breakdown: Breakdown, window: Window) -> str:
    known = (breakdown.last_day - breakdown.first_day).days + 1
    until = "" if breakdown.last_day == window.as_of else f" to {breakdown.last_day}"
    since = f"from {breakdown.first_day}{until}" if until else f"since {breakdown.first_day}"
    return f"Known {since}, {known} of {window.days} days."


def _length(breakdown: Breakdown) -> str:
    days = (breakdown.last_day - breakdown.first_day).days + 1
    return f"{'1 day' if days == 1 else f'{days} days'}, {breakdown.first_day} to {breakdown.last_day}"


def _shows_shares(breakdown: Breakdown) -> bool:
    return sum(breakdown.honest.values()) >= MIN_PERCENTAGE_DOWNLOADS


def _values(breakdown: Breakdown) -> set[str]:
    return {*breakdown.honest, *breakdown.ci} - {NOT_SAID}


def _by_size(breakdown: Breakdown) -> list[str]:
    return sorted(
        _values(breakdown), key=lambda value: (-breakdown.honest.get(value, 0), -breakdown.ci.get(value, 0), value)
    )


def _main_values(dimension: OpenDimension, breakdown: Breakdown) -> tuple[list[str], str]:
    """Return the values with bars, the first on top, and the name of the others."""
    if dimension is VERSION:
        return order_values(dimension, _values(breakdown))[::-1][:MAX_VERSIONS], OLDER
    largest = _by_size(breakdown)[:MAX_BARS]
    return (order_values(dimension, largest)[::-1] if dimension.has_versions else largest), OTHERS


def _table(dimension: OpenDimension, breakdown: Breakdown) -> tuple[list[Line], int]:
    """Return the lines of the table, and the number of values that it leaves out."""
    values = _values(breakdown)
    ordered = order_values(dimension, values)[::-1] if dimension.has_versions else _by_size(breakdown)
    others = OLDER if dimension is VERSION else OTHERS
    return _lines(breakdown, ordered[:MAX_LINES], others), max(len(values) - MAX_LINES, 0)


def _lines(breakdown: Breakdown, values: Sequence[str], others: str) -> list[Line]:
    """Return a line for each value, for all others, and for not said."""
    honest, ci = _split(breakdown.honest, values), _split(breakdown.ci, values)
    names = [*(name_value(breakdown.dimension, value) for value in values), others, NOT_SAID_NAME]
    totals = sum(honest), sum(ci)
    kept = [
        (name, (mine, theirs))
        for at, (name, mine, theirs) in enumerate(zip(names, honest, ci, strict=True))
        if at < len(values) or mine or theirs
    ]
    most = max(_part(count, total) for _, counts in kept for count, total in zip(counts, totals, strict=True))
    return [
        Line(
            name,
            mine,
            theirs,
            format_aligned_share(mine, totals[0]),
            format_aligned_share(theirs, totals[1]),
            100 * _part(mine, totals[0]) / most,
            100 * _part(theirs, totals[1]) / most,
        )
        for name, (mine, theirs) in kept
    ]


def _split(counts: Mapping[str, int], values: Sequence[str]) -> list[int]:
    """Return the counts of these values, of all others, and of not said."""
    shown, not_said = [counts.get(value, 0) for value in values], counts.get(NOT_SAID, 0)
    return [*shown, sum(counts.values()) - sum(shown) - not_said, not_said]


def _part(count: int, total: int) -> float:
    return count / total if total else 0
