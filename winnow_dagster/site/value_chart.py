"""Stacked charts of a breakdown over time. A chart shows a day that is not known as missing, never as zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

from winnow_dagster.site.scale import Scale, frame, stacked_bars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from winnow_dagster.site.scale import Bin


def stack(bins: Sequence[Bin], series: Sequence[tuple[str, Sequence[int]]], name: str, title: str) -> str:
    """Return the chart of some series, the lowest bars first. Each is a CSS class and its downloads by bin.

    The bar of a bin shows the average of its known days. `name` must be unique in the page.
    """
    lengths = [len(each.days) or 1 for each in bins]
    heights = [[count / days for count, days in zip(counts, lengths, strict=True)] for _, counts in series]
    scale = Scale(len(bins), max(map(sum, zip(*heights, strict=True)), default=0))
    drawn = stacked_bars(zip((style for style, _ in series), heights, strict=True), scale)
    return "".join([*frame(name, title, bins, scale), *drawn]) + "</svg>"
