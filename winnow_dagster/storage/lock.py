"""Locks: two processes at work on one installation never send the same query, nor undo what the other wrote.

The operating system frees a lock when its process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from winnow_dagster.storage.files import make_folder, naming, read_if_there

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)


def fetching(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Hold the right to ask the source for days of the store in `folder`."""
    return _alone(folder, "fetching")


def counting(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Hold the right to write honest days into the store in `folder`."""
    return _alone(folder, "counting")


def publishing(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Hold the right to change what is published of the installation whose data is in `folder`."""
    return _alone(folder, "publishing")


@contextlib.contextmanager
def _alone(folder: Path, what: str) -> Iterator[None]:
    """Hold a lock; wait, and say for which process, while another holds it. Raises StorageError."""
    make_folder(folder)
    holder = folder / f".{what}.pid"
    path = folder / f".{what}.lock"
    lock = FileLock(path)
    with naming(path):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            pid = (read_if_there(holder) or b"unknown").decode(errors="replace")
            logger.warning("waiting for process %s, which is %s in %s", pid, what, folder)
            lock.acquire()
    try:
        # Only for those who wait: on a full disk nobody is told a number.
        with contextlib.suppress(OSError):
            holder.write_text(str(os.getpid()))
        yield
    finally:
        with contextlib.suppress(OSError):
            holder.unlink()
        lock.release()
