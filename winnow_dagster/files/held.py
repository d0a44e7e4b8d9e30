"""Locks that this process holds, and for how long no other process can take them."""

from __future__ import annotations

import math
import time

from winnow_dagster.files.errors import LeaseLostError

MIN_REQUEST_SECONDS = 2.0
"""With less time left, no write begins: it could land after another process took over."""

MAX_REQUEST_SECONDS = 120.0
"""How long a write may take at most, with all its retries."""


class Lock:
    """A lock on a disk: the system keeps it until this process ends."""

    def __init__(self, place: object = "") -> None:
        """Name where the lock is."""
        self.place = place

    @property
    def seconds_left(self) -> float:
        """How long no other process can hold it; 0 or less if one may hold it already."""
        return math.inf

    def ensure_held(self, seconds: float = 0.0) -> None:
        """Raise LeaseLostError unless this process keeps the lock for this long."""
        if self.seconds_left <= seconds:
            raise LeaseLostError(f"{self.place}: another process has taken over meanwhile. Run again")

    def seconds_for_request(self, least: float = MIN_REQUEST_SECONDS) -> float:
        """Return how long a write may take, so that it lands while this process holds the lock.

        Raises LeaseLostError if fewer than `least` are left.
        """
        self.ensure_held(least)
        return min(MAX_REQUEST_SECONDS, self.seconds_left)


def now() -> float:
    """Return the seconds on a clock that goes on while this machine is suspended, where it has one."""
    clock: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
