"""The store on a disk. Keys are paths."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from winnow_dagster.files import disk
from winnow_dagster.files.errors import translating_os_errors
from winnow_dagster.files.file_lock import file_lock
from winnow_dagster.files.held import Lock
from winnow_dagster.files.store import ObjectVersion, Version

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence


class LocalStore:
    """Files of this machine: staged, synced, then renamed into place."""

    address = ""

    def read(self, key: str, version: Version | None = None) -> bytes | None:  # noqa: ARG002 - locks, no preconditions
        """Return the content of a file; None if there is none."""
        return disk.read_if_there(key)

    def read_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the content of each file."""
        return [disk.read_if_there(key) for key in keys]

    def read_ahead(self, keys: Iterable[str]) -> None:
        """Do nothing: a disk is fast."""

    def version_of(self, key: str) -> Version | None:
        """Return the version of a file; None if there is none."""
        with translating_os_errors(Path(key)):
            try:
                return _version(os.stat(key))  # noqa: PTH116 - keys are strings
            except (FileNotFoundError, NotADirectoryError):
                return None

    def exists(self, key: str) -> bool:
        """Return whether there is such a file."""
        return os.path.isfile(key)  # noqa: PTH113 - keys are strings

    def names(self, folder: str) -> list[str]:
        """Return the names of what is directly in a folder; none if there is no such folder."""
        with translating_os_errors(Path(folder)):
            try:
                return os.listdir(folder)  # noqa: PTH208 - a million Path take seconds
            except (FileNotFoundError, NotADirectoryError):
                return []

    def scan(self, prefix: str) -> Iterator[ObjectVersion]:
        """Yield all files whose paths begin with `prefix`, in order."""
        found = (f"{parent}/{name}" for parent, _, names in os.walk(os.path.dirname(prefix)) for name in names)  # noqa: PTH120
        for key in sorted(key for key in found if key.startswith(prefix)):
            if version := self.version_of(key):
                yield ObjectVersion(key, version)

    def list_ahead(self, prefix: str) -> None:
        """Do nothing: a disk is fast."""

    def write(self, key: str, content: bytes, replaces: Version | None = None) -> Version:  # noqa: ARG002 - as read
        """Replace a file as a whole, whatever is there; return its version."""
        return _version(disk.replace_file(Path(key), content))

    def overwrite(self, key: str, content: bytes) -> Version:
        """Replace a file as a whole; return its version."""
        return self.write(key, content)

    def create(self, key: str, content: bytes) -> None:
        """Create a file unless there is one. Of two processes, one succeeds."""
        disk.make_folder(Path(key).parent)
        disk.create_file(Path(key), content)

    def delete(self, key: str, version: Version | None = None) -> None:  # noqa: ARG002 - as read
        """Remove a file, if there is such a file."""
        with translating_os_errors(Path(key)):
            Path(key).unlink(missing_ok=True)

    def rename(self, key: str, name: str, version: Version | None) -> None:  # noqa: ARG002 - as read
        """Rename a file within its folder. Replaces a file of that name."""
        with translating_os_errors(Path(key)):
            Path(key).replace(Path(key).with_name(name))

    def replace_changed(self, folder: str, files: Mapping[str, bytes]) -> int:
        """Put each of `files` into a folder unless it is there already; return how many changed."""
        return disk.replace_changed(Path(folder), files)

    def copies(self, keys: Sequence[str]) -> list[Path]:
        """Return the files themselves."""
        return list(map(Path, keys))

    def copy_ahead(self, keys: Iterable[str]) -> None:
        """Do nothing: the files are their own copies."""

    def make_folder(self, folder: str) -> None:
        """Make a folder and those above it, 0755 whatever the umask."""
        disk.make_folder(folder)

    def make_writable(self, folder: str) -> None:
        """Make a folder. Raise StorageError unless Winnow can create files in it, and there is room."""
        disk.make_writable(Path(folder))

    def remove_folder(self, folder: str) -> None:
        """Remove a folder that is empty; leave one that is not."""
        with contextlib.suppress(OSError):
            Path(folder).rmdir()

    def remove_staged(self, folder: str, passed_over: Collection[str]) -> None:
        """Remove what runs that died left half-written in a folder and below it, except for these folders."""
        disk.remove_staged(Path(folder), passed_over)

    @contextlib.contextmanager
    def lock(self, folder: str, what: str) -> Iterator[Lock]:
        """Hold a lock that the system releases when this process ends. Wait for another holder."""
        disk.make_folder(folder)
        path = Path(folder) / f".{what}.lock"
        with file_lock(path, f"{what} in {folder}"):
            yield Lock(path)


def _version(stat: os.stat_result) -> Version:
    return Version(f"{stat.st_mtime_ns}-{stat.st_ino}")
