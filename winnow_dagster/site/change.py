"""The change of a package's honest downloads against the window before, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from winnow_dagster.core.trend import compare, daily, usual_change

if TYPE_CHECKING:
    from winnow_dagster.core.history import History
    from winnow_dagster.core.window import WindowCounts

MIN_CHANGE = 0.005
"""The smallest relative change that is not always `about the same`."""


@dataclass(frozen=True)
class ChangeText:
    """A relative change in words."""

    ratio: float
    is_usual: bool
    """Whether the change is no larger than the package's usual one from week to week."""

    before: str
    """The length of the window before: `30 days`."""

    @property
    def short(self) -> str:
        """The change alone: `▲ 4 %`."""
        return "about the same" if self.is_usual else f"{'▲' if self.ratio > 0 else '▼'} {abs(self.ratio):,.0%}"

    @property
    def sentence(self) -> str:
        """The change and what it is compared with: `▲ 4 % on the 30 days before`."""
        return f"{self.short} {'as' if self.is_usual else 'on'} the {self.before} before"


def describe_change(history: History, counts: WindowCounts | None) -> ChangeText | None:
    """Return the change against the window before; None if the two windows cannot be compared."""
    if counts is None:
        return None
    window = counts.window
    before = compare(history, window)
    ratio = before.ratio(counts.honest)
    stored = sum(count or 0 for count in daily(history, window).values())
    # The window may have been counted from another source than the stored days.
    if ratio is None or stored != counts.honest:
        return None
    usual = usual_change(history, window.as_of) or 0
    return ChangeText(ratio, abs(ratio) <= max(usual, MIN_CHANGE), "day" if window.days == 1 else f"{window.days} days")
