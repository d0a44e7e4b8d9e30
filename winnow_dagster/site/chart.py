"""Charts: days of a history as SVG inside a page. The page's style sheet colours them by class.

A chart shows a missing day as missing, never as zero. Every chart of days has a table with its numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import format_exact
from winnow_dagster.core.categories import CATEGORIES
from winnow_dagster.core.coverage import ONE_DAY, days_between
from winnow_dagster.core.history import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.history import Day, History
    from winnow_dagster.core.window import WindowCounts

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 8, 12, 30
TICKS = 4
MAX_DATE_LABELS = 5
MAX_TITLED_DAYS = 92
"""The maximum number of days for which each day has a title to hover over."""

RAW = NUMBERS.index("raw")
HONEST = NUMBERS.index("honest")

SPARK_WIDTH, SPARK_HEIGHT = 120, 28
SHARE_WIDTH, SHARE_HEIGHT = 120, 14


@dataclass(frozen=True)
class Series:
    """The numbers of a day that a chart stacks, and the number that they are parts of."""

    title: str
    styles: Mapping[str, str]
    """The CSS class of each number's bars, keyed by the number's name, lowest bars first."""

    whole: str = "raw"

    def is_unknown(self, row: Mapping[str, int | None]) -> bool:
        """Return whether none of the numbers is known for a day."""
        return all(row[number] is None for number in self.styles)


BY_CATEGORY = Series("Downloads by day and category", {category: f"c-{category}" for category in CATEGORIES})


@dataclass(frozen=True)
class Plot:
    """A stacked chart of some days: its SVG, and a sentence that sums it up."""

    svg: str
    summary: str


def plot(history: History, days: int, name: str, series: Series = BY_CATEGORY) -> Plot:
    """Return the chart of the last `days` days up to the newest stored day. `name` must be unique in the page.

    A day on which the series is unknown looks like a missing day. Raises ValueError if no day is stored.
    """
    if history.last is None:
        raise ValueError("there is no day to plot")
    shown = days_between(history.last - (days - 1) * ONE_DAY, history.last)
    stored = history.newest(days).days
    rows = {day.date: day.by_name() for day in stored}
    scale = Scale(len(shown), max(row[series.whole] or 0 for row in rows.values()))
    missing = [day for day in shown if day not in rows]
    unknown = {day for day, row in rows.items() if series.is_unknown(row)}
    provisional = {day.date for day in stored if day.provisional}
    in_part = sum(day in unknown or None in (row["raw"], row["honest"]) for day, row in rows.items())
    # The sums are of one source only: two sources may not count the same downloads.
    others = {day.date for day in stored if day.source != stored[-1].source}
    summed = [row for day, row in rows.items() if day not in others]
    summary = (
        f"{shown[0]} to {shown[-1]}: {sum(row['honest'] or 0 for row in summed):,} honest of "
        f"{sum(row['raw'] or 0 for row in summed):,} raw downloads"
        + (f", without {len(others)} days from another source" if others else "")
        + (f", without {in_part} days that are known in part only" if in_part else "")
        + (f", {len(missing)} days missing" if missing else "")
        + (f", {len(provisional)} provisional" if provisional else "")
    )
    parts = [
        (
            f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{name}-t">'
            f'<title id="{name}-t">{escape(series.title)}, {escape(summary)}</title>'
        ),
        *axes(scale, shown),
        spans("missing", [at for at, day in enumerate(shown) if day not in rows or day in unknown], scale),
    ]
    floor = dict.fromkeys(rows, 0)
    for number, style in series.styles.items():
        drawn = [
            (at, float(floor[day]), float(floor[day] + count))
            for at, day in enumerate(shown)
            if day in rows and (count := rows[day][number])
        ]
        parts.append(bars(style, drawn, scale))
        for day, row in rows.items():
            floor[day] += row[number] or 0
    parts.append(_marks([at for at, day in enumerate(shown) if day in provisional], scale))
    if days <= MAX_TITLED_DAYS:
        parts += _titles(shown, stored, scale)
    return Plot("".join(parts) + "</svg>", summary)


def sparkline(history: History, days: int) -> str:
    """Return a sparkline of the honest downloads of the newest `days` days. A missing day breaks the line."""
    if history.last is None:
        return ""
    known = {day.date: day.numbers[HONEST] for day in history.newest(days).days}
    found = {day: count for day, count in known.items() if count is not None}
    if not found:
        return ""
    first, top = history.last - (days - 1) * ONE_DAY, max(found.values()) or 1
    path, pen = [], "M"
    for at in range(days):
        count = found.get(first + at * ONE_DAY)
        if count is None:
            pen = "M"
            continue
        x, y = 2 + at * (SPARK_WIDTH - 4) / max(days - 1, 1), SPARK_HEIGHT - 2 - count * (SPARK_HEIGHT - 4) / top
        # The round line cap turns a single day into a dot.
        path.append(f"{pen}{x:.3g} {y:.3g}" + "h0" * (pen == "M"))
        pen = "L"
    label = f"{min(found.values()):,} to {max(found.values()):,} honest downloads a day in {len(found)} days"
    return (
        f'<svg class="spark" width="{SPARK_WIDTH}" height="{SPARK_HEIGHT}" role="img" aria-label="{label}">'
        f'<path d="{"".join(path)}"/></svg>'
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
        f'<svg class="share" width="{SHARE_WIDTH}" height="{SHARE_HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


@dataclass(frozen=True)
class Scale:
    """The coordinates of days and downloads in a chart."""

    days: int
    most: int

    @cached_property
    def step(self) -> float:
        """The downloads between two grid lines: 1, 2 or 5 times a power of ten."""
        rough = max(self.most, 1) / TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        return max(1.0, next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough))

    @cached_property
    def top(self) -> float:
        """The downloads at the upper edge."""
        return self.step * max(1, math.ceil(self.most / self.step))

    @cached_property
    def pitch(self) -> float:
        """The distance between two days."""
        return (WIDTH - LEFT - RIGHT) / self.days

    @cached_property
    def width(self) -> float:
        """The width of a bar."""
        return self.pitch * (0.8 if self.days <= MAX_TITLED_DAYS else 1)

    @cached_property
    def height(self) -> float:
        """The height of one download."""
        return (HEIGHT - TOP - BOTTOM) / self.top

    def x(self, at: int) -> float:
        """Return the left edge of a day's bar."""
        return LEFT + at * self.pitch + (self.pitch - self.width) / 2

    def y(self, downloads: float) -> float:
        """Return the y coordinate of a number of downloads."""
        return HEIGHT - BOTTOM - downloads * self.height


