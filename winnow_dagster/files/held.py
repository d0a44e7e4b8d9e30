"""The rights that this process works under, and how long they surely last."""

from __future__ import annotations

import time
from typing import Protocol

from winnow_dagster.files.errors import LeaseLostError

MIN_REQUEST_SECONDS = 2.0
"""With less time left, no write begins: it could land after another process took over."""

MAX_REQUEST_SECONDS = 120.0
"""How long a write may take at most, with all its retries."""


class Right(Protocol):
    """The right to change something, which may be lost."""

    @property
    def place(self) -> object:
        """Where the right is noted."""
        ...

    @property
    def seconds_left(self) -> float:
        """How long no other process can hold it; 0 or less if one may hold it already."""
        ...


held: set[Right] = set()
"""The rights that this process has, as far as it knows."""


def now() -> float:
    """Return the seconds on a clock that goes on while this machine is suspended, where it has one."""
    clock: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def ensure_held(seconds: float = 0.0) -> None:
    """Raise LeaseLostError unless this process keeps the rights that it works under for this long."""
    for right in tuple(held):
        if right.seconds_left <= seconds:
            raise LeaseLostError(f"{right.place}: another process has taken over meanwhile. Run again")


def seconds_for_request() -> float:
    """Return how long a write may take, so that it lands while this process has its rights. Raises LeaseLostError."""
    ensure_held(MIN_REQUEST_SECONDS)
    return min([MAX_REQUEST_SECONDS, *(right.seconds_left for right in tuple(held))])
