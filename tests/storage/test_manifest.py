"""A manifest is taken for true only where it can be: what it does not account for is listed, and written again."""

from __future__ import annotations

import pytest

from tests.bucket_service import Service
from tests.storage.conftest import DATA, PUBLIC, place, public_folder
from winnow_dagster.storage.files import Batch, Failures
from winnow_dagster.storage.lock import publishing
from winnow_dagster.storage.places import ObjectPath, Place

NAMED = "winnow/manifest/named.json"


def publish(folder: Place, content: bytes, data: Place | None = None) -> int:
    """Publish a file of a folder; return how many changed."""
    failures = Failures()
    with publishing(data or place()):
        batch = Batch(failures)
        changed = batch.add(folder, {"counts.json": content})
        batch.put()
    failures.raise_any()
    return changed


def test_what_is_published_in_another_bucket_than_before_is_all_published_there(service: Service) -> None:
    service.make("new-bucket")
    for bucket, expected in ((PUBLIC, 1), ("new-bucket", 1), ("new-bucket", 0)):
        folder = ObjectPath(bucket, "badges").listed_in(place() / "manifest") / "a"
        assert publish(folder, b"1.2k") == expected
    assert service.content("new-bucket") == service.content(PUBLIC) == {"badges/a/counts.json": b"1.2k"}


@pytest.mark.parametrize(
    "damage",
    [
        b"{}",
        b"null",
        b'{"badges/a/counts.json":["x"',
        b'{"of":"gs://public-bucket/badges"}',
        b'{"of":"gs://public-bucket/badges","objects":{"badges/a/counts.json":["x"]}}',
    ],
)
def test_a_damaged_manifest_counts_as_none_at_all(service: Service, damage: bytes) -> None:
    publish(public_folder() / "a", b"1.2k")
    whole = service.content(DATA)[NAMED]
    service.put(DATA, NAMED, damage)
    service.forget()
    assert publish(public_folder() / "a", b"1.2k") == 0
    assert [each.name for each in service.asked if each.what == "list"] == ["badges/"]
    assert service.content(DATA)[NAMED] == whole