def axes(scale: Scale, days: Sequence[date]) -> Iterator[str]:
    """Yield the grid lines with their numbers, and the labels of some days."""
    lines = round(scale.top / scale.step)
    for line in range(lines + 1):
        y = scale.y(line * scale.step)
        yield f'<path class="line" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(line * scale.step)}</text>'
    every = max(1, math.ceil(len(days) / MAX_DATE_LABELS))
    for at in range(len(days) - 1, -1, -every):
        x = scale.x(at) + scale.width / 2
        anchor = "end" if at == len(days) - 1 else "middle"
        x = min(x, WIDTH - RIGHT) if anchor == "middle" else WIDTH - RIGHT
        yield f'<text x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{days[at].day} {days[at]:%b}</text>'


def bars(style: str, drawn: Sequence[tuple[int, float, float]], scale: Scale) -> str:
    """Return one path with all bars. Each bar has the index of its day, and its lower and upper downloads."""
    if not drawn:
        return ""
    # Inlined, without function calls: a year of days has thousands of bars.
    left, pitch, width, base, height = scale.x(0), scale.pitch, f"{scale.width:.1f}", scale.y(0), scale.height
    path = "".join(
        [
            f"M{left + at * pitch:.1f} {base - low * height:.1f}h{width}V{base - high * height:.1f}h-{width}z"
            for at, low, high in drawn
        ]
    )
    return f'<path class="{style}" d="{path}"/>'


def spans(style: str, places: Sequence[int], scale: Scale) -> str:
    """Return one path that fills the whole height of these days, without gaps between neighbours."""
    path = "".join(_span(at, scale) for at in places)
    return f'<path class="{style}" d="{path}"/>' if path else ""


def _span(at: int, scale: Scale) -> str:
    return f"M{LEFT + at * scale.pitch:.1f} {TOP}h{scale.pitch:.1f}V{HEIGHT - BOTTOM}h-{scale.pitch:.1f}z"


def _marks(places: Sequence[int], scale: Scale) -> str:
    """Return a path with a line below each provisional day."""
    path = "".join(f"M{scale.x(at):.1f} {HEIGHT - BOTTOM + 4}h{scale.width:.1f}" for at in places)
    return f'<path class="provisional" d="{path}"/>' if path else ""


def _titles(days: Sequence[date], stored: Sequence[Day], scale: Scale) -> Iterator[str]:
    """Yield for each day an invisible bar whose title shows the counts."""
    found = {day.date: day for day in stored}
    for at, day in enumerate(days):
        told = "missing"
        if day in found:
            honest, raw = (format_exact(found[day].numbers[number]) for number in (HONEST, RAW))
            told = f"{honest} honest of {raw} raw"
            told += ", provisional" if found[day].provisional else ""
        yield f'<path class="day" d="{_span(at, scale)}"><title>{day}: {told}</title></path>'


def _short(downloads: float) -> str:
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if downloads >= size:
            return f"{downloads / size:g}{unit}"
    return f"{downloads:g}"
