"""Opens the store of a path. It imports a bucket's client only when needed, since that takes up to a second."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

from winnow_dagster.files.errors import StorageError
from winnow_dagster.files.local import LocalStore
from winnow_dagster.files.paths import ObjectPath, parse_address

if TYPE_CHECKING:
    from pathlib import Path

    from winnow_dagster.files.paths import StorePath
    from winnow_dagster.files.store import Store

EXTRA = "winnow-dagster[object-storage]"


def open_path(text: str, key_file: Path | None = None) -> ObjectPath:
    """Return the path of `gs://bucket/prefix`, with a store of its own that connects at the first request.

    `key_file`: a Google service account's key; None if the credentials come from the environment. Raises ValueError.
    """
    address, key = parse_address(text)
    return ObjectPath(address, key, cache(partial(_open, address, key_file)))


def store_of(place: StorePath) -> Store:
    """Return the store that a place is in."""
    return place.store if isinstance(place, ObjectPath) else LocalStore()


def key_of(place: StorePath) -> str:
    """Return what the store calls a place."""
    return place.key if isinstance(place, ObjectPath) else str(place)


def _open(address: str, key_file: Path | None) -> Store:
    scheme, _, name = address.partition("://")
    if scheme == "gs":
        from winnow_dagster.files.gcs import GcsStore  # noqa: PLC0415 - see above

        return GcsStore(name, key_file)
    try:
        from winnow_dagster.files.obstores import ObstoreStore  # noqa: PLC0415
    except ModuleNotFoundError:
        raise StorageError(f"{address}: needs the package obstore. Install it: `pip install '{EXTRA}'`") from None
    return ObstoreStore(scheme, name)
