"""Files wherever they are: read, replaced and removed on a disk or in a bucket, in one way for all who use them.

A path is on a disk, an ObjectPath in a bucket. Everything here raises StorageError, and nothing else.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from winnow_dagster.files import disk, sync
from winnow_dagster.files.errors import Failures, StorageError, translating_os_errors
from winnow_dagster.files.manifest import manifest_of
from winnow_dagster.files.opening import bucket_of
from winnow_dagster.files.paths import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from winnow_dagster.files.paths import ObjectVersion, StorePath

__all__ = ["Batch", "Failures", "StorageError"]

Version = tuple[int, int] | int
"""What tells one version of a file from another."""


def read_if_there(place: StorePath) -> bytes | None:
    """Return the content of a file, or None where there is no such file."""
    if isinstance(place, Path):
        return disk.read_if_there(place)
    return sync.read(place) if place.manifest else bucket_of(place).read(place)


def read_ahead(places: Iterable[ObjectPath]) -> None:
    """Let files be read side by side that are about to be read."""
    sync.read_ahead(places)


def local_copies(places: Sequence[StorePath]) -> list[Path]:
    """Return files of this machine that hold what these do now; those of a disk themselves.

    Of what is gone there is no file.
    """
    objects = [place for place in places if isinstance(place, ObjectPath)]
    copies = iter(bucket_of(objects[0]).copies(objects) if objects else ())
    return [place if isinstance(place, Path) else next(copies) for place in places]


def version_of(place: StorePath) -> Version | None:
    """Return what tells this version of a file from another; None where there is no such file."""
    if isinstance(place, Path):
        with translating_os_errors(place):
            try:
                return _version(place.stat())
            except (FileNotFoundError, NotADirectoryError):
                return None
    known = _look(place)
    return known.generation if known else None


def exists(place: StorePath) -> bool:
    """Tell whether there is such a file."""
    return os.path.isfile(place) if isinstance(place, Path) else _look(place) is not None  # noqa: PTH113


def _look(place: ObjectPath) -> ObjectVersion | None:
    return manifest_of(place).get(place.key) if place.manifest else bucket_of(place).look(place)


def list_names(folder: StorePath) -> list[str]:
    """Return the names of what is directly in a folder; none where there is no such folder."""
    if isinstance(folder, ObjectPath):
        return manifest_of(folder).names(folder.key) if folder.manifest else list(bucket_of(folder).listing(folder))
    with translating_os_errors(folder):
        try:
            return os.listdir(folder)  # noqa: PTH208 - a million Path take seconds
        except (FileNotFoundError, NotADirectoryError):
            return []


def replace_file(place: StorePath, content: bytes, replaces: Version | None = None) -> Version:
    """Put `content` at a place; whoever reads at the same time sees the old file or the new. Returns the version.

    `replaces`: the version that is there, as far as is known. In a bucket, no other is replaced.
    """
    if isinstance(place, Path):
        return _version(disk.replace_file(place, content))
    return bucket_of(place).write(place, content, replaces if isinstance(replaces, int) else 0)


def replace_changed(folder: StorePath, files: Mapping[str, bytes]) -> int:
    """Put each of `files` (name -> content) into `folder` unless it is there already; return how many changed.

    They take their places in the order given.
    """
    if isinstance(folder, Path):
        return disk.replace_changed(folder, files)
    changed = sync.changed(folder, files)
    sync.put(changed)
    return len(changed)


def put_tagged(place: ObjectPath, text: str) -> None:
    """Put a text at a place of a bucket, whatever is there, so that `read_tags` finds it."""
    bucket_of(place).put_tagged(place, text)


def read_tags(folder: ObjectPath) -> list[str]:
    """Return the texts that were put so below a folder of a bucket, ordered by their places."""
    return bucket_of(folder).read_tags(folder)


def hand_over(folder: StorePath, to: StorePath) -> None:
    """Let the files of a folder be looked for where `to` lists them: the same folder, in another part of a manifest."""
    if isinstance(folder, ObjectPath) and isinstance(to, ObjectPath):
        for name in list_names(folder):
            sync.hand_over(folder / name, to / name)


def remove(place: StorePath) -> None:
    """Remove a file, if it is there."""
    if isinstance(place, Path):
        with translating_os_errors(place):
            place.unlink(missing_ok=True)
    elif place.manifest:
        sync.remove(place)
    elif known := bucket_of(place).look_closely(place):
        bucket_of(place).remove(place, known.generation)


def remove_folder(folder: StorePath) -> None:
    """Remove a folder that is empty; leave one that is not. A bucket has none."""
    if isinstance(folder, Path):
        with contextlib.suppress(OSError):
            folder.rmdir()


def rename(place: StorePath, name: str, version: Version | None) -> None:
    """Give a file another name in its folder, in place of what is called so. In a bucket, only this version of it."""
    if isinstance(place, ObjectPath):
        if isinstance(version, int):
            bucket_of(place).rename(place, name, version)
        return
    with translating_os_errors(place):
        place.replace(place.with_name(name))


def make_folder(folder: StorePath) -> None:
    """Make a folder and those above it, 0755 whatever the umask. A bucket needs none."""
    if isinstance(folder, Path):
        disk.make_folder(folder)


def make_writable(folder: StorePath) -> None:
    """Make a folder if there is none. Check that files can be created and replaced in it, and that it has space."""
    if isinstance(folder, Path):
        disk.make_writable(folder)
    else:
        bucket_of(folder).probe(folder)


def remove_staged(folder: StorePath, passed_over: Collection[str] = ()) -> None:
    """Remove what runs that died left half-written in `folder` and below it, but for those folders passed over."""
    if isinstance(folder, Path):
        disk.remove_staged(folder, passed_over)


class Batch:
    """Files of many folders that are put in place together. What cannot be is noted in `failures`."""

    def __init__(self, failures: Failures, most: int = 2000, staging: StorePath | None = None) -> None:
        """Start with no file; put what there is in place whenever there are `most`.

        On a disk, files wait beside their places, or in `staging`, a folder of the same file system.
        """
        self._disk = disk.Batch(failures, most, staging if isinstance(staging, Path) else None)
        self._uploads = sync.ParallelUploader(failures, most)

    def add(self, folder: StorePath | str, files: Mapping[str, bytes]) -> int:
        """Take those of `files` (name -> content) that `folder` does not have yet; return how many."""
        return self._uploads.add(folder, files) if isinstance(folder, ObjectPath) else self._disk.add(folder, files)

    def put(self) -> None:
        """Put what was taken in its place, folder by folder."""
        self._disk.put()
        self._uploads.put()


def _version(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_mtime_ns, stat.st_ino
