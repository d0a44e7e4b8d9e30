"""Parquet files in the source's schema: whole UTC days, only what was asked for, however the files are split."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.downloads import SCHEMA, download, write
from tests.rows import Counts, to_counts
from winnow_dagster.core.coverage import Failure, Reading, Request
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.interface import SourceError
from winnow_dagster.sources.parquet import source as parquet
from winnow_dagster.sources.parquet.source import ParquetSource

if TYPE_CHECKING:
    from pathlib import Path

DAY = date(2025, 6, 30)
NEXT = date(2025, 7, 1)


def ask(name: str, first: date = DAY, last: date = DAY) -> Request:
    return Request(Selector.parse(name), first, last)


def read(path: object, *requests: Request) -> tuple[Counts, list[Request], list[Failure]]:
    answers = list(ParquetSource(str(path)).read(requests))
    readings = [a for a in answers if isinstance(a, Reading)]
    counts = to_counts(reading.counts for reading in readings)
    answered = [request for reading in readings for request in reading.requests]
    return counts, answered, [a for a in answers if isinstance(a, Failure)]


def test_downloads_are_counted_by_day_package_installer_system_and_ci(tmp_path: Path) -> None:
    rows = [
        download(DAY, "a"),
        download(DAY, "a"),
        download(DAY, "a", ci=True),
        download(DAY, "a", ci=False),
        download(DAY, "a", None, None),
        download(NEXT, "a", "uv", "Darwin"),
    ]
    write(tmp_path / "rows.parquet", rows)
    counts, _, failures = read(tmp_path / "rows.parquet", ask("a", DAY, NEXT))
    assert counts == {
        (DAY, "a", "pip", "Linux", None): 2,
        (DAY, "a", "pip", "Linux", True): 1,
        (DAY, "a", "pip", "Linux", False): 1,
        (DAY, "a", None, None, None): 1,
        (NEXT, "a", "uv", "Darwin", None): 1,
    }
    assert failures == []


def test_null_at_each_level_of_details_is_counted_as_null(tmp_path: Path) -> None:
    row = download(DAY, "a")
    rows = [
        row | {"details": None},
        row | {"details": {"installer": None, "system": None, "ci": None}},
        row | {"details": {"installer": {"name": None, "version": "1"}, "system": {"name": None}, "ci": None}},
    ]
    write(tmp_path / "rows.parquet", rows)
    assert read(tmp_path / "*.parquet", ask("a"))[0] == {(DAY, "a", None, None, None): 3}


def test_a_day_runs_from_its_first_to_its_last_microsecond_in_utc(tmp_path: Path) -> None:
    start = datetime(2025, 6, 30, tzinfo=UTC)
    moments = [start, start + timedelta(days=1, microseconds=-1)]
    neighbours = [start - timedelta(microseconds=1), start + timedelta(days=1)]
    write(tmp_path / "rows.parquet", [download(moment, "a") for moment in moments + neighbours])
    assert read(tmp_path / "rows.parquet", ask("a"))[0] == {(DAY, "a", "pip", "Linux", None): 2}


def test_neighbouring_names_do_not_leak_into_each_other(tmp_path: Path) -> None:
    names = ["foo", "foo-bar", "foo-bar-baz", "foobar"]
    write(tmp_path / "rows.parquet", [download(DAY, name) for name in names])
    assert {key[1] for key in read(tmp_path / "rows.parquet", ask("foo-bar"))[0]} == {"foo-bar"}
    assert {key[1] for key in read(tmp_path / "rows.parquet", ask("foo-*"))[0]} == {"foo-bar", "foo-bar-baz"}


def test_a_package_without_a_row_is_answered_with_no_rows(tmp_path: Path) -> None:
    write(tmp_path / "rows.parquet", [download(DAY, "b")])
    assert read(tmp_path / "rows.parquet", ask("a")) == ({}, [ask("a")], [])


def test_a_day_that_the_files_do_not_hold_is_a_failure_and_not_zero(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", [download(DAY - timedelta(days=1), "a")])
    write(tmp_path / "2.parquet", [download(NEXT, "a")])
    request = ask("a", DAY - timedelta(days=1), NEXT)
    _, answered, failures = read(tmp_path / "*.parquet", request)
    assert answered == [ask("a", DAY - timedelta(days=1), DAY - timedelta(days=1)), ask("a", NEXT, NEXT)]
    assert [failure.request for failure in failures] == [ask("a", DAY, DAY)]
    assert "has no row of that day" in failures[0].reason


def test_files_with_other_columns_and_finer_timestamps_are_read(tmp_path: Path) -> None:
    rows = pl.DataFrame([download(DAY, "a")], schema=SCHEMA)
    rows.with_columns(tls_cipher=pl.lit("x")).write_parquet(tmp_path / "1.parquet")
    rows.with_columns(pl.col("timestamp").dt.cast_time_unit("ns")).write_parquet(tmp_path / "2.parquet")
    assert read(tmp_path / "*.parquet", ask("a"))[0] == {(DAY, "a", "pip", "Linux", None): 2}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.builds(
            download,
            st.datetimes(datetime(2025, 6, 29), datetime(2025, 7, 2), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds
            st.sampled_from(["a", "b", "c-d"]),
            st.sampled_from(["pip", "uv", None]),
            st.sampled_from(["Linux", None]),
            ci=st.sampled_from([True, False, None]),
        ),
        min_size=1,
        max_size=12,
        # Two files with the same rows are one export made twice.
        unique_by=lambda row: row["timestamp"],
    ),
    cuts=st.lists(st.integers(0, 12), max_size=3),
)
def test_how_the_rows_are_split_into_files_makes_no_difference(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("split")
    write(folder / "whole" / "rows.parquet", rows)
    bounds = [0, *sorted(cuts), len(rows)]
    for number, (start, end) in enumerate(pairwise(bounds)):
        write(folder / "split" / f"{number}.parquet", rows[start:end])
    requests = [ask("a", DAY, NEXT), ask("c-*", DAY, DAY)]
    assert read(folder / "whole" / "rows.parquet", *requests) == read_without_path(folder / "split", requests, folder)


def read_without_path(
    split: Path, requests: list[Request], folder: Path
) -> tuple[Counts, list[Request], list[Failure]]:
    counts, answered, failures = read(split / "*.parquet", *requests)
    whole = str(folder / "whole" / "rows.parquet")
    return counts, answered, [Failure(f.request, f.reason.replace(str(split / "*.parquet"), whole)) for f in failures]


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"project": None}, "has no column project"),
        ({"details": None}, "has no column details.installer.name"),
        ({"details": pl.struct(installer=pl.struct(version=pl.lit("1")))}, "has no column details.installer.name"),
        ({"project": pl.lit(7)}, "column project is Int32, not text"),
        ({"project": pl.lit(None, pl.String)}, "column project is NULL in every row"),
        ({"file": pl.struct(filename=pl.lit(7))}, "column file.filename is Int32, not text"),
    ],
)
def test_a_file_without_a_column_or_with_another_type_is_named_and_other_days_go_on(
    tmp_path: Path, columns: dict[str, pl.Expr | None], complaint: str
) -> None:
    write(tmp_path / "good.parquet", [download(DAY, "a"), download(NEXT, "a")])
    write_changed(tmp_path / "wrong.parquet", columns)
    counts, answered, failures = read(tmp_path / "*.parquet", ask("a", DAY, NEXT))
    assert (list(counts.values()), answered) == ([1], [ask("a", NEXT, NEXT)])
    assert [failure.request for failure in failures] == [ask("a")]
    assert failures[0].reason.startswith(f"{tmp_path / 'wrong.parquet'}: {complaint}")


@pytest.mark.parametrize(
    ("column", "complaint"),
    [
        (pl.lit("2025-06-30"), "column timestamp is String, not a timestamp in UTC"),
        (None, "has no column timestamp"),
        (pl.lit(None), "column timestamp is Null, not a timestamp in UTC"),
    ],
)
def test_a_file_whose_days_are_unknown_ends_the_reading(tmp_path: Path, column: pl.Expr | None, complaint: str) -> None:
    write(tmp_path / "good.parquet", [download(DAY, "a")])
    write_changed(tmp_path / "wrong.parquet", {"timestamp": column})
    with pytest.raises(SourceError) as caught:
        read(tmp_path / "*.parquet", ask("a"))
    assert str(caught.value).startswith(f"{tmp_path / 'wrong.parquet'}: {complaint}")


def write_changed(path: Path, columns: dict[str, pl.Expr | None]) -> None:
    """Write one download of DAY with columns changed, or left out."""
    frame = pl.DataFrame([download(DAY, "a")], schema=SCHEMA)
    for name, expression in columns.items():
        frame = frame.drop(name) if expression is None else frame.with_columns(expression.alias(name))
    frame.write_parquet(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not Parquet at all", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_file_that_is_not_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "torn.parquet").write_bytes(content)
    with pytest.raises(SourceError, match=r"torn\.parquet: cannot be read as Parquet"):
        read(tmp_path / "torn.parquet", ask("a"))


def test_no_file_at_all_is_an_error_that_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no file at"):
        read(tmp_path / "*.parquet", ask("a"))


def test_a_symlink_beside_its_file_counts_nothing_twice(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", [download(DAY, "a")])
    (tmp_path / "latest.parquet").symlink_to("1.parquet")
    assert read(tmp_path / "*.parquet", ask("a"))[0] == {(DAY, "a", "pip", "Linux", None): 1}


def test_a_file_whose_rows_are_damaged_is_named_and_other_days_go_on(tmp_path: Path) -> None:
    damaged = tmp_path / "1.parquet"
    write(damaged, [download(DAY, f"p{n}") for n in range(1000)])
    write(tmp_path / "2.parquet", [download(NEXT, "p1")])
    content = bytearray(damaged.read_bytes())
    end = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    content[4:end] = bytes(end - 4)
    damaged.write_bytes(content)
    _, answered, failures = read(tmp_path / "*.parquet", ask("p1", DAY, NEXT))
    assert (answered, [failure.request for failure in failures]) == ([ask("p1", NEXT, NEXT)], [ask("p1", DAY, DAY)])
    assert failures[0].reason.startswith(f"{damaged}: is damaged (")


def test_a_file_of_which_one_column_is_damaged_is_named_and_other_days_go_on(tmp_path: Path) -> None:
    damaged = tmp_path / "1.parquet"
    write(damaged, [download(DAY, f"p{n}") for n in range(1000)])
    write(tmp_path / "2.parquet", [download(NEXT, "p1"), download(DAY, "p1")])
    chunk = pq.read_metadata(damaged).row_group(0).column(1)
    assert chunk.path_in_schema == "project"
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content = bytearray(damaged.read_bytes())
    content[start : start + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    damaged.write_bytes(content)
    counts, answered, failures = read(tmp_path / "*.parquet", ask("p1", DAY, NEXT))
    assert (list(counts.values()), answered) == ([1], [ask("p1", NEXT, NEXT)])
    assert [failure.request for failure in failures] == [ask("p1", DAY, DAY)]
    assert failures[0].reason.startswith(f"{damaged}: is damaged (")


def test_a_file_whose_arrow_schema_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write(path, [download(DAY, "a")])
    content = bytearray(path.read_bytes())
    at = content.index(b"ARROW:schema") + 60
    content[at : at + 4] = b"\xff@@\xff"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=re.escape(str(path))):
        read(path, ask("a"))
    with pytest.raises(SourceError, match=re.escape(str(path))):
        ParquetSource(str(path)).newest_day(NEXT)


def test_after_a_reading_that_no_process_survived_the_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "bad.parquet", [download(DAY, "a")])
    write(tmp_path / "good.parquet", [download(DAY, "a")])
    marker = tmp_path / "data" / "reading"
    source = ParquetSource(str(tmp_path / "*.parquet"), marker)
    monkeypatch.setattr(parquet, "_READ", "import os, sys; 'bad' in sys.argv[1] and os.abort()")
    assert len(list(source.read([ask("a")]))) == 1, "nobody has died yet, and nothing is tried"
    assert not marker.exists()
    marker.touch()
    with pytest.raises(SourceError, match=r"bad\.parquet: is damaged: reading it crashes the process"):
        list(source.read([ask("a")]))
    assert marker.exists(), "until the file is gone"
    (tmp_path / "bad.parquet").unlink()
    assert len(list(source.read([ask("a")]))) == 1
    assert not marker.exists()
