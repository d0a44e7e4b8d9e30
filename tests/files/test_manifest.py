"""A manifest is taken for true only where it can be: what it does not account for is listed, and written again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bucket_service import Service
from tests.buckets import DATA, PUBLIC, place, public_folder
from winnow_dagster.files import disk, manifest, sync
from winnow_dagster.files.errors import StorageError
from winnow_dagster.files.locks import publishing
from winnow_dagster.files.operations import Batch, Failures, list_names, remove
from winnow_dagster.files.paths import ObjectPath, StorePath, below, part_of
from winnow_dagster.site.history import JSON_NAME

NAMED = "winnow/manifest/named.json"


def publish(folder: StorePath, content: bytes, data: StorePath | None = None, name: str = "counts.json") -> int:
    """Publish a file of a folder; return how many changed."""
    failures = Failures()
    with publishing(data or place()):
        batch = Batch(failures)
        changed = batch.add(folder, {name: content})
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
            sync.put([(public_folder() / "a" / "counts.json", b"1.3k")])
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
    assert sync.read(public_folder() / "a" / "counts.json") == b"1.3k"
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


def publish_wide(package: str, content: bytes) -> int:
    """Publish a file of a package as `*` does; return how many changed."""
    return publish(part_of(public_folder(), package[:2]) / package, content, name=JSON_NAME)


def die_while_publishing(package: str, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(manifest.Manifest, "save", interrupt)
        with pytest.raises(KeyboardInterrupt):
            publish_wide(package, content)


def lists(service: Service) -> list[str]:
    return [each.name for each in service.asked if each.what == "list" and each.name.startswith("badges/")]


def test_what_a_part_says_is_not_trusted_after_a_death_whoever_looks_at_it_first(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_wide("sample-rye", b"1.2k")
    die_while_publishing("sample-rye", b"1.3k", monkeypatch)
    # It ends soundly, and did not look at that part.
    publish(public_folder() / "a", b"1.2k")
    assert publish_wide("sample-rye", b"1.2k") == 1
    assert service.content(PUBLIC)[f"badges/sample-rye/{JSON_NAME}"] == b"1.2k"


@pytest.mark.parametrize(("package", "prefix"), [("sample-rye", "badges/sa"), ("s", "badges/s/")])
def test_a_first_fill_that_is_cut_off_goes_on_where_it_was(
    service: Service, monkeypatch: pytest.MonkeyPatch, package: str, prefix: str
) -> None:
    die_while_publishing(package, b"1.2k", monkeypatch)
    service.forget()
    assert publish_wide(package, b"1.2k") == 0
    assert lists(service) == [prefix]
    assert not [name for name in service.written() if name.startswith("badges/")]
    assert publish_wide(package, b"1.2k") == 0
    assert lists(service) == [prefix]


def test_each_part_lists_what_is_its_own_after_a_death(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("sample-oat", "_group/cereals"):
        publish(below(public_folder(), folder), b"1")
    publish(public_folder(), b"1", name="saved.html")
    publish_wide("sample", b"1")
    die_while_publishing("sample-rye", b"1", monkeypatch)
    publish(public_folder() / "sample-oat", b"2")
    publish_wide("sample-rye", b"2")
    manifests = {name: json.loads(content) for name, content in service.content(DATA).items()}
    found = {name.rpartition("/")[2]: sorted(content["objects"]) for name, content in manifests.items()}
    assert found == {
        "named.json": ["badges/_group/cereals/counts.json", "badges/sample-oat/counts.json", "badges/saved.html"],
        "part-sa.json": ["badges/sample-rye/history.json", "badges/sample/history.json"],
    }


def test_parts_are_saved_and_leave_the_memory_as_they_are_done_with(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "MAX_PARTS", 3)
    failures = Failures()
    with publishing(place()):
        batch = Batch(failures)
        for n in range(10):
            batch.add(part_of(public_folder(), f"s{n}") / f"s{n}", {JSON_NAME: b"1"})
            assert manifest.parts_in_hand() <= 4
        batch.put()
        assert manifest.parts_in_hand() == 0
        assert len([name for name in service.objects(DATA) if "/part-" in name]) == 10


def test_a_folder_is_gone_with_its_last_file(service: Service) -> None:
    publish(public_folder() / "a", b"1")
    publish(public_folder() / "a", b"1", name="index.html")
    with publishing(place()):
        remove(public_folder() / "a" / "counts.json")
        assert list_names(public_folder()) == ["a"]
        assert list_names(public_folder() / "a") == ["index.html"]
        remove(public_folder() / "a" / "index.html")
        assert list_names(public_folder()) == list_names(public_folder() / "a") == []
