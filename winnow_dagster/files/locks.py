"""Locks: two processes at work on one installation never send the same query, nor undo what the other wrote.

On a disk the operating system frees a lock when its process ends, however it ends; in a bucket it is a lease.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from winnow_dagster.files.disk import make_folder
from winnow_dagster.files.file_lock import file_lock
from winnow_dagster.files.lease import leased
from winnow_dagster.files.manifest import begin, save_all
from winnow_dagster.files.paths import MANIFEST, ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from winnow_dagster.files.paths import StorePath


def fetching(folder: StorePath) -> contextlib.AbstractContextManager[bool]:
    """Hold the right to ask the source for days of the store in `folder`."""
    return _alone(folder, "fetching")


def counting(folder: StorePath) -> contextlib.AbstractContextManager[bool]:
    """Hold the right to write honest days into the store in `folder`."""
    return _alone(folder, "counting")


def alerting(folder: StorePath) -> contextlib.AbstractContextManager[bool]:
    """Hold the right to send alerts for the installation whose data is in `folder`."""
    return _alone(folder, "alerting")


@contextlib.contextmanager
def publishing(folder: StorePath) -> Iterator[None]:
    """Hold the right to change what is published of the installation whose data is in `folder`. Raises StorageError."""
    with _alone(folder, "publishing") as is_sound:
        try:
            begin(folder / MANIFEST, is_sound=is_sound)
            yield
        finally:
            save_all()


def _alone(folder: StorePath, what: str) -> contextlib.AbstractContextManager[bool]:
    """Hold a lock. Wait for another holder, and log which process it is. Raises StorageError.

    Yields True if the previous holder exited cleanly.
    """
    if isinstance(folder, ObjectPath):
        return leased(folder / f".{what}.lease", f"{what} in {folder}")
    return _locked(folder, what)


@contextlib.contextmanager
def _locked(folder: Path, what: str) -> Iterator[bool]:
    make_folder(folder)
    holder = folder / f".{what}.pid"
    with file_lock(folder / f".{what}.lock", f"{what} in {folder}"):
        # The file exists unless the previous holder exited cleanly. On a full disk it may be missing.
        is_sound = not holder.exists()
        with contextlib.suppress(OSError):
            holder.write_text(str(os.getpid()))
        yield is_sound
        # Not after an exception: the next holder has to know of it.
        with contextlib.suppress(OSError):
            holder.unlink()
