"""Manifests: what is in a directory of a bucket, kept beside the data, so that nobody has to list it.

A manifest is written when a publication ends. Where one died before that, or it is gone, the directory is listed once;
so it is where the manifest says that it is of another one: a config may be given another bucket and keep its data.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from winnow_dagster.storage import disk
from winnow_dagster.storage.opening import bucket_of
from winnow_dagster.storage.places import NAMED, Known, ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterable

    from winnow_dagster.storage.places import Place

FRESH_SECONDS = 5
"""For how long a manifest is taken for true by those who only read."""


class Manifest:
    """The objects below `root`, by their keys, as the file at `place` says."""

    def __init__(self, place: Place, folder: ObjectPath, *, is_sound: bool) -> None:
        """Read it; where there is none, or it is not sound, list `folder`. Raises StorageError."""
        self.place = place
        self.read_at = time.monotonic()
        self.is_dirty = False
        self._of = str(folder)
        self._version, content = _read(place)
        found = _parse(content, self._of)
        self._known = found or {}
        # The other parts are of folders that are written without being read.
        if place.name == NAMED and (found is None or not is_sound):
            self._known = _list_all(folder)
            self.is_dirty = True

    def get(self, key: str) -> Known | None:
        """Return what is known of an object; None where there is none."""
        return self._known.get(key)

    def set(self, key: str, known: Known) -> None:
        """Take note of what was written."""
        self._known[key] = known
        self.is_dirty = True

    def drop(self, key: str) -> None:
        """Take note that an object is gone."""
        self.is_dirty |= self._known.pop(key, None) is not None

    def names(self, folder: str) -> list[str]:
        """Return the names of what is directly in a folder."""
        prefix = f"{folder}/" if folder else ""
        return list(_first_parts(self._known, prefix))

    def save(self) -> None:
        """Write it, if anything has changed. Raises StorageError."""
        if self.is_dirty:
            content = json.dumps({"of": self._of, "objects": self._known}, separators=(",", ":")).encode()
            self._version = _write(self.place, content, self._version)
            self.is_dirty = False


@dataclass
class _Desk:
    """The manifests in hand, and whether nobody else may write them meanwhile."""

    manifests: dict[tuple[Place, str, str], Manifest] = field(default_factory=dict)
    are_ours: bool = False
    are_sound: bool = True


_desk = _Desk()


def manifest_of(place: ObjectPath) -> Manifest:
    """Return the manifest that lists a place; the one in hand, unless it may have grown old. Raises StorageError."""
    if place.manifest is None:
        raise ValueError(f"no manifest lists {place}")
    key = place.manifest, place.bucket, place.root
    found = _desk.manifests.get(key)
    if found is None or (not _desk.are_ours and time.monotonic() - found.read_at > FRESH_SECONDS):
        found = Manifest(place.manifest, replace(place, key=place.root), is_sound=_desk.are_sound)
        _desk.manifests[key] = found
    return found


def begin(*, is_sound: bool) -> None:
    """Read every manifest anew: nobody else writes any until `save_all`.

    `is_sound`: whether the last one who could write them came to save them.
    """
    _desk.manifests.clear()
    _desk.are_ours, _desk.are_sound = True, is_sound


def save_all() -> None:
    """Write what has changed of all manifests, and take none of them for true any more. Raises StorageError."""
    _desk.are_ours, _desk.are_sound = False, True
    while _desk.manifests:
        _, manifest = _desk.manifests.popitem()
        manifest.save()


def _first_parts(keys: Iterable[str], prefix: str) -> dict[str, None]:
    return {key[len(prefix) :].partition("/")[0]: None for key in keys if key.startswith(prefix)}


def _read(place: Place) -> tuple[int, bytes | None]:
    """Return the generation of a manifest, 0 on a disk or where there is none, and its content."""
    if not isinstance(place, ObjectPath):
        return 0, disk.read_if_there(place)
    known = bucket_of(place).look_closely(place)
    return (known.generation, bucket_of(place).read(place)) if known else (0, None)


def _parse(content: bytes | None, of: str) -> dict[str, Known] | None:
    """Return what a manifest says of a directory; None where there is none, or it is damaged, or of another one."""
    try:
        found = json.loads(content or b"{}")
        if found["of"] == of:
            return {key: Known(str(md5), int(generation)) for key, (md5, generation) in found["objects"].items()}
    except (ValueError, LookupError, TypeError, AttributeError):
        # Whatever is there instead of a manifest.
        pass
    return None


def _write(place: Place, content: bytes, generation: int) -> int:
    if isinstance(place, ObjectPath):
        return bucket_of(place).write(place, content, generation)
    disk.make_folder(place.parent)
    disk.replace_file(place, content)
    return 0


def _list_all(folder: ObjectPath) -> dict[str, Known]:
    return bucket_of(folder).list_all(folder)


def md5_of(content: bytes) -> str:
    """Return the MD5 of content, in base64, as a bucket tells it."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
