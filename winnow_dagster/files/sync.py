"""Directories of a bucket that a manifest lists: what is there is known, and only what differs from it is written."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from winnow_dagster.files.errors import LeaseLostError, PreconditionFailedError, StorageError, UnreachableError
from winnow_dagster.files.held import seconds_for_request
from winnow_dagster.files.manifest import manifest_of, md5_of, parts_in_hand, save_parts
from winnow_dagster.files.opening import bucket_of
from winnow_dagster.files.paths import AT_ONCE, ObjectVersion

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from winnow_dagster.files.errors import Failures
    from winnow_dagster.files.paths import ObjectPath

MAX_KEPT_BYTES = 64_000_000
"""How much of what was read is kept for the next who reads it."""

MAX_PARTS = 64
"""How many parts of a manifest are in memory at the same time; each lists the files of some 700 packages."""


@dataclass
class _Kept:
    """What was read of objects, and of objects that are about to be read."""

    contents: dict[ObjectVersion, bytes] = field(default_factory=dict)
    size: int = 0
    ahead: dict[ObjectPath, bytes | None] = field(default_factory=dict)

    def keep(self, known: ObjectVersion, content: bytes) -> None:
        self.size += len(content)
        if self.size > MAX_KEPT_BYTES:
            self.contents.clear()
            self.size = len(content)
        self.contents[known] = content


_kept = _Kept()


def read(place: ObjectPath) -> bytes | None:
    """Return the content of an object; None where there is none. Raises StorageError."""
    manifest = manifest_of(place)
    known = manifest.get(place.key)
    if known is None or known in _kept.contents:
        return _kept.contents[known] if known else None
    content = _kept.ahead.pop(place, None)
    if content is None or known.md5 != md5_of(content):
        # What was read ahead may have been replaced before anybody came to read it.
        content = bucket_of(place).read(place)
    if content is None:
        # Somebody has removed it, who knows of no manifest.
        manifest.drop(place.key)
    elif known.md5 == md5_of(content):
        _kept.keep(known, content)
    return content


def read_ahead(places: Iterable[ObjectPath]) -> None:
    """Read objects of one bucket side by side, for whoever reads them next. Raises StorageError."""
    wanted = []
    for place in places:
        known = manifest_of(place).get(place.key)
        if known is not None and known not in _kept.contents:
            wanted.append(place)
    if wanted:
        _kept.ahead.update(zip(wanted, bucket_of(wanted[0]).read_many(wanted), strict=True))


def remove(place: ObjectPath) -> None:
    """Remove an object, if it is there. Raises StorageError."""
    bucket, known = bucket_of(place), manifest_of(place).get(place.key)
    try:
        if known is not None:
            bucket.remove(place, known.generation, seconds_for_request())
    except PreconditionFailedError:
        # A process that does not use the manifest has replaced it.
        now = bucket.look_closely(place)
        if now is not None:
            bucket.remove(place, now.generation, seconds_for_request())
    manifest_of(place).drop(place.key)


def hand_over(place: ObjectPath, to: ObjectPath) -> None:
    """Let the part of the manifest that lists `to` list an object, which is the same, instead of its own."""
    known = manifest_of(place).get(place.key)
    if known is not None:
        manifest_of(to).set(to.key, known)
        manifest_of(place).drop(place.key)


def changed(folder: ObjectPath, files: Mapping[str, bytes]) -> list[tuple[ObjectPath, bytes]]:
    """Return those of `files` (name -> content) that a folder does not have yet. Raises StorageError."""
    manifest = manifest_of(folder)
    found = []
    for name, content in files.items():
        place = folder / name
        known = manifest.get(place.key)
        if known is None or known.md5 != md5_of(content):
            found.append((place, content))
    return found


def put(objects: Sequence[tuple[ObjectPath, bytes]]) -> None:
    """Write objects one after the other. Raises StorageError; those before it are there then."""
    for place, content in objects:
        manifest = manifest_of(place)
        known = manifest.get(place.key)
        # Check the lease before each write: a write with an unchanged generation succeeds even after the lease is lost.
        seconds = seconds_for_request()
        try:
            generation = _write(place, content, known.generation if known else 0, seconds)
        except StorageError:
            if known is not None:
                # It may be there all the same, if only the answer was lost: whatever is to be there next is written.
                manifest.set(place.key, ObjectVersion("", known.generation))
            raise
        manifest.set(place.key, ObjectVersion(md5_of(content), generation))


def _write(place: ObjectPath, content: bytes, generation: int, seconds: float) -> int:
    """Write an object in place of this generation; return the new one. Raises StorageError."""
    bucket = bucket_of(place)
    try:
        return bucket.write(place, content, generation, seconds=seconds)
    except PreconditionFailedError:
        # A run that died wrote it and did not come to list it, or somebody else did.
        now = bucket.look_closely(place)
        if now is not None and now.md5 == md5_of(content):
            return now.generation
        return bucket.write(place, content, now.generation if now else 0, seconds=seconds_for_request())


class ParallelUploader:
    """Files of many folders that are put in place side by side, those of one folder in their order."""

    def __init__(self, failures: Failures, most: int) -> None:
        """Start with no file; put what there is in place whenever there are `most`, or of many parts of a manifest."""
        self._failures = failures
        self._most = most
        self._folders: list[list[tuple[ObjectPath, bytes]]] = []
        self._files = 0

    def add(self, folder: ObjectPath, files: Mapping[str, bytes]) -> int:
        """Take those of `files` (name -> content) that `folder` does not have yet; return how many."""
        found = changed(folder, files)
        if found:
            self._folders.append(found)
            self._files += len(found)
        if self._files >= self._most or parts_in_hand() > MAX_PARTS:
            self.put()
        return len(found)

    def put(self) -> None:
        """Put what was taken in its place; what fails is noted, and once no more can be written the rest is left."""
        taken, self._folders, self._files = self._folders, [], 0
        if taken:
            self._upload(taken)
        save_parts(self._failures)

    def _upload(self, taken: Sequence[Sequence[tuple[ObjectPath, bytes]]]) -> None:
        is_lost = threading.Event()

        def upload(objects: Sequence[tuple[ObjectPath, bytes]]) -> None:
            if not is_lost.is_set():
                try:
                    put(objects)
                except (UnreachableError, LeaseLostError):
                    is_lost.set()
                    raise

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for done in [pool.submit(upload, objects) for objects in taken]:
                with self._failures.collect():
                    done.result()
