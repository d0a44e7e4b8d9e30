"""Opening a bucket, which only those wait for who have one: Google's client takes a second to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from winnow_dagster.files.gcs import Bucket
    from winnow_dagster.files.paths import ObjectPath


def bucket_of(place: ObjectPath) -> Bucket:
    """Return the bucket that a place is in: one for all who ask in this process. Connects with the first request."""
    from winnow_dagster.files.gcs import open_bucket  # noqa: PLC0415 - see above

    return open_bucket(place.bucket, place.key_file)
