"""The change of a package's honest downloads against the window before, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from winnow_dagster.core.history import NUMBERS
from winnow_dagster.core.trend import compare, usual_change

if TYPE_CHECKING:
    from winnow_dagster.core.history import History
    from winnow_dagster.core.window import Window, WindowCounts

HONEST = NUMBERS.index("honest")
LEAST = 0.005
"""A smaller relative change is always `about the same`."""


@dataclass(frozen=True)
class Told:
    """A change in words. `before` names the days that it is compared with."""

    ratio: float
    is_usual: bool
    """Whether the change is no larger than the package's usual one from week to week."""

    before: str

    @property
    def short(self) -> str:
        """The change alone: `▲ 4 %`."""
        return "about the same" if self.is_usual else f"{'▲' if self.ratio > 0 else '▼'} {abs(self.ratio):,.0%}"

    @property
    def sentence(self) -> str:
        """The change and what it is against: `▲ 4 % on the 30 days before`."""
        return f"{self.short} {'as' if self.is_usual else 'on'} the {self.before} before"


def tell_change(history: History, counts: WindowCounts | None) -> Told | None:
    """Return the change against the window before; None if the two windows cannot be compared."""
    if counts is None:
        return None
    window = counts.window
    before = compare(history, window)
    ratio = before.ratio(counts.honest)
    if ratio is None or _sum(history, window) != counts.honest:
        return None
    usual = usual_change(history, window.as_of) or 0
    return Told(ratio, abs(ratio) <= max(usual, LEAST), "day" if window.days == 1 else f"{window.days} days")


def _sum(history: History, window: Window) -> int:
    """Return the honest downloads of the stored days. The window may have been counted from another source."""
    return sum(day.numbers[HONEST] or 0 for day in history.days if window.first_day <= day.date <= window.as_of)
