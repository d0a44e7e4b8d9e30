"""Locks on a disk: flock, which the system gives up when its process ends, however it ends.

A lock file is for its owner only (0600): whoever can open one can hold it.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import pwd
import time
from pathlib import Path
from typing import TYPE_CHECKING

from winnow_dagster.storage.errors import StorageError, naming

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

MAX_WAIT_SECONDS = 4 * 3600.0
"""How long to wait for another process: as long as Dagster lets a run take."""

ASK_SECONDS = 0.1
"""How often those ask who wait; flock has no wait that ends."""


@contextlib.contextmanager
def file_lock(path: Path, doing: str, max_wait: float = MAX_WAIT_SECONDS) -> Iterator[None]:
    """Hold a lock; wait, and say for which process, while another holds it. Raises StorageError after `max_wait`.

    `doing`: what the holder does, as `counting in data`.
    """
    descriptor = _acquire(path, doing, max_wait)
    try:
        yield
    finally:
        os.close(descriptor)


def _acquire(path: Path, doing: str, max_wait: float) -> int:
    end = time.monotonic() + max_wait
    while True:
        descriptor = _open(path)
        try:
            with naming(path):
                _flock(descriptor, doing, end)
                # One that somebody removed meanwhile locks nothing.
                is_there = path.exists() and os.path.samestat(os.fstat(descriptor), path.stat())
        except BaseException:
            os.close(descriptor)
            raise
        if is_there:
            return descriptor
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except PermissionError as error:
        owner = _owner(path)
        if owner is None or owner == os.geteuid():
            with naming(path):
                raise error from None
        raise StorageError(
            f"{path}: belongs to {_name(owner)}, and this process runs as {_name(os.geteuid())}. Run Winnow as "
            f"{_name(owner)}, or remove the file while nothing runs"
        ) from None
    except OSError as error:
        with naming(path):
            raise error from None
    if os.fstat(descriptor).st_uid == os.geteuid():
        # Those of before 0600 are open to all.
        os.fchmod(descriptor, 0o600)
    return descriptor


def _flock(descriptor: int, doing: str, end: float) -> None:
    """Wait for a lock. Raises OSError, and StorageError once it is too late."""
    has_said = False
    while not _try(descriptor):
        holder = _holder(descriptor)
        if time.monotonic() > end:
            raise StorageError(f"{holder}, which is {doing}, does not come to an end. End it, and run again")
        if not has_said:
            logger.warning("waiting for %s, which is %s", holder, doing)
            has_said = True
        time.sleep(ASK_SECONDS)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> str:
    """Return which process holds a lock, from Linux's own list, so that nobody can pass for another."""
    known = os.fstat(descriptor)
    file = f"{os.major(known.st_dev):02x}:{os.minor(known.st_dev):02x}:{known.st_ino}"
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/locks").read_text().splitlines():
            # `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`; those that wait have an arrow before FLOCK.
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5] == file:
                owner = _owner(Path("/proc") / fields[4])
                return f"process {fields[4]}" + (f" of {_name(owner)}" if owner not in (None, os.geteuid()) else "")
    return "another process"


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except OSError:
        return None


def _name(user: int | None) -> str:
    try:
        return f"user {pwd.getpwuid(user).pw_name}" if user is not None else "another user"
    except KeyError:
        return f"user {user}"
