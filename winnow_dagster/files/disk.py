"""Files on a disk. A file is replaced as a whole or not at all, even if the power fails (R7)."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from winnow_dagster.files.errors import STAGED_PREFIX, StorageError, to_storage_error, translating_os_errors
from winnow_dagster.files.processes import is_alive

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from concurrent.futures import Future

    from winnow_dagster.files.errors import Failures

MAX_STAGING_SECONDS = 3600
"""Winnow removes an older staged file, since the system may have given its process's number to another process."""

MIN_FREE_BYTES = 10_000_000
"""With less free space no run begins."""

LARGE = 1_000_000
"""The system may read a file of this size or more in several calls."""

MANY = 64
"""From this number of files up, one sync of the whole file system is faster than one of each file."""

NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
"""The errors of a file system without hard links."""

SYNCFS = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
"""Linux has it, and Python does not."""


class Batch:
    """Writes files of many folders and syncs them together, since a sync for each of thousands takes too long.

    Collects what fails in `failures`.
    """

    def __init__(self, failures: Failures, max_files: int = 2000, staging: Path | None = None) -> None:
        """Start with no file. Write the staged files whenever there are `max_files`, while more are added.

        Files wait beside their places; or in `staging`, a folder of the same file system, and new folders with them.
        """
        self._failures = failures
        self._max_files = max_files
        self._staging = staging
        self._staged: list[Staged] = []
        self._files = 0
        self._aside = ThreadPoolExecutor(1)
        self._putting: Future[None] | None = None

    def add(self, folder: Path | str, files: Mapping[str, bytes]) -> int:
        """Take those of `files` (name -> content) that `folder` does not have yet; return how many.

        Raises StorageError, and takes none of them then.
        """
        try:
            staged, changed = _stage_changed(folder, files, self._staging)
        except StorageError:
            if not self._staged and not self._putting:
                raise
            # Replacing old files frees their space.
            self.put()
            staged, changed = _stage_changed(folder, files, self._staging)
        if staged:
            self._staged.append(staged)
            self._files += changed
        if self._files >= self._max_files:
            self._wait()
            self._putting = self._aside.submit(self._put, self._take())
        return changed

    def put(self) -> None:
        """Put what was taken in its place, folder by folder."""
        self._wait()
        self._put(self._take())

    def _wait(self) -> None:
        if self._putting:
            self._putting.result()
            self._putting = None

    def _take(self) -> list[Staged]:
        taken, self._staged, self._files = self._staged, [], 0
        return taken

    def _put(self, taken: list[Staged]) -> None:
        try:
            with self._failures.collect():
                _sync([pair for folder in taken for pair in folder])
                for folder in taken:
                    with self._failures.collect():
                        _put(folder)
        finally:
            for folder in taken:
                _remove(folder)


def replace_file(path: Path, content: bytes) -> os.stat_result:
    """Put `content` at `path`, readable by all; a reader sees the old file or the new one.

    Returns what is known of the new file. Raises StorageError; the old file is there then.
    """
    staged = [(_stage(str(path), path.parent, partial(_create, content=content)), str(path))]
    try:
        _sync(staged)
        with translating_os_errors(path):
            made = Path(staged[0][0]).stat()
        _put(staged)
    finally:
        _remove(staged)
    return made


def create_file(path: Path, content: bytes) -> None:
    """Create a file with `content` unless `path` exists. Of two processes, one succeeds. Raises StorageError."""
    staged = [(_stage(str(path), path.parent, partial(_create, content=content)), str(path))]
    try:
        _sync(staged)
        with translating_os_errors(path), contextlib.suppress(FileExistsError):
            try:
                # Unlike a rename, a link replaces nothing; unlike a new file, it is whole at once.
                os.link(staged[0][0], path)
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                _create(str(path), content)
    finally:
        _remove(staged)


def replace_changed(folder: Path, files: Mapping[str, bytes]) -> int:
    """Put each of `files` (name -> content) into `folder` unless it is there already; return how many changed.

    They take their places in the order given. Raises StorageError.
    """
    staged, changed = _stage_changed(folder, files)
    try:
        _sync(staged)
        _put(staged)
    finally:
        _remove(staged)
    return changed


# Strings and the system's own calls from here on: this is done millions of times, and Path takes as long as the disk.
Staged = list[tuple[str, str]]
"""Files as they are staged, and their places; or a folder with all that is in it, and its place."""


def _stage_changed(folder: Path | str, files: Mapping[str, bytes], staging: Path | None = None) -> tuple[Staged, int]:
    """Write what `folder` does not have yet beside its place, or in another folder; return how many files it is."""
    staged: Staged = []
    is_new = False
    try:
        for name, content in files.items():
            path = f"{folder}/{name}"
            if is_new or not _holds(path, content):
                # Only once a file differs: most folders exist, and most files have the right content.
                if staging and not staged and not os.path.isdir(folder):  # noqa: PTH112
                    # Fewer calls than to move each of its files.
                    return [(_stage(str(folder), staging, partial(_fill, files=files)), str(folder))], len(files)
                is_new |= not staged and make_folder(folder)
                staged.append((_stage(path, staging or folder, partial(_create, content=content)), path))
    except BaseException:
        _remove(staged)
        raise
    return staged, len(staged)


