"""The page that lists all packages and groups over one window, or over one of several that the reader chooses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from winnow_dagster.core.badge import format_share
from winnow_dagster.core.trend import daily
from winnow_dagster.site.change import describe_change
from winnow_dagster.site.comparison import common_lengths, name_window, rank, window_over
from winnow_dagster.site.spark import sparkline
from winnow_dagster.site.svg import size
from winnow_dagster.site.template import render

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from winnow_dagster.core.history import History
    from winnow_dagster.core.window import WindowCounts, WindowState
    from winnow_dagster.site.index import Listing, Row


BAR_WIDTH = 80
"""The width of the bar of a share of 100 %. The style sheet has it too."""


@dataclass(frozen=True)
class View:
    """The numbers of a package over one window, as the list shows them."""

    window: WindowState
    change: str
    """The change against the window before; empty if the two cannot be compared."""

    spark: Markup

    @property
    def counts(self) -> WindowCounts | None:
        """The counts; None if the window is not whole yet."""
        return self.window.counts

    @property
    def share(self) -> str:
        """The honest share of all downloads."""
        return format_share(self.counts.honest, self.counts.raw) if self.counts else ""

    @property
    def bar(self) -> Markup:
        """The honest share as a bar. The number beside it says the same in words."""
        width = BAR_WIDTH * self.counts.honest / self.counts.raw if self.counts and self.counts.raw else 0
        # A number of our own.
        return Markup(f'<svg class="part" aria-hidden="true"><path d="M0 0h{width:.0f}v8h-{width:.0f}z"/></svg>')  # noqa: S704

    @property
    def length(self) -> str:
        """The length of the window in words."""
        return name_window(self.window)


@dataclass(frozen=True)
class Line:
    """A line of the list: a package or group, with a view of each window."""

    row: Row
    views: Sequence[View]

    @property
    def size(self) -> tuple[int, int]:
        """The width and height of the badge."""
        return size(self.row.badge.payload)


def format_index(listing: Listing, history_of: Callable[[str], History]) -> bytes:
    """Return `index.html`: packages and groups, sorted by window length, then by honest count."""
    entries = [(row, history_of(row.folder)) for row in listing.rows]
    lengths = common_lengths([(row.state, history) for row, history in entries])
    lines = [_line(row, history, lengths) for row, history in entries]
    lines.sort(key=lambda line: rank(line.views[0].window))
    return render(
        "index.html",
        "",
        base_url=listing.base_url,
        lines=lines,
        lengths=lengths,
        has_changes=any(view.change for line in lines for view in line.views),
        as_of=listing.as_of,
        sample=listing.source == "sample",
        dataset=listing.dataset,
        remarks=listing.remarks,
        stale_threshold_days=listing.stale_threshold_days,
        everything=listing.everything,
    )


def _line(row: Row, history: History, lengths: Sequence[int]) -> Line:
    found = [window_over(row.state, history, days) for days in lengths] if lengths else [row.window]
    return Line(row, [_view(window or row.window, history) for window in found])


def _view(window: WindowState, history: History) -> View:
    counts = window.counts
    change = describe_change(history, counts)
    days = list(daily(history, counts.window).values()) if counts else []
    return View(window, change.short if change else "", Markup(sparkline(days)))  # noqa: S704 - our own numbers
