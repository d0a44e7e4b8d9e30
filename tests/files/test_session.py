"""A publication lists the bucket once, writes only what differs, and takes nothing for true that may have changed."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.bucket_service import Service
from tests.buckets import DATA, PUBLIC, on_every_store, place, public_folder
from winnow_dagster.files import listed
from winnow_dagster.files.errors import StorageError
from winnow_dagster.files.hashes import Hashes, Note
from winnow_dagster.files.listed import ListedStore
from winnow_dagster.files.opening import open_path, store_of
from winnow_dagster.files.operations import (
    Batch,
    Failures,
    list_ahead,
    list_names,
    read_ahead,
    read_if_there,
    read_tags,
    remember_folders,
    remove,
    replace_changed,
)
from winnow_dagster.files.paths import StorePath
from winnow_dagster.files.session import Session, publishing
from winnow_dagster.files.session import listed as listed_for_readers
from winnow_dagster.files.store import Version
from winnow_dagster.site.history import JSON_NAME

FOLDERS = "winnow/published/folders.json"


def publish(
    folder: str, content: bytes, name: str = "counts.json", data: StorePath | None = None, to: StorePath | None = None
) -> int:
    """Publish a file of a folder; return how many changed."""
    failures = Failures()
    with publishing(data or place(), to or public_folder()) as session:
        batch = Batch(failures)
        changed = batch.add(session.folder / folder, {name: content})
        batch.put()
    failures.raise_any()
    return changed


def lists(service: Service) -> list[str]:
    return [each.name for each in service.asked if each.what == "list" and each.name.startswith("badges/")]


@on_every_store
def test_a_publication_lists_the_bucket_once(service: Service) -> None:
    publish("a", b"1")
    service.forget()
    with publishing(place(), public_folder()) as session:
        for folder in "abc":
            assert read_if_there(session.folder / folder / "history.json") is None
            replace_changed(session.folder / folder, {"counts.json": b"1"})
        assert list_names(session.folder) == ["a", "b", "c"]
    assert lists(service) == ["badges/"]
    assert [name for name in service.written() if name.startswith("badges")] == [
        "badges/b/counts.json",
        "badges/c/counts.json",
    ]


@on_every_store
def test_what_is_published_in_another_bucket_than_before_is_all_published_there(service: Service) -> None:
    service.make("new-bucket")
    for bucket, expected in ((PUBLIC, 1), ("new-bucket", 1), ("new-bucket", 0)):
        assert publish("a", b"1.2k", to=place(bucket, "badges")) == expected
    assert service.content("new-bucket") == service.content(PUBLIC) == {"badges/a/counts.json": b"1.2k"}


def interrupt(*args: object) -> None:
    raise KeyboardInterrupt


@on_every_store
def test_what_was_written_when_somebody_pressed_ctrl_c_is_put_right_by_the_next(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("a", b"1.2k")

    def work() -> None:
        with publishing(place(), public_folder()) as session:
            replace_changed(session.folder / "a", {"counts.json": b"1.3k"})

    with monkeypatch.context() as patched:
        # The answer is there, and the process has not taken note of it.
        patched.setattr(ListedStore, "_keep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            work()
    assert service.content(PUBLIC) == {"badges/a/counts.json": b"1.3k"}
    assert publish("a", b"1.2k") == 1
    assert service.content(PUBLIC) == {"badges/a/counts.json": b"1.2k"}


@on_every_store
def test_an_upload_whose_answer_was_lost_is_not_taken_for_what_was_there_before(service: Service) -> None:
    publish("a", b"1.2k")
    service.refuse("badges/a/counts.json", 400)
    service.obeyed.add("badges/a/counts.json")
    with publishing(place(), public_folder()) as session:
        with pytest.raises(StorageError, match=r"bad request|refused by the test"):
            replace_changed(session.folder / "a", {"counts.json": b"1.3k"})
        # The record is still found.
        assert read_if_there(session.folder / "a" / "counts.json") == b"1.3k"
        service.refusals.clear()
        assert replace_changed(session.folder / "a", {"counts.json": b"1.2k"}) == 1
    assert service.content(PUBLIC) == {"badges/a/counts.json": b"1.2k"}


@on_every_store
def test_what_another_wrote_or_removed_since_the_listing_is_put_right(service: Service) -> None:
    for name in "ab":
        publish(name, b"1")
    with publishing(place(), public_folder()) as session:
        assert list_names(session.folder) == ["a", "b"]
        service.put(PUBLIC, "badges/a/counts.json", b"by another")
        service.remove(PUBLIC, "badges/b/counts.json")
        for name in "ab":
            assert replace_changed(session.folder / name, {"counts.json": b"2"}) == 1
    assert set(service.content(PUBLIC).values()) == {b"2"}


@on_every_store
def test_what_is_read_ahead_is_what_the_publication_finds(service: Service) -> None:
    publish("a", b"older")
    publish("a", b"newer")
    with publishing(place(), public_folder()) as session:
        files = [session.folder / "a" / "counts.json", session.folder / "b" / "counts.json"]
        read_ahead(session.folder, files)
        service.forget()
        assert [read_if_there(file) for file in files] == [b"newer", None]
        assert [each.what for each in service.asked if each.what != "bucket"] == []


@on_every_store
def test_readers_see_what_a_publication_of_their_process_has_written(service: Service) -> None:
    web = listed_for_readers(public_folder(), place())
    assert list_names(web) == []
    publish("a", b"1", to=web)
    assert list_names(web) == ["a"]
    with pytest.raises(RuntimeError, match="only a publication may write there"):
        replace_changed(web / "a", {"counts.json": b"2"})


@on_every_store
def test_a_folder_is_gone_with_its_last_file(service: Service) -> None:
    publish("a", b"1")
    publish("a", b"1", "index.html")
    with publishing(place(), public_folder()) as session:
        remove(session.folder / "a" / "counts.json")
        assert list_names(session.folder) == ["a"]
        assert list_names(session.folder / "a") == ["index.html"]
        remove(session.folder / "a" / "index.html")
        assert list_names(session.folder) == list_names(session.folder / "a") == []


@on_every_store
def test_the_manifest_of_an_earlier_release_is_removed_and_nothing_is_written_again(service: Service) -> None:
    publish("a", b"1")
    for name in ("named.json", "part-sa.json"):
        service.put(DATA, f"winnow/manifest/{name}", b'{"of":"gs://public-bucket/badges","objects":{}}')
    service.forget()
    assert publish("a", b"1") == 0
    assert not [name for name in service.objects(DATA) if "manifest" in name]
    assert not [name for name in service.written() if name.startswith("badges")]


@on_every_store
def test_a_manifest_on_a_disk_is_removed_too(service: Service, tmp_path: Path) -> None:
    (tmp_path / "manifest").mkdir()
    (tmp_path / "manifest/named.json").write_text("{}")
    assert publish("a", b"1", data=tmp_path) == 1
    assert not (tmp_path / "manifest").exists()


def test_what_winnow_did_not_write_stays_in_the_folder_of_the_manifest(service: Service, tmp_path: Path) -> None:
    (tmp_path / "manifest/notes").mkdir(parents=True)
    (tmp_path / "manifest/named.json").write_text("{}")
    assert publish("a", b"1", data=tmp_path) == 1
    assert [path.name for path in (tmp_path / "manifest").iterdir()] == ["notes"]
    assert service.written() == ["badges/a/counts.json"]


@pytest.mark.parametrize("service", ["gs", "s3"], indirect=True)
def test_an_object_that_marks_a_folder_is_no_file(service: Service) -> None:
    for bucket, key in ((PUBLIC, "badges/"), (DATA, "winnow/"), (DATA, "winnow/ledger/")):
        if service.scheme == "gs":
            service.put(bucket, key, b" ")
        else:
            service.ask("PUT", f"/{bucket}/{key}")
    with publishing(place(), public_folder()) as session:
        assert list_names(session.folder) == []
    assert set(list_names(place())) == {"ledger", ".publishing.lease"}
    assert read_tags(place() / "ledger") == []


# `*`: more objects than are listed at once.


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed, "MAX_LISTED", 2)


def publish_wide(session: Session, package: str, content: bytes) -> int:
    """Publish a file of a package as `*` does; return how many changed."""
    failures = Failures()
    batch = Batch(failures)
    # What begins with a whole name of one letter is no shard.
    folder = list_ahead(session.folder, package[:2]) if package[1:] else session.folder
    changed = batch.add(folder / package, {JSON_NAME: content})
    batch.put()
    failures.raise_any()
    return changed


@on_every_store
@pytest.mark.usefixtures("many")
def test_a_directory_with_many_folders_is_listed_part_by_part(service: Service) -> None:
    names = ["numpy", "sample-oat", "sample-rye", "sample-wheat", "s"]
    with publishing(place(), public_folder()) as session:
        replace_changed(session.folder / "sample-oat", {"counts.json": b"1"})
        remember_folders(session.folder, lambda: ["sample-oat"])
        assert sum(publish_wide(session, name, b"1") for name in names) == 5
    # The first one saw an empty bucket.
    with publishing(place(), public_folder()) as session:
        assert sorted(list_names(session.folder)) == sorted(names)
        remember_folders(session.folder, lambda: ["sample-oat"])
        if service.scheme == "az":
            # Their hashes are noted by part from now on.
            assert sum(publish_wide(session, name, b"1") for name in names) == 3
    assert json.loads(service.content(DATA)[FOLDERS])["notes"] == {"folders": ["sample-oat"]}
    service.forget()
    with publishing(place(), public_folder()) as session:
        assert list_names(session.folder) == ["sample-oat"]
        assert sum(publish_wide(session, name, b"1") for name in names) == 0
        assert replace_changed(session.folder / "sample-oat", {"counts.json": b"2"}) == 1
    if service.scheme == "gs":
        assert sorted(set(lists(service))) == ["badges/nu", "badges/s/", "badges/sa", "badges/sample-oat/"]
    assert [name for name in service.written() if name.startswith("badges")] == ["badges/sample-oat/counts.json"]


@on_every_store
@pytest.mark.usefixtures("many")
def test_a_folder_that_no_note_names_is_found_all_the_same(service: Service) -> None:
    for name in ("a", "b", "c"):
        publish(name, b"1")
    Note(place() / "published/folders.json", str(public_folder())).save({"folders": ["a"]})
    with publishing(place(), public_folder()) as session:
        assert read_if_there(session.folder / "b" / "counts.json") == b"1"
        assert read_if_there(session.folder / "index.html") is None
        assert replace_changed(session.folder / "b", {"counts.json": b"1"}) == 0


@on_every_store
@pytest.mark.usefixtures("many")
def test_a_note_about_another_bucket_counts_as_none(service: Service) -> None:
    for name in ("a", "b", "c"):
        publish(name, b"1")
    Note(place() / "published/folders.json", "gs://another/badges").save({"folders": ["a"]})
    with publishing(place(), public_folder()) as session:
        assert sorted(list_names(session.folder)) == ["a", "b", "c"]


@on_every_store
@pytest.mark.usefixtures("many")
def test_parts_leave_the_memory_as_they_are_done_with(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        publish(name, b"1")
    monkeypatch.setattr("winnow_dagster.files.sync.MAX_PARTS", 3)
    failures = Failures()
    with publishing(place(), public_folder()) as session:
        batch = Batch(failures)
        store = store_of(session.folder)
        assert isinstance(store, ListedStore)
        for n in range(10):
            batch.add(list_ahead(session.folder, f"s{n}") / f"s{n}-x", {JSON_NAME: b"1"})
            assert store.parts_in_hand <= 4
        batch.put()
        assert store.parts_in_hand == 0
    failures.raise_any()
    assert len([name for name in service.objects(PUBLIC) if "/s" in name]) == 10


# Versions that are no hashes.


@pytest.mark.parametrize(
    "damage", [b"{}", b"null", b'{"of":"gs://public-bucket/badges","notes":{"a":["x"', b'{"of":1}']
)
def test_a_damaged_note_counts_as_none(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "hashes.json").write_bytes(damage)
    assert Note(tmp_path / "hashes.json", "gs://public-bucket/badges").load() == {}


def test_a_hash_counts_for_the_version_that_it_was_noted_with(tmp_path: Path) -> None:
    note = Note(tmp_path / "hashes.json", "az://container")
    hashes = Hashes(note)
    for key in ("kept", "gone"):
        hashes.set(key, "1", "md5")  # type: ignore[arg-type]
    hashes.save(lambda key: key == "gone")
    assert [Hashes(note).get(*each) for each in (("kept", "1"), ("kept", "2"), ("gone", "1"))] == ["md5", "", ""]  # type: ignore[arg-type]
    assert Hashes(Note(tmp_path / "hashes.json", "az://other")).get("kept", "1") == ""  # type: ignore[arg-type]


def test_what_uploads_note_side_by_side_is_all_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load, start = Note.load, threading.Barrier(4)

    def slow(note: Note) -> dict[str, list[str]]:
        found = load(note)
        threading.Event().wait(0.05)
        return found

    note = Note(tmp_path / "hashes.json", "az://container")
    hashes = Hashes(note)
    monkeypatch.setattr(Note, "load", slow)

    def upload(number: int) -> None:
        start.wait()
        threading.Event().wait(number / 50)
        hashes.set(str(number), Version("1"), "md5")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upload, range(4)))
    hashes.save(lambda _: False)
    assert load(note).keys() == {"0", "1", "2", "3"}


def test_hashes_that_cannot_be_saved_are_no_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "published").touch()
    hashes = Hashes(Note(tmp_path / "published/hashes.json", "az://container"))
    hashes._known = {}  # noqa: SLF001 - it cannot be read either
    hashes.set("a", "1", "md5")  # type: ignore[arg-type]
    hashes.save(lambda _: False)
    assert "The next publication writes these files again" in caplog.text


def test_an_address_says_which_service(tmp_path: Path) -> None:
    found = open_path("s3://bucket/a/b/")
    assert (str(found), str(found / "c"), found.name, str(found.parent)) == (
        "s3://bucket/a/b", "s3://bucket/a/b/c", "b", "s3://bucket/a"
    )  # fmt: skip
    # Azure takes a backslash for a slash.
    for text in ("s3://bucket/../a", "az://container/a\\b"):
        with pytest.raises(ValueError, match="is not a directory of a bucket"):
            open_path(text)


class Forgetful(dict[str, bytes]):
    """Contents that another thread lets go of as soon as somebody has looked whether they are there."""

    def __contains__(self, key: object) -> bool:
        found = super().__contains__(key)
        self.clear()
        return found


@on_every_store
def test_threads_that_read_while_a_listing_grows_old_read_all_the_same(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("a", b"1")
    store = store_of(listed_for_readers(public_folder(), place()))
    assert isinstance(store, ListedStore)
    assert store.read("badges/a/counts.json") == b"1"
    monkeypatch.setattr(store, "_contents", Forgetful(vars(store)["_contents"]))
    assert store.read("badges/a/counts.json") == b"1"
