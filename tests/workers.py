"""How pytest's workers run: one more than there are cores, with their files in memory. pytest finds these hooks."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

SHARED_MEMORY = Path("/dev/shm")
ROOM = 4 * 2**30
"""The bytes that must be free in memory. A run of all tests writes a fraction of them."""


def pytest_xdist_auto_num_workers() -> int:
    """Return one worker more than there are cores: while some tests wait for processes, others compute."""
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1) + 1


def pytest_configure() -> None:
    """Prepare the environment that workers and processes inherit."""
    # Without bytecode, each worker and each process would compile the tests and Winnow.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # A collect syncs 450 times. On a disk it would wait for that longer than it computes.
    if has_room_in_memory():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(SHARED_MEMORY))


def has_room_in_memory() -> bool:
    """Return whether tests can write their files into memory and run programs there."""
    try:
        return shutil.disk_usage(SHARED_MEMORY).free >= ROOM and not os.statvfs(SHARED_MEMORY).f_flag & os.ST_NOEXEC
    except OSError:
        return False


def seconds_of(item: pytest.Item) -> int:
    """Return how long a test takes by its marker: `slow(100)` takes 100 seconds or more."""
    marker = item.get_closest_marker("slow")
    return int(marker.args[0]) if marker and marker.args else 0


def deal_slow_tests(items: list[pytest.Item]) -> None:
    """Let every worker begin with a long test. xdist gives each worker a stretch of the list."""
    if any(seconds_of(item) for item in items):
        items.sort(key=seconds_of, reverse=True)
        workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
        items[:] = [item for first in range(workers) for item in items[first::workers]]


def pytest_collection_finish() -> None:
    """Keep the garbage collector from looking at all modules again and again, which took a tenth of the time."""
    gc.collect()
    gc.freeze()
