"""Replacing files: all of a file or nothing of it, at any moment and after a power cut (R7)."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import tempfile
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

STAGED_PREFIX = ".winnow-"
"""What the name of a file that is not in place yet starts with; web servers do not serve dotfiles."""

LONGEST_STAGING_SECONDS = 3600
"""A staged file that is older is nobody's any more: its process's number may have been given to another since."""

LEAST_FREE_BYTES = 10_000_000
"""Below this a run does not begin, since it would end half-way."""

FIXES = {
    errno.ENOSPC: "Free some space, and run again: what was there before is whole",
    errno.EDQUOT: "Free some space, and run again: what was there before is whole",
    errno.EROFS: "Make it writable, or choose another directory",
    errno.EACCES: "Give this user the right to read and write there, or choose another directory",
    errno.EPERM: "Give this user the right to read and write there, or choose another directory",
    errno.ENOENT: "Make the directory again, and run again",
    errno.ENOTDIR: "A file is where a directory should be: move it away",
    errno.EEXIST: "A file is where a directory should be: move it away",
    errno.EISDIR: "A directory is where a file should be: move it away",
}


class StorageError(Exception):
    """A file or directory cannot be used. The message names it, what is wrong with it and the fix."""


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn an OSError into a StorageError, of `path` where the system names none."""
    try:
        yield
    except OSError as error:
        culprit = path if not error.filename or STAGED_PREFIX in str(error.filename) else error.filename
        fix = FIXES.get(error.errno or 0, "Look at the disk that it is on")
        raise StorageError(f"{culprit}: {error.strerror or error}. {fix}") from None


class Failures:
    """What failed of many things that are done one after the other, each whatever became of those before."""

    def __init__(self) -> None:
        """Start with nothing failed."""
        self._found: list[str] = []

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Go on after a StorageError, and take note of it."""
        try:
            yield
        except StorageError as error:
            self._found.append(str(error))

    def raise_any(self) -> None:
        """Raise StorageError if anything failed."""
        if self._found:
            more = len(self._found) - 1
            raise StorageError(self._found[0] + (f" (and {more} more such failures)" if more else ""))


def replace_file(path: Path, content: bytes) -> os.stat_result:
    """Put `content` at `path`, readable by all; whoever reads at the same time sees the old file or the new.

    Returns what is known of the new file. Raises StorageError; the old file is there then.
    """
    staged = path.with_name(f"{STAGED_PREFIX}{os.getpid()}-{secrets.token_hex(4)}")
    with naming(path):
        try:
            with staged.open("xb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
                made = os.fstat(file.fileno())
            staged.replace(path)
        except BaseException:
            # KeyboardInterrupt too: nothing but whole files may stay in a directory that is served.
            with contextlib.suppress(OSError):
                staged.unlink()
            raise
    return made


def replace_changed(folder: Path, files: Mapping[str, bytes]) -> int:
    """Put each of `files` (name -> content) into `folder` unless it is there already; return how many changed."""
    make_folder(folder)
    changed = 0
    for name, content in files.items():
        path = folder / name
        if read_if_there(path) != content:
            replace_file(path, content)
            changed += 1
    return changed


def read_if_there(path: Path) -> bytes | None:
    """Return the content of a file, or None where there is no such file. Raises StorageError."""
    with naming(path), contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return None


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, 0755 whatever the umask. Raises StorageError."""
    with naming(folder):
        if folder.is_dir():
            return
        missing = [f for f in (folder, *folder.parents) if not f.exists()]
        for each in reversed(missing or [folder]):
            each.mkdir(exist_ok=True)
            each.chmod(0o755)


def others_can_read(path: Path) -> bool:
    """Tell whether every user of this machine can read a file. Raises OSError."""
    return bool(path.stat().st_mode & stat.S_IROTH)


def make_writable(folder: Path) -> None:
    """Make a folder where there is none. Raises StorageError unless files can be made in it, and there is room."""
    make_folder(folder)
    with naming(folder), tempfile.TemporaryFile(dir=folder, prefix=STAGED_PREFIX):
        free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        raise StorageError(
            f"{folder}: only {free / 1e6:.1f} MB are free. Free some space: {LEAST_FREE_BYTES / 1e6:.0f} MB are needed"
        )


def remove_staged(folder: Path) -> None:
    """Remove what runs that died left half-written in `folder` and in those below it."""
    for path in folder.glob(f"**/{STAGED_PREFIX}*"):
        pid = path.name.removeprefix(STAGED_PREFIX).partition("-")[0]
        with contextlib.suppress(FileNotFoundError):
            is_old = time.time() - path.stat().st_mtime > LONGEST_STAGING_SECONDS
            if pid.isdecimal() and (is_old or not is_alive(int(pid))):
                path.unlink()


def is_alive(pid: int) -> bool:
    """Tell whether a process of this machine is running."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
