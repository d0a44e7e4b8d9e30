"""Charts: days of a history as SVG inside a page. The page's style sheet colours them by class.

A chart shows a missing day as missing, never as zero. Every chart of days has a table with its numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import format_exact
from winnow_dagster.core.categories import CATEGORIES
from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.history import NUMBERS
from winnow_dagster.core.trend import HONEST
from winnow_dagster.site.scale import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Bin,
    Scale,
    bins_of,
    frame,
    span,
    stacked_bars,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.history import Day, History
    from winnow_dagster.core.window import WindowCounts

POSITIONS = {number: at for at, number in enumerate(NUMBERS)}
RAW = POSITIONS["raw"]

SHARE_WIDTH, SHARE_HEIGHT = 120, 14
MIN_LABEL_ROOM = 70
"""The minimum distance between the labels of two releases."""


@dataclass(frozen=True)
class Series:
    """The numbers of a day that a chart stacks, and the number that they are parts of."""

    title: str
    styles: Mapping[str, str]
    """The CSS class of each number's bars, keyed by the number's name, lowest bars first."""

    whole: str = "raw"
    has_titles: bool = True
    """Whether each bar has a title to hover over."""

    def known_days(self, days: Iterable[Day]) -> set[date]:
        """Return the days of which at least one of the numbers is known."""
        positions = [POSITIONS[number] for number in self.styles]
        return {day.date for day in days if any(day.numbers[at] is not None for at in positions)}


BY_CATEGORY = Series("Downloads by day and category", {category: f"c-{category}" for category in CATEGORIES})


@dataclass(frozen=True)
class Plot:
    """A stacked chart of some days: its SVG, and a sentence that sums it up."""

    svg: str
    summary: str
    is_weekly: bool
    """Whether each bar is the average day of a week."""


def plot(
    history: History,
    days: int,
    name: str,
    series: Series = BY_CATEGORY,
    releases: Sequence[tuple[str, date]] = (),
) -> Plot:
    """Return the chart of the last `days` days up to the newest stored day. `name` must be unique in the page.

    A bar is a day, or the average day of a week in a long chart. A day on which the series is unknown looks like a
    missing day. `releases`: versions with the days of their first downloads. Raises ValueError if no day is stored.
    """
    if history.last is None:
        raise ValueError("there is no day to plot")
    first = history.last - (days - 1) * ONE_DAY
    stored = history.newest(days).days
    by_date = {day.date: day for day in stored}
    known = series.known_days(stored)
    bins = bins_of(known, first, history.last)
    whole, *heights = _average([series.whole, *series.styles], bins, by_date)
    scale = Scale(len(bins), max(whole))
    summary = _sum_up(stored, known, (first, history.last), bins[0].length)
    parts = [*frame(name, f"{series.title}, {summary}", bins, scale)]
    parts += stacked_bars(zip(series.styles.values(), heights, strict=True), scale)
    parts += _marks(stored, bins, scale)
    parts += _events(bins, releases, scale)
    if series.has_titles:
        parts += _titles(bins, by_date, scale)
    return Plot("".join(parts) + "</svg>", summary, bins[0].length > 1)


def _average(numbers: Iterable[str], bins: Sequence[Bin], stored: Mapping[date, Day]) -> list[list[float]]:
    """Return for each number its average over the known days of each bin."""
    rows = [[stored[day].numbers for day in each.days] for each in bins]
    return [_average_number(POSITIONS[number], rows) for number in numbers]


def _average_number(at: int, bins: Iterable[Sequence[tuple[int | None, ...]]]) -> list[float]:
    # Most bins are one day, which is its own average.
    return [
        rows[0][at] or 0 if len(rows) == 1 else sum([row[at] or 0 for row in rows]) / (len(rows) or 1) for rows in bins
    ]


def _sum_up(stored: Sequence[Day], known: Collection[date], days: tuple[date, date], length: int) -> str:
    in_part = sum(day.date not in known or None in (day.numbers[RAW], day.numbers[HONEST]) for day in stored)
    # The sums are of one source only: two sources may not count the same downloads.
    summed = [day.numbers for day in stored if day.source == stored[-1].source]
    others = len(stored) - len(summed)
    missing = (days[1] - days[0]).days + 1 - len(stored)
    provisional, short = sum(bool(day.provisional) for day in stored), sum(day.is_short for day in stored)
    return (
        f"{days[0]} to {days[1]}: {sum([row[HONEST] or 0 for row in summed]):,} honest of "
        f"{sum([row[RAW] or 0 for row in summed]):,} raw downloads"
        + (f", without {others} days from another source" if others else "")
        + (f", without {in_part} days that are known in part only" if in_part else "")
        + (f", {missing} days missing" if missing else "")
        + (f", {provisional} provisional" if provisional else "")
        + (f", {short} with lost rows" if short else "")
        + (", each bar the average day of a week" if length > 1 else "")
    )


def share_bar(counts: WindowCounts) -> str:
    """Return one bar with the shares of the seven categories of a window."""
    if not counts.raw:
        return ""
    parts, at = [], 0.0
    for category in CATEGORIES:
        width = SHARE_WIDTH * (counts.categories[category] or 0) / counts.raw
        if width:
            parts.append(f'<path class="c-{category}" d="M{at:.4g} 0h{width:.4g}v{SHARE_HEIGHT}h-{width:.4g}z"/>')
        at += width
    known = {category: count for category in CATEGORIES if (count := counts.categories[category]) is not None}
    label = ", ".join(f"{category} {count / counts.raw:.0%}" for category, count in known.items())
    return (
        f'<svg class="share" width="{SHARE_WIDTH}" height="{SHARE_HEIGHT}" '
        f'viewBox="0 0 {SHARE_WIDTH} {SHARE_HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


def _marks(stored: Sequence[Day], bins: Sequence[Bin], scale: Scale) -> Iterator[str]:
    """Yield the marks below the axis, for bars with provisional days, with some missing days, and with short days."""
    places = {day: at for at, each in enumerate(bins) for day in each.days}
    provisional = {places[day.date] for day in stored if day.provisional and day.date in places}
    short = {places[day.date] for day in stored if day.is_short and day.date in places}
    gaps = {at for at, each in enumerate(bins) if 0 < len(each.days) < each.length}
    floor = HEIGHT - BOTTOM
    if provisional:
        path = "".join([f"M{scale.x(at):.1f} {floor + 4}h{scale.width:.1f}" for at in sorted(provisional)])
        yield f'<path class="provisional" d="{path}"/>'
    if gaps:
        path = "".join(
            [f"M{scale.x(at):.1f} {floor + 1}h{scale.width:.1f}v3h-{scale.width:.1f}z" for at in sorted(gaps)]
        )
        yield f'<path class="gap" d="{path}"/>'
    if short:
        path = "".join([f"M{scale.x(at) + scale.width / 2:.1f} {floor + 2}l4 7h-8z" for at in sorted(short)])
        yield f'<path class="short" d="{path}"/>'


def _events(bins: Sequence[Bin], releases: Sequence[tuple[str, date]], scale: Scale) -> Iterator[str]:
    """Yield a line on the day on which PyPI's log changed, and a mark above the first day of each release."""
    if bins[0].first <= LAST_MIXED_DAY <= bins[-1].last:
        x = scale.x(_place(bins, LAST_MIXED_DAY)) + scale.width / 2
        yield (
            f'<path class="event" d="M{x:.1f} {TOP - 8}V{HEIGHT - BOTTOM}"><title>{LAST_MIXED_DAY}: until this day '
            "PyPI logged requests for metadata too. They are not counted.</title></path>"
        )
    shown = sorted((day, version) for version, day in releases if bins[0].first <= day <= bins[-1].last)
    free = float(LEFT)
    for day, version in shown:
        x = scale.x(_place(bins, day)) + scale.width / 2
        text = escape(version)
        title = f"<title>{text}: first download {day}</title>"
        yield f'<path class="release" d="M{x:.1f} {TOP - 1}l-4 -7h8z">{title}</path>'
        if x >= free and x < WIDTH - RIGHT - MIN_LABEL_ROOM / 2:
            yield f'<text x="{x + 6:.1f}" y="{TOP - 7}">{text}</text>'
            free = x + MIN_LABEL_ROOM


def _place(bins: Sequence[Bin], day: date) -> int:
    return (day - bins[0].first).days // bins[0].length


def _titles(bins: Sequence[Bin], stored: Mapping[date, Day], scale: Scale) -> Iterator[str]:
    """Yield an invisible bar over each bar's place. Its title shows the counts."""
    for at, each in enumerate(bins):
        found = [stored[day] for day in each.days]
        text = "missing"
        if found:
            honest, raw = (_mean(found, number) for number in (HONEST, RAW))
            text = f"{honest} honest of {raw} raw" + " a day" * (each.length > 1)
            text += ", provisional" * any(day.provisional for day in found) + ", rows lost" * any(
                d.is_short for d in found
            )
            text += f", {each.length - len(found)} days missing" * (len(found) < each.length)
        label = each.last if each.length == 1 else f"{each.first} to {each.last}"
        yield f'<path class="day" d="{span(at, scale)}"><title>{label}: {text}</title></path>'


def _mean(days: Sequence[Day], number: int) -> str:
    if len(days) == 1:
        return format_exact(days[0].numbers[number])
    counts = [day.numbers[number] for day in days]
    known = [count for count in counts if count is not None]
    return format_exact(round(sum(known) / len(known)) if len(known) == len(counts) else None)
