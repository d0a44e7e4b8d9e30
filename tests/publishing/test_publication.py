"""Publication: newer numbers take the place of older ones, the record first, whatever it is that is published."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from winnow_dagster.core.days import Package
from winnow_dagster.core.history import History
from winnow_dagster.core.shard import HEADLINE_COLUMNS, Shard
from winnow_dagster.core.window import PackageState, Window, WindowCounts, WindowState
from winnow_dagster.files.errors import SampleOverRealError, StorageError
from winnow_dagster.files.operations import Batch, Failures
from winnow_dagster.publishing.publication import Publication, refuse_sample_over_real

DAY = date(2025, 6, 30)
Numbers = Package | Shard


@pytest.fixture
def failures() -> Failures:
    return Failures()


@pytest.fixture
def publication(failures: Failures) -> Publication:
    return Publication(DAY, failures, Batch(failures))


def package(ago: int, source: str = "bigquery") -> Package:
    counts = WindowCounts(Window(30, DAY - timedelta(days=ago)), {"honest": 1, "raw": 2})
    return Package(PackageState("a", source, (WindowState(30, counts, 30),)), History.empty())


def shard(ago: int, source: str = "bigquery") -> Shard:
    return Shard(source, HEADLINE_COLUMNS, (Window(30, DAY - timedelta(days=ago)),), (30,), {"a": (1, 2)})


both = pytest.mark.parametrize("make", [package, shard], ids=["package", "shard"])


@both
def test_each_window_keeps_its_newest_day(make: type[Numbers], publication: Publication) -> None:
    newest = publication.newest(make(3), make(1))  # type: ignore[call-arg, arg-type, type-var]
    assert newest
    assert newest.as_of == {DAY - timedelta(days=1)}
    assert publication.newest(make(0), make(1)) == make(0)  # type: ignore[call-arg, arg-type, type-var]


@both
def test_what_is_newer_than_a_replayed_day_stays(make: type[Numbers], publication: Publication) -> None:
    assert publication.newest(make(3), make(-1)) is None  # type: ignore[call-arg, arg-type, type-var]


@both
def test_numbers_of_sample_data_are_never_kept(make: type[Numbers], publication: Publication) -> None:
    assert publication.newest(make(3), make(-1, "sample")) == make(3)  # type: ignore[call-arg, arg-type, type-var]


def test_sample_data_is_refused_where_real_numbers_are(tmp_path: Path) -> None:
    refuse_sample_over_real("sample", "sample", tmp_path)
    refuse_sample_over_real("parquet", "bigquery", tmp_path)
    with pytest.raises(SampleOverRealError):
        refuse_sample_over_real("sample", "bigquery", tmp_path)


def test_the_record_is_in_place_before_any_badge(tmp_path: Path, publication: Publication) -> None:
    def write_record() -> int:
        assert not (tmp_path / "a").exists()
        (tmp_path / "record").touch()
        return 1

    publication.write([(tmp_path / "a", lambda: {"badge": b"1"})], write_record)
    publication.flush()
    assert (tmp_path / "a" / "badge").read_bytes() == b"1"
    assert publication.changed == 1 + 1


def test_without_its_record_no_badge_is_written(tmp_path: Path, publication: Publication) -> None:
    def write_record() -> int:
        raise StorageError("the disk is full")

    with pytest.raises(StorageError):
        publication.write([(tmp_path / "a", lambda: {"badge": b"1"})], write_record)
    publication.flush()
    assert not (tmp_path / "a").exists()


def test_a_folder_that_fails_takes_no_other_down(tmp_path: Path, publication: Publication, failures: Failures) -> None:
    def unreadable() -> dict[str, bytes]:
        raise StorageError("a: cannot be read")

    publication.write([(tmp_path / "a", unreadable), (tmp_path / "b", lambda: {"badge": b"1"})])
    publication.flush()
    assert (tmp_path / "b" / "badge").exists()
    with pytest.raises(StorageError, match="a: cannot be read"):
        failures.raise_any()
