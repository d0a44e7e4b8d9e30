"""Stacked charts of a breakdown over time. A chart shows a day that is not known as missing, never as zero."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from winnow_dagster.site.scale import HEIGHT, WIDTH, Bin, Scale, axes, bars, spans

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date


def stack(bins: Sequence[Bin], series: Sequence[tuple[str, Mapping[date, int]]], name: str, title: str) -> str:
    """Return the chart of some series, the lowest bars first. Each is a CSS class and its downloads by day.

    The bar of a bin shows the average of its known days. `name` must be unique in the page.
    """
    heights = [
        [sum(counts.get(day, 0) for day in each.days) / max(len(each.days), 1) for each in bins] for _, counts in series
    ]
    scale = Scale(len(bins), round(max(map(sum, zip(*heights, strict=True)), default=0)))
    parts = [
        (
            f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{name}-t">'
            f'<title id="{name}-t">{escape(title)}</title>'
        ),
        *axes(scale, [each.last for each in bins]),
        spans("missing", [at for at, each in enumerate(bins) if not each.days], scale),
    ]
    floor = [0.0] * len(bins)
    for (style, _), each in zip(series, heights, strict=True):
        drawn = [(at, floor[at], floor[at] + height) for at, height in enumerate(each) if height]
        parts.append(bars(style, drawn, scale))
        floor = [low + height for low, height in zip(floor, each, strict=True)]
    return "".join(parts) + "</svg>"
