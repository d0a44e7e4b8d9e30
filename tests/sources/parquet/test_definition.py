"""What counts as a download in Parquet files on both sides of PyPI's change, and how many rows a day has."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.downloads import SCHEMA, download, write
from winnow_dagster.core.coverage import Failure, Reading, Request
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.interface import SourceError
from winnow_dagster.sources.parquet.source import ParquetSource

OLD = LAST_MIXED_DAY
NEW = OLD + timedelta(days=1)


def ask(name: str, first: date = OLD, last: date = NEW) -> Request:
    return Request(Selector.parse(name), first, last)


def answers(path: object, *requests: Request) -> tuple[list[Reading], list[Failure]]:
    found = list(ParquetSource(str(path)).read(requests))
    return [a for a in found if isinstance(a, Reading)], [a for a in found if isinstance(a, Failure)]


def totals(reading: Reading) -> dict[date, int]:
    return dict(reading.counts.group_by("date").agg(pl.col("downloads").sum()).iter_rows())


@pytest.mark.parametrize("ending", [".whl", ".tar.gz", ".zip"])
@pytest.mark.parametrize("day", [OLD, NEW])
def test_a_row_with_the_name_of_a_release_file_is_a_download(tmp_path: Path, day: date, ending: str) -> None:
    write(tmp_path / "rows.parquet", [download(day, "a", file="a-1" + ending)])
    (reading,), _ = answers(tmp_path / "rows.parquet", ask("a", day, day))
    assert totals(reading) == {day: 1}


@pytest.mark.parametrize("ending", [".whl.metadata", ".whl.asc", ".tar.gz.asc", ".egg", ".exe", "whl", ""])
@pytest.mark.parametrize("day", [OLD, NEW])
def test_a_row_with_another_name_is_none(tmp_path: Path, day: date, ending: str) -> None:
    write(tmp_path / "rows.parquet", [download(day, "a", file="a-1" + ending)])
    (reading,), _ = answers(tmp_path / "rows.parquet", ask("a", day, day))
    assert (totals(reading), reading.unnamed.height) == ({}, 0)


def test_a_row_without_a_name_is_told_on_an_old_day_and_counts_since_the_change(tmp_path: Path) -> None:
    rows = [download(day, name, file=None) for day in (OLD, NEW) for name in ("a", "A", "b")]
    rows.append(download(OLD, "a") | {"file": None})
    write(tmp_path / "rows.parquet", rows)
    (reading,), _ = answers(tmp_path / "rows.parquet", ask("a"))
    assert totals(reading) == {NEW: 2}
    assert reading.unnamed.rows() == [(OLD, "a", 3)]
    assert reading.requests == [ask("a", OLD, OLD), ask("a", NEW, NEW)]


def test_a_file_without_names_is_refused_for_its_old_days_only(tmp_path: Path) -> None:
    rows = pl.DataFrame([download(OLD, "a"), download(NEW, "a")], schema=SCHEMA)
    rows.drop("file").write_parquet(tmp_path / "lacking.parquet")
    write(tmp_path / "other.parquet", [download(OLD - timedelta(days=1), "a"), download(OLD, "b")])
    first = OLD - timedelta(days=1)
    (reading,), (failure,) = answers(tmp_path / "*.parquet", ask("a", first))
    assert totals(reading) == {first: 1, NEW: 1}
    assert failure == Failure(
        ask("a", OLD, OLD),
        f"{tmp_path}/lacking.parquet: has no column file.filename, which tells downloads from other requests up to "
        "2026-08-24. Export it with that column",
    )


def test_a_file_whose_names_have_another_struct_around_them_lacks_them(tmp_path: Path) -> None:
    rows = pl.DataFrame([download(OLD, "a")], schema=SCHEMA)
    rows.with_columns(file=pl.struct(version=pl.lit("1"))).write_parquet(tmp_path / "rows.parquet")
    assert "has no column file.filename" in answers(tmp_path / "rows.parquet", ask("a", OLD, OLD))[1][0].reason


def test_all_rows_of_a_day_are_counted_over_all_packages_and_files(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", [download(OLD, "a", file="a.whl.metadata"), download(OLD, "b"), download(NEW, "a")])
    write(tmp_path / "2.parquet", [download(OLD, "c", file=None)])
    source = ParquetSource(str(tmp_path / "*.parquet"))
    assert source.day_rows(OLD - timedelta(days=9), NEW) == {OLD: 3, NEW: 1}
    assert source.day_rows(NEW, NEW) == {NEW: 1}


def test_days_between_others_without_a_row_have_no_number_of_rows(tmp_path: Path) -> None:
    write(tmp_path / "rows.parquet", [download(OLD, "a"), download(OLD + timedelta(days=2), "a")])
    assert NEW not in ParquetSource(str(tmp_path)).day_rows(OLD, OLD + timedelta(days=2))


def test_days_of_an_unusable_file_have_no_number_of_rows_but_may_be_the_newest(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", [download(OLD, "a"), download(NEW, "a")])
    pl.DataFrame([download(NEW, "a")], schema=SCHEMA).drop("project").write_parquet(tmp_path / "2.parquet")
    source = ParquetSource(str(tmp_path))
    assert source.day_rows(OLD, NEW) == {OLD: 1}
    (tmp_path / "1.parquet").unlink()
    assert source.newest_day(NEW + timedelta(days=1)) == NEW, "so that it is read, and the file is named"


def test_a_file_is_looked_at_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "rows.parquet", [download(OLD, "a")])
    source = ParquetSource(str(tmp_path))
    assert source.day_rows(OLD, NEW) == {OLD: 1}
    with monkeypatch.context() as patch:
        patch.setattr(pl, "scan_parquet", None)
        assert source.day_rows(OLD, NEW) == {OLD: 1}
        assert source.newest_day(NEW) == OLD
    write(tmp_path / "rows.parquet", [download(OLD, "a"), download(NEW, "a")])
    assert source.day_rows(OLD, NEW) == {OLD: 1, NEW: 1}
    write(tmp_path / "rows.parquet", [])
    assert source.day_rows(OLD, NEW) == {}
    (tmp_path / "rows.parquet").unlink()
    with pytest.raises(SourceError, match="no file at"):
        source.day_rows(OLD, NEW)


def test_a_row_without_a_moment_is_told(tmp_path: Path) -> None:
    rows = [download(datetime(2026, 9, 1, tzinfo=UTC), "a"), download(date(2026, 9, 3), "a")]
    write(tmp_path / "rows.parquet", [*rows, rows[0] | {"timestamp": None}])
    request = ask("a", date(2026, 9, 1), date(2026, 9, 3))
    assert answers(tmp_path, request)[1] == [
        Failure(
            request,
            f"{tmp_path}/rows.parquet: column timestamp is NULL in some rows. Export it again without them",
        )
    ]