def _stage(path: str, folder: Path | str, make: Callable[[str], None]) -> str:
    """Make a file or folder under a new name in `folder`; return the name. It is meant for `path`."""
    while True:
        staged = f"{folder}/{STAGED_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
        try:
            make(staged)
        except FileExistsError:
            # Among tens of thousands of staged files, two may draw the same name.
            continue
        except BaseException as error:
            _remove([(staged, path)])
            if isinstance(error, OSError):
                raise to_storage_error(error, path) from None
            raise
        return staged


def _fill(folder: str, files: Mapping[str, bytes]) -> None:
    os.mkdir(folder, 0o755)  # noqa: PTH102
    os.chmod(folder, 0o755)  # noqa: PTH101, S103 - it is served
    for name, content in files.items():
        _create(f"{folder}/{name}", content)


def _create(path: str, content: bytes) -> None:
    """Write a file that is not there yet, readable by all whatever the umask."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        # The system may take a part of what is large at a time.
        written = os.write(descriptor, content)
        while written < len(content):
            written += os.write(descriptor, content[written:])
        os.fchmod(descriptor, 0o644)
    finally:
        os.close(descriptor)


def _sync(staged: Staged) -> None:
    """Wait until staged files, of one file system, are on the disk."""
    all_at_once = SYNCFS if len(staged) >= MANY else None
    files = staged[:1] if all_at_once else [(file, path) for each, path in staged for file in _files_of(each)]
    for each, path in files:
        try:
            descriptor = os.open(each, os.O_RDONLY)
            try:
                if all_at_once is None:
                    os.fsync(descriptor)
                elif all_at_once(descriptor):
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            finally:
                os.close(descriptor)
        except OSError as error:
            raise to_storage_error(error, path) from None


def _files_of(staged: str) -> list[str]:
    try:
        return [f"{staged}/{name}" for name in os.listdir(staged)]  # noqa: PTH208
    except NotADirectoryError:
        return [staged]


def _put(staged: Staged) -> None:
    """Rename staged files to their places, in order. Renamed files leave the list."""
    while staged:
        each, path = staged[0]
        try:
            os.replace(each, path)  # noqa: PTH105
        except OSError as error:
            raise to_storage_error(error, path) from None
        del staged[0]


def _remove(staged: Staged) -> None:
    """Remove staged files that were not renamed: a served directory holds whole files only."""
    for each, _ in staged:
        try:
            os.unlink(each)  # noqa: PTH108
        except OSError:
            shutil.rmtree(each, ignore_errors=True)


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            return file.readall()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise to_storage_error(error, path) from None


def _holds(path: str, content: bytes) -> bool:
    """Return whether a file has exactly this content."""
    if len(content) >= LARGE:
        return _read(path) == content
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return os.read(descriptor, len(content) + 1) == content
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise to_storage_error(error, path) from None


def read_if_there(path: Path | str) -> bytes | None:
    """Return the content of a file, or None where there is no such file. Raises StorageError."""
    return _read(str(path))


def make_folder(folder: Path | str) -> bool:
    """Make a folder and those above it, 0755 whatever the umask; return whether it is new. Raises StorageError."""
    with translating_os_errors(Path(folder)):
        if os.path.isdir(folder):  # noqa: PTH112
            return False
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            os.mkdir(folder, 0o755)  # noqa: PTH102
            os.chmod(folder, 0o755)  # noqa: PTH101, S103 - it is served
            return True
        folder = Path(folder)
        missing = [f for f in (folder, *folder.parents) if not f.exists()]
        for each in reversed(missing or [folder]):
            each.mkdir(exist_ok=True)
            each.chmod(0o755)
    return True


def make_writable(folder: Path) -> None:
    """Make a folder where there is none. Raises StorageError unless files can be made in it, and there is room."""
    make_folder(folder)
    with translating_os_errors(folder), tempfile.TemporaryFile(dir=folder, prefix=STAGED_PREFIX):
        free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        raise StorageError(
            f"{folder}: only {free / 1e6:.1f} MB are free. Free some space: {MIN_FREE_BYTES / 1e6:.0f} MB are needed"
        )


def remove_staged(folder: Path, passed_over: Collection[str] = ()) -> None:
    """Remove what runs that died left half-written in `folder` and below it, but for those folders passed over."""
    for path in _find_staged(folder, passed_over):
        pid = path.name.removeprefix(STAGED_PREFIX).partition("-")[0]
        with contextlib.suppress(FileNotFoundError):
            is_old = time.time() - path.stat().st_mtime > MAX_STAGING_SECONDS
            if pid.isdecimal() and (is_old or not is_alive(int(pid))):
                _remove([(str(path), "")])


def _find_staged(folder: Path, passed_over: Collection[str]) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        if parent == str(folder):
            folders[:] = [name for name in folders if name not in passed_over]
        yield from (Path(parent) / name for name in [*folders, *files] if name.startswith(STAGED_PREFIX))
