"""Locks on a disk: flock, which the system releases when a process ends in any way.

Only its owner may open a lock file (0600), since any process that can open it can hold the lock.
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

from winnow_dagster.files.errors import StorageError, translating_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

MAX_WAIT_SECONDS = 4 * 3600.0
"""How long to wait for another process: as long as Dagster lets a run take."""

ASK_SECONDS = 0.1
"""How often a waiting process tries again. flock has no wait with a timeout."""


@contextlib.contextmanager
def file_lock(path: Path, doing: str, max_wait: float = MAX_WAIT_SECONDS) -> Iterator[None]:
    """Hold a lock. Wait for another holder, and log which process it is. Raises StorageError after `max_wait`.

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
            with translating_os_errors(path):
                _flock(descriptor, doing, end)
                # A lock file that was removed meanwhile locks nothing.
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
            with translating_os_errors(path):
                raise error from None
        raise StorageError(
            f"{path}: belongs to {_name(owner)}, and this process runs as {_name(os.geteuid())}. Run Winnow as "
            f"{_name(owner)}, or remove the file while nothing runs"
        ) from None
    except OSError as error:
        with translating_os_errors(path):
            raise error from None
    if os.fstat(descriptor).st_uid == os.geteuid():
        # Lock files of older releases are open to all.
        os.fchmod(descriptor, 0o600)
    return descriptor


def _flock(descriptor: int, doing: str, end: float) -> None:
    """Wait for a lock until `end`. Raises OSError, and StorageError at `end`."""
    has_said = False
    while not _try(descriptor):
        holder = _holder(descriptor)
        if time.monotonic() > end:
            raise StorageError(f"{holder}, which is {doing}, does not finish. End it, and run again")
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
    """Return which process holds a lock, from Linux's own list, which no process can forge."""
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
