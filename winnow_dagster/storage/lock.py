"""The lock on fetching: two processes at work on one store never send the same query.

The operating system frees it when its process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from winnow_dagster.storage.files import make_folder, read_if_there

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def fetching(folder: Path) -> Iterator[None]:
    """Hold the lock of the store in `folder`; wait, and say for which process, while another holds it."""
    make_folder(folder)
    holder = folder / ".fetching.pid"
    lock = FileLock(folder / ".fetching.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        pid = (read_if_there(holder) or b"unknown").decode(errors="replace")
        logger.warning("waiting for process %s, which is fetching into %s", pid, folder)
        lock.acquire()
    try:
        holder.write_text(str(os.getpid()))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
