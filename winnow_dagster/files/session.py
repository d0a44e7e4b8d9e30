"""A publication: the lease and the listing under which one process changes a directory that is served."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from winnow_dagster.files.listed import ListedStore
from winnow_dagster.files.opening import key_of, store_of
from winnow_dagster.files.paths import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterator

    from winnow_dagster.files.bucket import BucketStore
    from winnow_dagster.files.held import Lock
    from winnow_dagster.files.paths import StorePath

NOTES = "published"
"""The folder in `data_dir` for notes about the bucket that Winnow publishes to."""

MANIFEST = "manifest"
"""The folder in `data_dir` where earlier releases kept a list of the bucket's objects."""


@dataclass(frozen=True)
class Session:
    """One publication."""

    lease: Lock
    folder: StorePath
    """The directory that is published, as this publication lists it."""


@contextlib.contextmanager
def publishing(data_dir: StorePath, output_dir: StorePath) -> Iterator[Session]:
    """Hold the right to change what is published of the installation whose data is in `data_dir`.

    Raises StorageError, and LeaseLostError in the end if another process took over.
    """
    with store_of(data_dir).lock(key_of(data_dir), "publishing") as lease:
        if not isinstance(output_dir, ObjectPath):
            yield Session(lease, output_dir)
            lease.ensure_held()
            return
        _remove_manifest(data_dir / MANIFEST)
        known = output_dir.store
        # The previous holder may have written since.
        _bucket(output_dir).forget()
        listed = ListedStore(_bucket(output_dir), output_dir.key, data_dir / NOTES, lease)
        try:
            yield Session(lease, replace(output_dir, connect=lambda: listed))
        finally:
            if isinstance(known, ListedStore):
                known.forget()
        listed.end()


def listed(output_dir: StorePath, data_dir: StorePath) -> StorePath:
    """Return the web directory for readers. In a bucket, they share a listing for a few seconds."""
    if not isinstance(output_dir, ObjectPath):
        return output_dir
    found: list[ListedStore] = []

    def connect() -> ListedStore:
        if not found:
            found.append(ListedStore(_bucket(output_dir), output_dir.key, data_dir / NOTES))
        return found[0]

    return replace(output_dir, connect=connect)


def _bucket(place: ObjectPath) -> BucketStore:
    store = place.store
    return store.store if isinstance(store, ListedStore) else cast("BucketStore", store)


def _remove_manifest(folder: StorePath) -> None:
    """Remove the manifest of an earlier release. After a downgrade, that release would trust it."""
    store, key = store_of(folder), key_of(folder)
    for name in store.names(key):
        if name.endswith(".json"):
            store.delete(f"{key}/{name}")
    store.remove_folder(key)
