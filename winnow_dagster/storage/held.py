"""What this process works under, and whether it still does."""

from __future__ import annotations

from typing import Protocol

from winnow_dagster.storage.errors import LostError


class Right(Protocol):
    """The right to change something, which may be lost."""

    @property
    def place(self) -> object:
        """Where the right is noted."""
        ...

    @property
    def is_lost(self) -> bool:
        """Whether another may have it by now."""
        ...


held: set[Right] = set()
"""The rights that this process has, as far as it knows."""


def ensure_held() -> None:
    """Raise LostError if this process has lost a right that it works under."""
    for right in tuple(held):
        if right.is_lost:
            raise LostError(f"{right.place}: another process has taken over meanwhile. Run again")
