"""Reads, replaces and removes files in the same way on a disk and in a bucket.

If a place cannot be used, everything here raises StorageError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from winnow_dagster.files import disk
from winnow_dagster.files.bucket import BucketStore
from winnow_dagster.files.errors import Failures, StorageError
from winnow_dagster.files.listed import ListedStore
from winnow_dagster.files.local import LocalStore
from winnow_dagster.files.opening import key_of, store_of
from winnow_dagster.files.paths import local_path
from winnow_dagster.files.store import Version
from winnow_dagster.files.sync import ParallelUploader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from winnow_dagster.files.paths import StorePath

__all__ = ["Batch", "Failures", "StorageError", "Version"]


def read_if_there(place: StorePath) -> bytes | None:
    """Return the content of a file, or None where there is no such file."""
    return store_of(place).read(key_of(place))


def read_ahead(folder: StorePath, places: Iterable[StorePath]) -> None:
    """Read files below a folder side by side, if each read takes a request. Later reads use the result."""
    store_of(folder).read_ahead(key_of(place) for place in places)


def copy_ahead(folder: StorePath, places: Iterable[StorePath]) -> None:
    """Copy files below a folder side by side, if each copy takes a request. `local_copies` uses the result."""
    store_of(folder).copy_ahead(key_of(place) for place in places)


def local_copies(places: Sequence[StorePath]) -> list[Path]:
    """Return files of this machine that hold what these do now; those of a disk themselves.

    Of what is gone there is no file.
    """
    return store_of(places[0]).copies([key_of(place) for place in places]) if places else []


def version_of(place: StorePath) -> Version | None:
    """Return the version of a file; None if there is no such file."""
    return store_of(place).version_of(key_of(place))


def exists(place: StorePath) -> bool:
    """Return whether there is such a file."""
    return store_of(place).exists(key_of(place))


def list_names(folder: StorePath) -> list[str]:
    """Return the names of what is directly in a folder; none where there is no such folder."""
    return store_of(folder).names(key_of(folder))


def list_ahead(folder: StorePath, beginning: str) -> StorePath:
    """Announce that many folders in `folder` whose names begin so will be looked at. Returns `folder`."""
    store_of(folder).list_ahead(f"{key_of(folder)}/{beginning}".lstrip("/"))
    return folder


def remember_folders(folder: StorePath, find: Callable[[], Collection[str]]) -> None:
    """Note which folders in `folder` are not `*`'s, if there are so many folders that listing them takes long."""
    store = store_of(folder)
    if isinstance(store, ListedStore):
        store.remember_folders(find)


def replace_file(place: StorePath, content: bytes, replaces: Version | None = None) -> Version:
    """Put `content` at a place; a reader sees the old file or the new one. Returns the version.

    `replaces`: the version that is there, as far as is known. In a bucket, no other is replaced.
    """
    return store_of(place).write(key_of(place), content, replaces)


def overwrite_file(place: StorePath, content: bytes) -> None:
    """Put `content` at a place, whatever version is there now."""
    store_of(place).overwrite(key_of(place), content)


def create_file(place: StorePath, content: bytes) -> None:
    """Create a file unless there is one. Of two processes, one succeeds."""
    store_of(place).create(key_of(place), content)


def replace_changed(folder: StorePath, files: Mapping[str, bytes]) -> int:
    """Put each of `files` (name -> content) into `folder` unless it is there already; return how many changed.

    They take their places in the order given.
    """
    return store_of(folder).replace_changed(key_of(folder), files)


def put_tagged(place: StorePath, text: str) -> None:
    """Write a text to an object, so that `read_tags` finds it in a listing."""
    _bucket_of(place).overwrite(key_of(place), text.encode(), tag=text)


def read_tags(folder: StorePath) -> list[str]:
    """Return the texts that `put_tagged` wrote below a folder of a bucket, ordered by key."""
    store = _bucket_of(folder)
    found = list(store.scan(f"{key_of(folder)}/"))
    contents = iter(store.read_many([known.key for known in found if known.tag is None]))
    return [(next(contents) or b"").decode() if known.tag is None else known.tag for known in found]


def remove(place: StorePath) -> None:
    """Remove a file, if it is there."""
    store_of(place).delete(key_of(place))


def remove_folder(folder: StorePath) -> None:
    """Remove a folder that is empty; leave one that is not. A bucket has none."""
    store_of(folder).remove_folder(key_of(folder))


def rename(place: StorePath, name: str, version: Version | None) -> None:
    """Rename a file within its folder. Replaces a file of that name. In a bucket, only this version of it."""
    store_of(place).rename(key_of(place), name, version)


def make_folder(folder: StorePath) -> None:
    """Make a folder and those above it, 0755 whatever the umask. A bucket needs none."""
    store_of(folder).make_folder(key_of(folder))


def make_writable(folder: StorePath) -> None:
    """Make a folder if there is none. Check that files can be created and replaced in it, and that it has space."""
    store_of(folder).make_writable(key_of(folder))


def remove_staged(folder: StorePath, passed_over: Collection[str] = ()) -> None:
    """Remove what runs that died left half-written in `folder` and below it, but for those folders passed over."""
    store_of(folder).remove_staged(key_of(folder), passed_over)


class Batch:
    """Writes files of many folders together. Collects what fails in `failures`."""

    def __init__(self, failures: Failures, max_files: int = 2000, staging: StorePath | None = None) -> None:
        """Start with no file. Write the staged files whenever there are `max_files`.

        On a disk, files wait beside their places, or in `staging`, a folder of the same file system.
        """
        self._failures, self._max_files = failures, max_files
        self._disk = disk.Batch(failures, max_files, local_path(staging) if staging else None)
        self._uploads: dict[int, ParallelUploader] = {}

    def add(self, folder: StorePath | str, files: Mapping[str, bytes]) -> int:
        """Take those of `files` (name -> content) that `folder` does not have yet; return how many.

        A text is the path of a folder on a disk.
        """
        if isinstance(folder, str):
            return self._disk.add(folder, files)
        store = store_of(folder)
        if isinstance(store, LocalStore):
            return self._disk.add(key_of(folder), files)
        if not isinstance(store, ListedStore):
            raise TypeError(f"{folder} is not the directory of a publication")
        uploads = self._uploads.setdefault(id(store), ParallelUploader(store, self._failures, self._max_files))
        return uploads.add(key_of(folder), files)

    def put(self) -> None:
        """Put what was taken in its place, folder by folder."""
        self._disk.put()
        for uploads in self._uploads.values():
            uploads.put()


def _bucket_of(place: StorePath) -> BucketStore:
    store = store_of(place)
    if not isinstance(store, BucketStore):
        raise TypeError(f"{place} is in no bucket")
    return store
