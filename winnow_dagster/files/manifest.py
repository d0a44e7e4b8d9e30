"""Manifests: the content of a directory in a bucket, kept beside the data, so that Winnow need not list it.

Winnow writes a manifest when a publication ends, and its parts for `*` as each is done. If a publication died before
that, Winnow removes the whole manifest. It lists a part once if there is no manifest of it, or if the manifest is of
another directory: a config may get another bucket and keep its data. Once a day Winnow compares a manifest with the
bucket.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from winnow_dagster.files import disk
from winnow_dagster.files.errors import translating_os_errors
from winnow_dagster.files.held import seconds_for_request
from winnow_dagster.files.listing import list_again, list_part
from winnow_dagster.files.opening import bucket_of
from winnow_dagster.files.paths import AT_ONCE, NAMED, ObjectPath, ObjectVersion

if TYPE_CHECKING:
    from winnow_dagster.files.errors import Failures
    from winnow_dagster.files.paths import StorePath

FRESH_SECONDS = 5
"""For how long a manifest is taken for true by those who only read."""


class Manifest:
    """The objects below `root`, by their keys, as the file at `place` says."""

    def __init__(self, place: StorePath, folder: ObjectPath, *, is_ours: bool) -> None:
        """Read it; list `folder` if it has no manifest. Raises StorageError.

        `is_ours`: whether this process may write it. If so, Winnow compares it with the bucket once a day, and then
        restores what others removed or changed.
        """
        self.place = place
        self.is_dirty = False
        self._of = str(folder)
        self._version, content = _read(place)
        found, self._checked = _parse(content, self._of)
        if found is None or (is_ours and self._checked != _today()):
            found = list_part(folder, place) if found is None else list_again(folder, place, found)
            self._checked = _today()
            self.is_dirty = True
        self._known = found
        self._folders: dict[str, dict[str, None]] = {}
        for key in found:
            self._enter(key)
        self.read_at = time.monotonic()

    def get(self, key: str) -> ObjectVersion | None:
        """Return what is known of an object; None where there is none."""
        return self._known.get(key)

    def set(self, key: str, known: ObjectVersion) -> None:
        """Take note of what was written."""
        self._known[key] = known
        self._enter(key)
        self.is_dirty = True

    def drop(self, key: str) -> None:
        """Take note that an object is gone."""
        if self._known.pop(key, None) is not None:
            self._strike(key)
            self.is_dirty = True

    def names(self, folder: str) -> list[str]:
        """Return the names of what is directly in a folder."""
        return list(self._folders.get(folder, ()))

    def save(self) -> None:
        """Write it, if anything has changed. Raises StorageError."""
        if self.is_dirty:
            about = {"of": self._of, "checked": self._checked, "objects": self._known}
            self._version = _write(self.place, json.dumps(about, separators=(",", ":")).encode(), self._version)
            self.is_dirty = False

    def _enter(self, key: str) -> None:
        """Enter an object in its folder, and that in the one that it is in."""
        while key:
            folder, _, name = key.rpartition("/")
            names = self._folders.setdefault(folder, {})
            if name in names:
                return
            names[name] = None
            key = folder

    def _strike(self, key: str) -> None:
        """Strike an object out of its folder, and that out of the one that it is in if it is empty."""
        while key and key not in self._known and key not in self._folders:
            folder, _, name = key.rpartition("/")
            del self._folders[folder][name]
            if not self._folders[folder]:
                del self._folders[folder]
            key = folder


@dataclass
class _Desk:
    """The manifests in hand, and whether nobody else may write them meanwhile."""

    manifests: dict[tuple[StorePath, str, str], Manifest] = field(default_factory=dict)
    are_ours: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Uploads side by side must not read one part twice: what is noted in the one would be lost."""


_desk = _Desk()


def manifest_of(place: ObjectPath) -> Manifest:
    """Return the manifest that lists a place; the one in hand, unless it may have grown old. Raises StorageError."""
    if place.manifest is None:
        raise ValueError(f"no manifest lists {place}")
    key = place.manifest, place.bucket, place.root
    with _desk.lock:
        found = _desk.manifests.get(key)
        if found is None or (not _desk.are_ours and time.monotonic() - found.read_at > FRESH_SECONDS):
            found = Manifest(place.manifest, replace(place, key=place.root), is_ours=_desk.are_ours)
            _desk.manifests[key] = found
            if _desk.are_ours and place.manifest.name == NAMED:
                # At once, if it was listed: those who only read meanwhile should not have to.
                found.save()
    return found


def begin(folder: StorePath, *, is_sound: bool) -> None:
    """Read every manifest of a folder anew: nobody else writes any until `save_all`. Raises StorageError.

    `is_sound`: whether the last one who could write them came to save them. If not, none is taken for true, not even by
    a later publication that is the first to look at it.
    """
    _desk.manifests.clear()
    _desk.are_ours = True
    if not is_sound:
        _remove_all(folder)


def parts_in_hand() -> int:
    """Return how many parts of manifests are in memory."""
    return len(_desk.manifests)


def save_parts(failures: Failures) -> None:
    """Write what has changed of all parts but NAMED, and let go of them: all together would fill the memory.

    What fails is noted, and tried again by `save_all`.
    """
    for key, manifest in list(_desk.manifests.items()):
        if manifest.place.name != NAMED:
            with failures.collect():
                manifest.save()
                del _desk.manifests[key]


def save_all() -> None:
    """Write what has changed of all manifests, and take none of them for true any more. Raises StorageError."""
    _desk.are_ours = False
    while _desk.manifests:
        _, manifest = _desk.manifests.popitem()
        manifest.save()


def _read(place: StorePath) -> tuple[int, bytes | None]:
    """Return the generation of a manifest, 0 on a disk or where there is none, and its content."""
    if not isinstance(place, ObjectPath):
        return 0, disk.read_if_there(place)
    known = bucket_of(place).look_closely(place)
    return (known.generation, bucket_of(place).read(place)) if known else (0, None)


def _parse(content: bytes | None, of: str) -> tuple[dict[str, ObjectVersion] | None, str]:
    """Return the objects in a manifest of a directory, and the day on which it was compared with the bucket.

    Returns None and no day if there is no manifest, if it is damaged, or if it is of another directory.
    """
    try:
        found = json.loads(content or b"{}")
        if found["of"] == of:
            objects = {
                key: ObjectVersion(str(md5), int(generation)) for key, (md5, generation) in found["objects"].items()
            }
            return objects, str(found.get("checked", ""))
    except (ValueError, LookupError, TypeError, AttributeError):
        # Whatever is there instead of a manifest.
        pass
    return None, ""


def _today() -> str:
    return str(datetime.now(UTC).date())


def _write(place: StorePath, content: bytes, generation: int) -> int:
    if isinstance(place, ObjectPath):
        return bucket_of(place).write(place, content, generation, seconds=seconds_for_request())
    disk.make_folder(place.parent)
    disk.replace_file(place, content)
    return 0


def _remove_all(folder: StorePath) -> None:
    if isinstance(folder, ObjectPath):
        bucket = bucket_of(folder)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = [(folder / name, known.generation) for name, known in bucket.listing(folder).items() if known]
            list(pool.map(lambda each: bucket.remove(each[0], each[1], seconds_for_request()), found))
        return
    with translating_os_errors(folder):
        for path in folder.glob("*.json"):
            path.unlink()


def md5_of(content: bytes) -> str:
    """Return the MD5 of content, in base64, as a bucket tells it."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
