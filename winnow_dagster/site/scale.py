"""Scales: the coordinates of a chart's days and downloads, its axes and its bars."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

from winnow_dagster.core.coverage import DAYS_OF_WEEK, ONE_DAY, days_between

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from datetime import date

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 8, 24, 32
TICKS = 4
MAX_DATE_LABELS = 5
MIN_WEEKLY_DAYS = 120
"""From this number of days on, a bar is a week."""


@dataclass(frozen=True)
class Bin:
    """The known days of one bar: a day, or a week."""

    last: date
    days: Sequence[date]
    length: int = 1
    """The number of its days, known or not."""

    @property
    def first(self) -> date:
        """Its first day."""
        return self.last - (self.length - 1) * ONE_DAY


def bins_of(known: Collection[date], first: date, last: date) -> list[Bin]:
    """Return a bin for each day; for longer ranges a bin for each whole week, so that the chart stays small."""
    length = 1 if (last - first).days + 1 < MIN_WEEKLY_DAYS else DAYS_OF_WEEK
    days = days_between(first, last)
    weeks = (days[start : start + length] for start in range(len(days) % length, len(days), length))
    return [Bin(each[-1], [day for day in each if day in known], length) for each in weeks]


@dataclass(frozen=True)
class Scale:
    """The coordinates of bars and downloads in a chart."""

    bars: int
    """The number of bars."""

    most: float
    """The downloads of the highest bar."""

    @cached_property
    def step(self) -> float:
        """The downloads between two grid lines: 1, 2, 2.5 or 5 times a power of ten."""
        rough = max(self.most, 1) / TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        steps = (power * factor for factor in (1, 2, 2.5, 5, 10))
        return max(1.0, next(step for step in steps if step >= rough and (step < 1 or step.is_integer())))

    @cached_property
    def top(self) -> float:
        """The downloads at the upper edge: those of the highest bar."""
        return max(1.0, float(self.most))

    @cached_property
    def pitch(self) -> float:
        """The distance between two bars."""
        return (WIDTH - LEFT - RIGHT) / self.bars

    @cached_property
    def width(self) -> float:
        """The width of a bar."""
        return self.pitch * 0.8

    @cached_property
    def height(self) -> float:
        """The height of one download."""
        return (HEIGHT - TOP - BOTTOM) / self.top

    def x(self, at: int) -> float:
        """Return the left edge of a bar."""
        return LEFT + at * self.pitch + (self.pitch - self.width) / 2

    def y(self, downloads: float) -> float:
        """Return the y coordinate of a number of downloads."""
        return HEIGHT - BOTTOM - downloads * self.height


def frame(name: str, title: str, bins: Sequence[Bin], scale: Scale) -> Iterator[str]:
    """Yield the start of a chart: its title, its axes and its missing bars. `name` must be unique in the page."""
    yield (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{name}-t">'
        f'<title id="{name}-t">{escape(title)}</title>'
    )
    yield from _axes(scale, [each.last for each in bins])
    yield _spans("missing", [at for at, each in enumerate(bins) if not each.days], scale)


def _axes(scale: Scale, days: Sequence[date]) -> Iterator[str]:
    """Yield the grid lines with their numbers, and the labels of some days."""
    lines = math.floor(scale.top / scale.step)
    for line in range(lines + 1):
        y = scale.y(line * scale.step)
        yield f'<path class="line" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(line * scale.step)}</text>'
    year = " %Y" if len({day.year for day in days}) > 1 else ""
    every = max(1, math.ceil(len(days) / MAX_DATE_LABELS))
    for at in range(len(days) - 1, -1, -every):
        x = scale.x(at) + scale.width / 2
        anchor = "end" if at == len(days) - 1 else "middle"
        x = min(x, WIDTH - RIGHT) if anchor == "middle" else WIDTH - RIGHT
        yield f'<text x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{days[at].day} {days[at]:%b{year}}</text>'


def stacked_bars(series: Iterable[tuple[str, Sequence[float]]], scale: Scale) -> Iterator[str]:
    """Yield one path for each series, the lowest bars first. Each is a CSS class and the height of each bar."""
    # Each edge is formatted once: a year of days has thousands of bars.
    base, height = scale.y(0), scale.height
    across, back = f"h{scale.width:.1f}V", f"h-{scale.width:.1f}z"
    starts = [f"M{scale.x(0) + at * scale.pitch:.1f} " for at in range(scale.bars)]
    floor, lower = [0.0] * scale.bars, [f"{base:.1f}"] * scale.bars
    for style, heights in series:
        floor = [low + bar for low, bar in zip(floor, heights, strict=True)]
        upper = [f"{base - top * height:.1f}" for top in floor]
        bars = zip(starts, lower, upper, heights, strict=True)
        path = "".join([f"{start}{low}{across}{high}{back}" for start, low, high, bar in bars if bar])
        yield f'<path class="{style}" d="{path}"/>' if path else ""
        lower = upper


def _spans(style: str, places: Sequence[int], scale: Scale) -> str:
    """Return one path that fills the whole height of these bars' places, without gaps between neighbours."""
    path = "".join(span(at, scale) for at in places)
    return f'<path class="{style}" d="{path}"/>' if path else ""


def span(at: int, scale: Scale) -> str:
    """Return the outline of the whole height of a bar's place."""
    return f"M{LEFT + at * scale.pitch:.1f} {TOP}h{scale.pitch:.1f}V{HEIGHT - BOTTOM}h-{scale.pitch:.1f}z"


def _short(downloads: float) -> str:
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if downloads >= size:
            return f"{downloads / size:g}{unit}"
    return f"{downloads:g}"
