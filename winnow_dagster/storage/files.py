"""Replacing files: all of a file or nothing of it, at any moment and after a power cut (R7)."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import shutil
import stat
import tempfile
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

STAGED_PREFIX = ".winnow-"
"""What the name of a file that is not in place yet starts with; web servers do not serve dotfiles."""

LONGEST_STAGING_SECONDS = 3600
"""A staged file that is older is nobody's any more: its process's number may have been given to another since."""

LEAST_FREE_BYTES = 10_000_000
"""Below this a run does not begin, since it would end half-way."""

MOST_IN_A_BATCH = 2000
"""How many files wait in their folders, under another name, to be put in place."""

MANY = 64
"""From how many files on it is faster to let all that the file system holds be written than to wait for each."""

SYNCFS = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
"""Linux has it, and Python does not."""

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


class Batch:
    """Files of many folders that are put in place together, once all of them are on the disk.

    To wait for each of thousands takes longer than all else. What cannot be put in place is noted in `failures`.
    """

    def __init__(self, failures: Failures) -> None:
        """Start with no file."""
        self._failures = failures
        self._staged: list[dict[Path, Path]] = []
        self._files = 0

    def add(self, folder: Path, files: Mapping[str, bytes]) -> int:
        """Take those of `files` (name -> content) that `folder` does not have yet; return how many.

        Raises StorageError, and takes none of them then.
        """
        try:
            staged = _stage_changed(folder, files)
        except StorageError:
            if not self._staged:
                raise
            # What takes its place makes room of what was there.
            self.put()
            staged = _stage_changed(folder, files)
        self._staged.append(staged)
        self._files += len(staged)
        if self._files >= MOST_IN_A_BATCH:
            self.put()
        return len(staged)

    def put(self) -> None:
        """Put what was taken in its place, folder by folder."""
        taken, self._staged, self._files = self._staged, [], 0
        try:
            with self._failures.noted():
                _sync_all([staged for folder in taken for staged in folder])
                for folder in taken:
                    with self._failures.noted():
                        _put(folder)
        finally:
            _remove(staged for folder in taken for staged in folder)


def replace_file(path: Path, content: bytes) -> os.stat_result:
    """Put `content` at `path`, readable by all; whoever reads at the same time sees the old file or the new.

    Returns what is known of the new file. Raises StorageError; the old file is there then.
    """
    staged = _stage(path, content)
    try:
        with naming(path), staged.open("rb") as file:
            os.fsync(file.fileno())
            made = os.fstat(file.fileno())
        _put({staged: path})
    finally:
        _remove([staged])
    return made


def replace_changed(folder: Path, files: Mapping[str, bytes]) -> int:
    """Put each of `files` (name -> content) into `folder` unless it is there already; return how many changed.

    They take their places in the order given. Raises StorageError.
    """
    staged = _stage_changed(folder, files)
    try:
        _sync_all(list(staged))
        _put(staged)
    finally:
        _remove(staged)
    return len(staged)


def _stage_changed(folder: Path, files: Mapping[str, bytes]) -> dict[Path, Path]:
    """Write what `folder` does not have yet beside its place; return the places by where it was written."""
    make_folder(folder)
    staged: dict[Path, Path] = {}
    try:
        for name, content in files.items():
            if read_if_there(folder / name) != content:
                staged[_stage(folder / name, content)] = folder / name
    except BaseException:
        _remove(staged)
        raise
    return staged


def _stage(path: Path, content: bytes) -> Path:
    staged = path.with_name(f"{STAGED_PREFIX}{os.getpid()}-{secrets.token_hex(4)}")
    with naming(path):
        try:
            with staged.open("xb") as file:
                file.write(content)
                os.fchmod(file.fileno(), 0o644)
        except BaseException:
            _remove([staged])
            raise
    return staged


def _sync_all(staged: Sequence[Path]) -> None:
    """Wait until these files, of one file system, are on the disk."""
    if len(staged) >= MANY and SYNCFS is not None:
        with naming(staged[0]), staged[0].open("rb") as file:
            if SYNCFS(file.fileno()):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return
    for path in staged:
        with naming(path), path.open("rb") as file:
            os.fsync(file.fileno())


def _put(staged: Mapping[Path, Path]) -> None:
    for each, path in staged.items():
        with naming(path):
            each.replace(path)


def _remove(staged: Iterable[Path]) -> None:
    """Remove what did not come to its place: nothing but whole files may stay in a directory that is served."""
    for each in staged:
        with contextlib.suppress(OSError):
            each.unlink()


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
