"""A manifest is taken for true only where it can be: what it does not account for is listed, and written again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bucket_service import Service
from tests.storage.conftest import DATA, PUBLIC, place, public_folder
from winnow_dagster.storage import disk, listed, manifest
from winnow_dagster.storage.errors import StorageError
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


def interrupt(*args: object) -> None:
    raise KeyboardInterrupt


def test_what_was_written_when_somebody_pressed_ctrl_c_is_put_right_by_the_next(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(public_folder() / "a", b"1.2k")
    with monkeypatch.context() as patched:
        # The answer is there, and nobody has taken note of it.
        patched.setattr(manifest.Manifest, "set", interrupt)
        with pytest.raises(KeyboardInterrupt), publishing(place()):
            listed.put([(public_folder() / "a" / "counts.json", b"1.3k")])
    assert service.content(PUBLIC) == {"badges/a/counts.json": b"1.3k"}
    assert publish(public_folder() / "a", b"1.2k") == 1
    assert service.content(PUBLIC) == {"badges/a/counts.json": b"1.2k"}


def test_an_upload_whose_answer_was_lost_is_not_taken_for_what_was_there_before(service: Service) -> None:
    publish(public_folder() / "a", b"1.2k")
    service.refuse("badges/a/counts.json", 400)
    service.obeyed.add("badges/a/counts.json")
    with pytest.raises(StorageError, match="bad request"):
        publish(public_folder() / "a", b"1.3k")
    # The record is still found.
    assert listed.read(public_folder() / "a" / "counts.json") == b"1.3k"
    service.refusals.clear()
    assert publish(public_folder() / "a", b"1.2k") == 1
    assert service.content(PUBLIC) == {"badges/a/counts.json": b"1.2k"}


def test_a_manifest_on_a_disk_that_could_not_be_saved_is_not_trusted(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place(PUBLIC, "badges").listed_in(tmp_path / "manifest") / "a"
    publish(folder, b"1.2k", tmp_path)

    def full(path: Path, content: bytes) -> None:
        raise StorageError(f"{path}: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(disk, "replace_file", full)
        with pytest.raises(StorageError, match="No space left"):
            publish(folder, b"1.3k", tmp_path)
    assert publish(folder, b"1.2k", tmp_path) == 1
    assert service.content(PUBLIC) == {"badges/a/counts.json": b"1.2k"}
    assert not (tmp_path / ".publishing.pid").exists()
