"""Stores: where files are, and what every kind of store promises.

A disk, Google Cloud Storage, S3 and Azure each have one class. Nothing outside this folder asks which one it uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, NewType, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from winnow_dagster.files.held import Lock

Version = NewType("Version", str)
"""Tells one version of a file from another. Opaque: equal versions of a key mean equal content, and nothing else."""


class ObjectVersion(NamedTuple):
    """What a listing says of an object."""

    key: str
    version: Version
    md5: str = ""
    """The MD5 of the content in hexadecimal digits, or something else, or nothing: it proves equality only."""

    tag: str | None = None
    """The text that the object was written with, where the store lists it."""


class Store(Protocol):
    """Files by their keys. Every method raises StorageError, and nothing else.

    A listing has each object that was written before the listing began and not removed since, in the order of the
    keys. GCS, S3 and Azure guarantee that, and so do R2 and MinIO. What is written during a listing may be absent. A
    bucket refuses a write on the strength of an old listing, since each write names the version that it replaces.
    """

    @property
    def address(self) -> str:
        """The store's part of an address: `gs://bucket`, or nothing for a disk."""
        ...

    def read(self, key: str, version: Version | None = None) -> bytes | None:
        """Return the content of a file; None if there is none.

        Raises PreconditionFailedError if `version` is given and the file has another.
        """
        ...

    def read_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the content of each file, read side by side."""
        ...

    def read_ahead(self, keys: Iterable[str]) -> None:
        """Read files side by side, if each read takes a request. Later reads use the result."""
        ...

    def version_of(self, key: str) -> Version | None:
        """Return the version of a file; None if there is none. In a bucket it may be 2 seconds old."""
        ...

    def exists(self, key: str) -> bool:
        """Return whether there is such a file."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the names of what is directly in a folder; none if there is no such folder."""
        ...

    def scan(self, prefix: str) -> Iterator[ObjectVersion]:
        """Yield all files whose keys begin with `prefix`, in the order of the keys."""
        ...

    def list_ahead(self, prefix: str) -> None:
        """Announce that many files whose keys begin with `prefix` will be looked at."""
        ...

    def write(self, key: str, content: bytes, replaces: Version | None = None) -> Version:
        """Replace a version of a file (None: there is no such file) as a whole; return the new version.

        A bucket raises PreconditionFailedError if the file has another version. A disk has no preconditions, so its
        writers hold a lock.
        """
        ...

    def overwrite(self, key: str, content: bytes) -> Version:
        """Replace the present version of a file; return the new version."""
        ...

    def create(self, key: str, content: bytes) -> None:
        """Create a file unless there is one. Of two processes, one succeeds."""
        ...

    def delete(self, key: str, version: Version | None = None) -> None:
        """Remove a version of a file (None: the present one), if there is such a file.

        A bucket raises PreconditionFailedError if the file has another version. S3 and Azure look at the version just
        before, since their client has no conditional delete.
        """
        ...

    def rename(self, key: str, name: str, version: Version | None) -> None:
        """Rename a file within its folder. Replaces a file of that name. In a bucket, only this version."""
        ...

    def replace_changed(self, folder: str, files: Mapping[str, bytes]) -> int:
        """Put each of `files` (name -> content) into a folder unless it is there already; return how many changed.

        They take their places in the order given.
        """
        ...

    def copies(self, keys: Sequence[str]) -> list[Path]:
        """Return local files with the content of these. A removed file has no copy."""
        ...

    def copy_ahead(self, keys: Iterable[str]) -> None:
        """Copy files side by side, if each copy takes a request. `copies` uses the result."""
        ...

    def make_folder(self, folder: str) -> None:
        """Make a folder and those above it, where the store has folders."""
        ...

    def make_writable(self, folder: str) -> None:
        """Make a folder. Raise StorageError unless Winnow can create and replace files in it."""
        ...

    def remove_folder(self, folder: str) -> None:
        """Remove a folder that is empty; leave one that is not."""
        ...

    def remove_staged(self, folder: str, passed_over: Collection[str]) -> None:
        """Remove what runs that died left half-written in a folder and below it, except for these folders."""
        ...

    def lock(self, folder: str, what: str) -> AbstractContextManager[Lock]:
        """Hold a lock of the installation whose data is in a folder. Wait for another holder, and log which it is."""
        ...
