"""Paths of files and folders: on a disk, or in a bucket of object storage. Reads and writes nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from winnow_dagster.files.store import Store

AT_ONCE = 16
"""How many requests to buckets are under way at the same time."""

_ADDRESS = re.compile(
    r"(?P<bucket>(?:gs|s3|az)://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?P<key>(/[^/\\\x00-\x1f\x7f#?*\[\]]+)*)/?"
)
EXAMPLES = "gs://bucket/prefix, s3://bucket/prefix or az://container/prefix"


@dataclass(frozen=True, order=True)
class ObjectPath:
    """An object in a bucket, or all objects whose keys begin with this one and a slash: `gs://bucket/key`."""

    bucket: str
    """The address of the bucket: `gs://bucket`."""

    key: str
    connect: Callable[[], Store] = field(compare=False, repr=False)
    """Returns the store that the object is in: always the same one."""

    @property
    def store(self) -> Store:
        """The store that the object is in."""
        return self.connect()

    def __truediv__(self, name: str) -> ObjectPath:
        """Return the path of this name below this one."""
        return replace(self, key=f"{self.key}/{name}".strip("/"))

    def __str__(self) -> str:
        """Return the address that the service's own tools take."""
        return f"{self.bucket}/{self.key}".rstrip("/")

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> ObjectPath:
        """What this is directly in."""
        return replace(self, key=self.key.rpartition("/")[0])

    def is_relative_to(self, other: ObjectPath) -> bool:
        """Return whether this is `other` or lies below it."""
        below = not other.key or self.key == other.key or self.key.startswith(f"{other.key}/")
        return self.bucket == other.bucket and below


StorePath = Path | ObjectPath
"""A file or folder: on a disk a plain path, in a bucket a store with a key. Both have `/`, `name` and `parent`."""


def parse_address(text: str) -> tuple[str, str]:
    """Return the bucket and the key of `s3://bucket/prefix`. Raises ValueError."""
    found = _ADDRESS.fullmatch(text)
    if not found or {".", ".."} & set(found["key"].split("/")):
        raise ValueError(f"{text!r} is not a directory of a bucket. Write it as {EXAMPLES}")
    return found["bucket"], found["key"].lstrip("/")


def is_address(text: str) -> bool:
    """Return whether a text is meant to be the address of a bucket."""
    return text.startswith(("gs://", "s3://", "az://"))


def local_path(place: StorePath) -> Path | None:
    """Return the path on this machine; None for a bucket."""
    return place if isinstance(place, Path) else None


def bucket_of(place: StorePath) -> str | None:
    """Return the address of the bucket that a place is in; None for a disk."""
    return place.bucket if isinstance(place, ObjectPath) else None


def joiner(folder: StorePath) -> Callable[[str], StorePath | str]:
    """Return a function that joins a name to a folder: on a disk as text, since a million Path are slow."""
    return folder.__truediv__ if isinstance(folder, ObjectPath) else f"{folder}/{{}}".format
