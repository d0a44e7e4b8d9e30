"""Places: where a directory or a file is, on a disk or in a bucket of object storage. Reads and writes nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

SCHEME = "gs://"
MANIFEST = "manifest"
"""The folder of a manifest, in that of the data."""

AT_ONCE = 16
"""How many requests to buckets are under way at the same time."""

NAMED = "named.json"
"""The part of a manifest that lists all that no other part does."""

_WRITTEN = re.compile(r"gs://(?P<bucket>[a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?P<key>(/[^/\x00-\x1f\x7f#?*\[\]]+)*)/?")


@dataclass(frozen=True, order=True)
class ObjectPath:
    """An object in a bucket, or all those whose keys begin with this one and a slash: `gs://bucket/key`."""

    bucket: str
    key: str = ""
    key_file: Path | None = field(default=None, compare=False, repr=False)
    """A service account's key; None where the credentials come from the environment."""

    manifest: StorePath | None = field(default=None, compare=False, repr=False)
    """What lists the objects below `root`; None where the bucket itself is asked."""

    root: str = field(default="", compare=False, repr=False)

    @classmethod
    def parse(cls, text: str, key_file: Path | None = None) -> ObjectPath:
        """Read `gs://bucket/prefix`. Raises ValueError."""
        found = _WRITTEN.fullmatch(text)
        if not found or {".", ".."} & set(found["key"].split("/")):
            raise ValueError(f"{text!r} is not a directory of a bucket. Write it as gs://bucket/prefix")
        return cls(found["bucket"], found["key"].lstrip("/"), key_file)

    def __truediv__(self, name: str) -> ObjectPath:
        """Return what is called so below this one."""
        return replace(self, key=f"{self.key}/{name}".strip("/"))

    def __str__(self) -> str:
        """Return the address that Google's own tools take."""
        return f"{SCHEME}{self.bucket}/{self.key}".rstrip("/")

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> ObjectPath:
        """What this is directly in."""
        return replace(self, key=self.key.rpartition("/")[0])

    def is_relative_to(self, other: ObjectPath) -> bool:
        """Tell whether this is `other` or lies below it."""
        below = not other.key or self.key == other.key or self.key.startswith(f"{other.key}/")
        return self.bucket == other.bucket and below

    def listed_in(self, manifest: StorePath) -> ObjectPath:
        """Return this directory, the objects of which are listed in a file of the folder `manifest`."""
        return replace(self, manifest=manifest / NAMED, root=self.key)


StorePath = Path | ObjectPath


class ObjectVersion(NamedTuple):
    """What tells one version of an object from another: the MD5 of its content, in base64, and its generation."""

    md5: str
    generation: int


def part_of(folder: StorePath, part: str) -> StorePath:
    """Return the same folder, the files of which are listed in another part of the manifest, if it has one."""
    if isinstance(folder, Path) or folder.manifest is None:
        return folder
    return replace(folder, manifest=folder.manifest.parent / f"part-{part}.json")


def shard_in(name: str) -> str:
    """Return what `part_of` was given, from the name of the part."""
    return name.removeprefix("part-").removesuffix(".json")


def below(folder: StorePath, path: str) -> StorePath:
    """Return what is at a path, with slashes, below a folder."""
    return folder / path
