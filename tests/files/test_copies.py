"""Local copies of a bucket's objects: a process removes those of a killed process, and leaves those of others."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.bucket_service import Service
from tests.buckets import DATA, place
from winnow_dagster.files.bucket import BucketStore
from winnow_dagster.files.gcs import GcsStore
from winnow_dagster.files.operations import local_copies
from winnow_dagster.files.processes import this_machine, this_process


def test_only_the_copies_of_a_dead_process_of_this_machine_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = subprocess.Popen(["/bin/true"])
    done.wait()
    names = {
        "dead": f"{done.pid}.1@{this_machine()}",
        "alive": this_process(),
        "of-another-container": f"{done.pid}.1@{this_machine()}0",
        "of-somebody-else": None,
    }
    for name, process in names.items():
        folder = tmp_path / f"winnow-copies-{name}"
        folder.mkdir()
        if process:
            (folder / "process").write_text(process)
    store = GcsStore("it", None)
    own = store._copies  # noqa: SLF001 - nothing else shows it
    assert own.is_dir()
    left = {path.name.removeprefix("winnow-copies-") for path in tmp_path.iterdir()}
    assert {"alive", "of-another-container", "of-somebody-else"} < left
    assert "dead" not in left
    del store
    assert not own.exists()


def test_a_copy_that_a_machine_cleaned_up_is_made_again(service: Service) -> None:
    service.put(DATA, "winnow/a", b"1")
    file = place() / "a"
    (copy,) = local_copies([file])
    shutil.rmtree(copy.parent)
    (again,) = local_copies([file])
    assert again.read_bytes() == b"1"


def test_a_listing_during_which_another_thread_wrote_is_not_used_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = place().store
    assert isinstance(store, BucketStore)
    lists = store.list_folder

    def slow(folder: str) -> object:
        found = lists(folder)
        store.write("winnow/a", b"1")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(store, "list_folder", slow)
        assert store.version_of("winnow/a") is None
    assert store.version_of("winnow/a") is not None
    assert service.content(DATA) == {"winnow/a": b"1"}
