"""Comparison: choose the window that a list shows for each package or group, so that readers can compare rows.

If all rows have a window of the same length, the list shows that one. Then a group never ranks below its own member.
Otherwise each row shows its headline window, and the list ranks only rows with the same number of days together.

The page can do more than the command line: it knows the days of each row, so it can also add up a window that the
config gives to other rows only. It offers every length that all rows have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from winnow_dagster.core.trend import sum_newest
from winnow_dagster.core.window import ALL, WindowState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from winnow_dagster.core.history import History
    from winnow_dagster.core.window import PackageState

MAX_LENGTHS = 4
"""The maximum number of windows that the page offers."""


def common_length(states: Sequence[PackageState]) -> int | None:
    """Return the length in days of a window that all states have; None if there is none.

    Of several lengths, this prefers the most frequent headline, then the longest. It is never ALL, whose number of days
    differs between packages.
    """
    lengths = [{window.days for window in state.windows} - {ALL} for state in states]
    shared = set[int].intersection(*lengths) if lengths else set()
    headlines = [state.headline.days for state in states]
    return max(shared, key=lambda days: (headlines.count(days), days), default=None)


def common_lengths(packages: Sequence[tuple[PackageState, History]]) -> list[int]:
    """Return the lengths in days of the windows that every package has, the one to show first.

    A package has the windows of its config, and those whose days are all stored. One without any number has no say.
    """
    heard = [each for each in packages if any(window.counts for window in each[0].windows)] or packages
    asked = {window.days for state, _ in heard for window in state.windows} - {ALL}
    shared = [days for days in asked if all(window_over(*package, days) for package in heard)]
    headlines = [state.headline.days for state, _ in heard]
    return sorted(shared, key=lambda days: (-headlines.count(days), -days))[:MAX_LENGTHS]


def window_over(state: PackageState, history: History, days: int) -> WindowState | None:
    """Return the window of this length: the configured one, or else the sum of the stored days; None without both."""
    configured = next((window for window in state.windows if window.days == days), None)
    if configured:
        return configured
    counts = sum_newest(history, days)
    return WindowState(days, counts, days) if counts else None


def shown_window(state: PackageState, common: int | None) -> WindowState:
    """Return the window of the common length; without one, the headline's window."""
    return next((window for window in state.windows if window.days == common), state.headline)


def name_window(window: WindowState) -> str:
    """Return the length of a window in words: `30 days`. For ALL, the number of days is known once it has counts."""
    days = window.counts.window.days if window.counts else window.days
    if days == ALL:
        return "all days"
    return "1 day" if days == 1 else f"{days} days"


def rank(window: WindowState) -> tuple[int, int]:
    """Return the sort key of a row: rows with a number first, then longer windows, then more downloads."""
    if window.counts is None:
        return 1, 0
    return -window.counts.window.days, -window.counts.honest
