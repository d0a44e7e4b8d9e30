"""Comparison: which window lists show of each package or group, so that rows can be compared.

Where all have a window of one length, that one is shown: a group then never stands below its own member. Otherwise each
shows its headline's, and only rows of the same number of days stand side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from winnow_dagster.core.window import ALL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from winnow_dagster.core.window import PackageState, WindowState


def common_length(states: Sequence[PackageState]) -> int | None:
    """Return the number of days of a window that all have; None where there is none.

    Of several, the one that is the headline of most, then the longest. ALL is never one: it has other days in each.
    """
    lengths = [{window.days for window in state.windows} - {ALL} for state in states]
    shared = set[int].intersection(*lengths) if lengths else set()
    headlines = [state.headline.days for state in states]
    return max(shared, key=lambda days: (headlines.count(days), days), default=None)


def shown_window(state: PackageState, common: int | None) -> WindowState:
    """Return the window of the common length; the headline's where there is none."""
    return next((window for window in state.windows if window.days == common), state.headline)


def name_window(window: WindowState) -> str:
    """Return the length of a window in words, in days wherever it has counts: `30 days`."""
    days = window.counts.window.days if window.counts else window.days
    if days == ALL:
        return "all days"
    return "1 day" if days == 1 else f"{days} days"


def rank(window: WindowState) -> tuple[int, int]:
    """Return what orders rows: those without a number last, then longer windows first, then more downloads."""
    if window.counts is None:
        return 1, 0
    return -window.counts.window.days, -window.counts.honest
