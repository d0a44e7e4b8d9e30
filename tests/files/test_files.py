"""A file is all there or not there, and is touched only when it changes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from winnow_dagster.files.disk import (
    MANY,
    Batch,
    make_folder,
    remove_staged,
    replace_changed,
    replace_file,
)
from winnow_dagster.files.errors import STAGED_PREFIX, Failures, StorageError


def test_an_unchanged_file_is_not_touched_and_a_changed_one_is_replaced(tmp_path: Path) -> None:
    assert replace_changed(tmp_path, {"a": b"1", "b": b"1"}) == 2
    before = (tmp_path / "a").stat()
    assert replace_changed(tmp_path, {"a": b"1", "b": b"2"}) == 1
    after = (tmp_path / "a").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (tmp_path / "b").read_bytes() == b"2"


def test_a_failed_replacement_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.mkdir()
    (target / "kept").touch()
    with pytest.raises(StorageError, match="Is a directory"):
        replace_file(target, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_reader_never_sees_a_part_of_a_file_while_it_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "a"
    replace_file(target, b"0" * 100_000)
    program = (
        "import sys, pathlib; from winnow_dagster.files.operations import replace_file\n"
        "for n in range(300): replace_file(pathlib.Path(sys.argv[1]), str(n % 10).encode() * 100_000)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(target)]) as writer:
        while writer.poll() is None:
            content = target.read_bytes()
            assert len(content) == 100_000
            assert len(set(content)) == 1
    assert writer.returncode == 0


@pytest.mark.parametrize("files", [1, MANY])
def test_a_batch_shows_nothing_until_it_is_put_in_place_and_then_all_of_it(tmp_path: Path, files: int) -> None:
    replace_file(tmp_path / "0", b"old")
    failures = Failures()
    batch = Batch(failures)
    assert batch.add(tmp_path, {str(n): b"new" for n in range(files)}) == files
    assert batch.add(tmp_path / "more", {"a": b"new"}) == 1
    assert {path.name for path in tmp_path.rglob("[!.]*")} == {"0", "more"}
    assert (tmp_path / "0").read_bytes() == b"old"
    batch.put()
    failures.raise_any()
    assert {path.name for path in tmp_path.rglob("*")} == {*map(str, range(files)), "more", "a"}
    assert {path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == {b"new"}


def test_a_folder_that_cannot_be_filled_takes_none_of_a_batch_with_it(tmp_path: Path) -> None:
    (tmp_path / "b" / "2").mkdir(parents=True)
    failures = Failures()
    batch = Batch(failures)
    for folder in ("a", "c"):
        batch.add(tmp_path / folder, {"1": b"new"})
    with pytest.raises(StorageError, match=r"b/2: Is a directory"):
        batch.add(tmp_path / "b", {"1": b"new", "2": b"new", "3": b"new"})
    batch.add(tmp_path / "d", {"1": b"new", "2": b"new"})
    (tmp_path / "d" / "1").mkdir()
    batch.put()
    with pytest.raises(StorageError, match=r"d/1: Is a directory"):
        failures.raise_any()
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == {"a/1", "c/1"}


def test_what_a_dead_run_left_is_removed_and_what_a_living_one_stages_is_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    (tmp_path / f"{STAGED_PREFIX}{dead.pid}-aa").touch()
    living = tmp_path / f"{STAGED_PREFIX}{os.getpid()}-bb"
    living.touch()
    reused = tmp_path / f"{STAGED_PREFIX}{os.getpid()}-cc"
    reused.touch()
    os.utime(reused, (0, 0))
    remove_staged(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [living.name]


def test_a_new_folder_that_a_dead_run_had_not_put_in_place_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    living = tmp_path / "staging" / f"{STAGED_PREFIX}{os.getpid()}-bb"
    for folder in (tmp_path / "staging" / f"{STAGED_PREFIX}{dead.pid}-aa", living):
        folder.mkdir(parents=True)
        (folder / "a").touch()
    remove_staged(tmp_path)
    assert list(tmp_path.rglob("a")) == [living / "a"]


def test_files_can_be_read_by_all_whatever_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        make_folder(tmp_path / "x" / "y")
        replace_file(tmp_path / "x" / "y" / "a", b"")
        batch = Batch(Failures(), staging=tmp_path / "x")
        batch.add(tmp_path / "x" / "z", {"b": b""})
        batch.put()
    finally:
        os.umask(umask)
    modes = {p.name: oct(p.stat().st_mode & 0o777) for p in (tmp_path / "x").rglob("*")}
    assert modes == {"y": "0o755", "a": "0o644", "z": "0o755", "b": "0o644"}


def test_what_takes_its_place_is_on_the_disk_by_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    safe: set[int] = set()

    def sync(descriptor: int) -> None:
        safe.add(os.fstat(descriptor).st_ino)

    def move(staged: str, path: str) -> None:
        files = [p for p in (Path(staged), *Path(staged).glob("*")) if p.is_file()]
        assert {p.stat().st_ino for p in files} <= safe
        os.rename(staged, path)  # noqa: PTH104

    monkeypatch.setattr("os.fsync", sync)
    monkeypatch.setattr("os.replace", move)
    make_folder(tmp_path / "old")
    batch = Batch(Failures(), staging=tmp_path)
    for folder in ("old", "new"):
        batch.add(tmp_path / folder, {"a": b"1", "b": b"2"})
    batch.put()
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("?")) == ["new/a", "new/b", "old/a", "old/b"]


def test_a_folder_that_cannot_be_put_in_place_is_named_and_takes_no_other_with_it(tmp_path: Path) -> None:
    (tmp_path / "staging").mkdir()
    failures = Failures()
    # Two at a time, while more are taken.
    batch = Batch(failures, 2, tmp_path / "staging")
    for name in "abcde":
        batch.add(tmp_path / name, {"1": b"new"})
        if name == "c":
            make_folder(tmp_path / "c" / "made meanwhile")
    batch.put()
    with pytest.raises(
        StorageError, match=r"/c: Directory not empty. Another process just put something there.*: run again"
    ):
        failures.raise_any()
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == {"a/1", "b/1", "d/1", "e/1"}
    assert list((tmp_path / "staging").iterdir()) == []


def test_files_that_wait_under_names_drawn_alike_are_all_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter(["00", "00", "00", "01"])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(drawn))
    failures = Failures()
    (tmp_path / "staging").mkdir()
    batch = Batch(failures, staging=tmp_path / "staging")
    assert batch.add(tmp_path / "one", {"a": b"1"}) == batch.add(tmp_path / "two", {"a": b"2"}) == 1
    batch.put()
    failures.raise_any()
    assert [(tmp_path / name / "a").read_bytes() for name in ("one", "two")] == [b"1", b"2"]
