"""Breakdowns from Parquet files: only those that requests name, NULL as a value, and never a guess."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.downloads import SCHEMA, download, leave_out, write
from tests.rows import to_breakdown
from winnow_dagster.core.coverage import BREAKDOWN_SCHEMA, Failure, Reading, Request
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.dimensions import KERNEL, OPEN_DIMENSIONS
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.parquet import source
from winnow_dagster.sources.parquet.source import ParquetSource, read_all

if TYPE_CHECKING:
    from pathlib import Path

DAY = date(2026, 9, 1)
NEXT = date(2026, 9, 2)
ALL = tuple(OPEN_DIMENSIONS)
TOLD: dict[str, Any] = {
    "python": "3.12.4",
    "version": "2.0.1",
    "country": "DE",
    "libc": "musl",
    "cpu": "aarch64",
    "file_type": "sdist",
    "subcommand": ["tool", "run"],
    "kernel_v2": "6.8.0-1041-azure",
}
VALUES = {**TOLD, "python": "3.12", "subcommand": "tool run", "kernel_v2": "azure/"}
"""The stored values of TOLD."""

UNKNOWN_IF_LACKING = [name for name, dimension in OPEN_DIMENSIONS.items() if not dimension.is_recent]


def ask(name: str, *dimensions: str, first: date = DAY, last: date = DAY) -> Request:
    return Request(Selector.parse(name), first, last, dimensions=dimensions)


def read(path: Path, *requests: Request) -> tuple[list[Reading], list[Failure]]:
    answers = list(ParquetSource(str(path)).read(requests))
    return [a for a in answers if isinstance(a, Reading)], [a for a in answers if isinstance(a, Failure)]


def read_one(path: Path, *requests: Request) -> Reading:
    (reading,), failures = read(path, *requests)
    assert failures == []
    return reading


def values(reading: Reading, dimension: str) -> dict[Any, int]:
    """Return the downloads by value of a reading of one package, day and installer."""
    return {key[2]: downloads for key, downloads in to_breakdown([reading.breakdowns], dimension).items()}


def write_changed(path: Path, rows: list[dict[str, Any]], **columns: pl.Expr) -> None:
    """Write rows with columns changed."""
    pl.DataFrame(rows, schema=SCHEMA).with_columns(**columns).write_parquet(path)


def write_lacking(path: Path, rows: list[dict[str, Any]], *columns: str) -> None:
    """Write rows without some columns or fields."""
    reduce(leave_out, columns, pl.DataFrame(rows, schema=SCHEMA)).write_parquet(path)


@pytest.mark.parametrize("dimension", ALL)
def test_each_dimension_is_counted_by_value_installer_and_ci(tmp_path: Path, dimension: str) -> None:
    told = TOLD[dimension]
    rows = [
        *(download(DAY, "a", **{dimension: told}) for _ in range(3)),
        download(DAY, "a", ci=True, **{dimension: told}),
        download(DAY, "a", "uv", "Darwin", **{dimension: told}),
        download(DAY, "a", **{dimension: None}),
        download(DAY, "a", ci=True, **{dimension: None}),
        download(DAY, "a", None, None, **{dimension: None}),
    ]
    write(tmp_path / "rows.parquet", rows)
    reading = read_one(tmp_path, ask("a", dimension))
    value = VALUES[dimension]
    assert reading.breakdowns.schema == BREAKDOWN_SCHEMA
    assert to_breakdown([reading.breakdowns], dimension) == {
        (DAY, "a", value, "pip", None): 3,
        (DAY, "a", value, "pip", True): 1,
        (DAY, "a", value, "uv", None): 1,
        (DAY, "a", "", "pip", None): 1,
        (DAY, "a", "", "pip", True): 1,
        (DAY, "a", "", None, None): 1,
    }
    assert reading.breakdowns.height == 6
    assert reading.requests == [ask("a", dimension)]


@pytest.mark.parametrize(
    ("python", "value"),
    [("3.12.4", "3.12"), ("3.14.0rc2", "3.14"), ("2.7.18+", "2.7"), ("3.9", "3.9"), ("3", ""), ("PyPy", ""), ("", "")],
)
def test_a_python_is_known_by_its_minor_version(tmp_path: Path, python: str, value: str) -> None:
    write(tmp_path / "rows.parquet", [download(DAY, "a", python=python)])
    assert values(read_one(tmp_path, ask("a", "python")), "python") == {value: 1}


@pytest.mark.parametrize(
    ("release", "value"),
    [
        ("6.8.0-1041-azure", "azure"),
        ("5.15.0-1084-aws", "aws"),
        ("6.1.147-172.266.amzn2023.x86_64", "aws"),
        ("5.10.245-241.976.amzn2.x86_64", "aws"),
        ("6.8.0-1030-gcp", "google"),
        ("6.6.87+", "google"),
        ("6.6.16-linuxkit", "docker desktop"),
        ("5.15.167.4-microsoft-standard-WSL2", "wsl"),
        ("4.4.0-19041-Microsoft", "wsl"),
        ("2022Server", "windows server"),
        ("10", "windows"),
        ("24.6.0", "macos"),
        ("5.14.0-570.el9.x86_64", "red hat"),
        ("5.15.0-300.163.18.el9uek.x86_64", "other cloud"),
        ("6.17.4-300.fc43.x86_64", "red hat"),
        ("6.12.48+deb13-amd64", "debian"),
        ("6.1.0-18-cloud-amd64", "other cloud"),
        ("6.8.0-85-generic", "ubuntu"),
        ("6.1.147", "other"),
        ("14.3-RELEASE", "other"),
        ("", ""),
        (None, ""),
    ],
)
def test_a_kernel_is_known_by_its_class(tmp_path: Path, release: str | None, value: str) -> None:
    write(tmp_path / "rows.parquet", [download(DAY, "a", kernel_v2=release)])
    assert values(read_one(tmp_path, ask("a", KERNEL.name)), KERNEL.name) == {value and f"{value}/": 1}


@pytest.mark.parametrize(
    ("release", "interpreter", "value"),
    [
        ("6.8.0-1041-azure", "3.12.4", "azure/3.12"),
        ("6.8.0-1041-azure", "3.14.0rc2", "azure/3.14"),
        ("7.0", "7.3.17", "other/7.3"),
        ("6.8.0-1041-azure", "3", "azure/"),
        ("6.8.0-1041-azure", "", "azure/"),
        ("6.8.0-1041-azure", None, "azure/"),
        ("", "3.12.4", ""),
        (None, "3.12.4", ""),
    ],
)
def test_a_kernel_is_stored_with_the_minor_version_of_its_interpreter(
    tmp_path: Path, release: str | None, interpreter: str | None, value: str
) -> None:
    # poetry names its Python only as the version of its interpreter.
    rows = [download(DAY, "a", "poetry", kernel_v2=release, interpreter=interpreter)]
    write(tmp_path / "rows.parquet", rows)
    assert values(read_one(tmp_path, ask("a", KERNEL.name)), KERNEL.name) == {value: 1}


def test_kernels_of_an_export_without_interpreters_are_unknown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [download(DAY, "a", kernel_v2="6.8.0-1041-azure")]
    write_lacking(tmp_path / "rows.parquet", rows, "details.implementation.version")
    assert read_one(tmp_path, ask("a", KERNEL.name)).requests == [ask("a")]
    assert "has no column details.implementation.version" in caplog.text


def test_only_packages_and_days_whose_requests_name_a_dimension_are_broken_down_by_it(tmp_path: Path) -> None:
    rows = [download(day, name, **TOLD) for day in (DAY, NEXT) for name in ("a", "b", "c", "d-1", "e")]
    write(tmp_path / "rows.parquet", rows)
    requests = [
        ask("*", last=NEXT),
        ask("a", "python", "version"),
        ask("a", "version", first=NEXT, last=NEXT),
        ask("b", "country", last=NEXT),
        ask("c"),
        ask("d-*", "libc", first=NEXT, last=NEXT),
    ]
    reading = read_one(tmp_path, *requests)
    assert reading.counts["downloads"].sum() == 10
    assert set(reading.breakdowns.select("date", "package", "dimension", "value").iter_rows()) == {
        (DAY, "a", "python", "3.12"),
        (DAY, "a", "version", "2.0.1"),
        (NEXT, "a", "version", "2.0.1"),
        (DAY, "b", "country", "DE"),
        (NEXT, "b", "country", "DE"),
        (NEXT, "d-1", "libc", "musl"),
    }
    assert reading.requests == requests


def test_two_requests_that_name_a_dimension_of_a_package_count_it_once(tmp_path: Path) -> None:
    write(tmp_path / "rows.parquet", [download(DAY, "a-b", cpu="arm64")])
    assert values(read_one(tmp_path, ask("a-*", "cpu"), ask("a-b", "cpu")), "cpu") == {"arm64": 1}


def test_rows_that_are_no_downloads_are_in_no_breakdown(tmp_path: Path) -> None:
    rows = [download(LAST_MIXED_DAY, "a", file=file, country="DE") for file in ("a-1.whl.metadata", None, "a-1.whl")]
    write(tmp_path / "rows.parquet", rows)
    reading = read_one(tmp_path, ask("a", "country", first=LAST_MIXED_DAY, last=LAST_MIXED_DAY))
    assert (values(reading, "country"), reading.unnamed.height) == ({"DE": 1}, 1)


@pytest.mark.parametrize("dimension", UNKNOWN_IF_LACKING)
def test_a_dimension_whose_column_a_file_lacks_is_not_known_on_its_days_and_the_rest_is(
    tmp_path: Path, dimension: str, caplog: pytest.LogCaptureFixture
) -> None:
    column = OPEN_DIMENSIONS[dimension].column
    days = [DAY + timedelta(days=n) for n in range(4)]
    for day in days[1:3]:
        write_lacking(tmp_path / f"{day}.parquet", [download(day, "a", **TOLD)], column)
    write(tmp_path / "others.parquet", [download(day, "a", **TOLD) for day in (days[0], days[2], days[3])])
    reading = read_one(tmp_path, ask("a", *ALL, last=days[3]), ask("b", first=days[1], last=days[3]))
    rest = tuple(name for name in ALL if name != dimension)
    assert reading.requests == [
        ask("a", *ALL, first=days[0], last=days[0]),
        ask("a", *rest, first=days[1], last=days[2]),
        ask("a", *ALL, first=days[3], last=days[3]),
        ask("b", first=days[1], last=days[3]),
    ]
    known = reading.breakdowns.group_by("dimension", "date").agg(pl.col("downloads").sum())
    assert {(name, day): count for name, day, count in known.iter_rows()} == {
        (name, day): 2 if day == days[2] else 1
        for name in ALL
        for day in days
        if name != dimension or day in (days[0], days[3])
    }
    assert reading.counts["downloads"].sum() == 5
    assert [r.message for r in caplog.records if r.levelno == logging.WARNING] == [
        (
            f"{tmp_path}/{days[1]}.parquet: has no column {column}. Export it with the schema of file_downloads. "
            f"Until then its days have no breakdown by {dimension}"
        )
    ]


def test_downloads_of_an_export_without_a_recent_column_do_not_say(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_lacking(tmp_path / "old.parquet", [download(DAY, "a", "uv")], "details.installer.subcommand")
    write(tmp_path / "new.parquet", [download(DAY, "a", "uv", subcommand=["sync"])])
    reading = read_one(tmp_path, ask("a", "subcommand"))
    assert reading.requests == [ask("a", "subcommand")]
    assert values(reading, "subcommand") == {"": 1, "sync": 1}
    assert caplog.records == []


@pytest.mark.parametrize(
    ("subcommand", "value"),
    [(["pip", "install"], "pip install"), (["sync"], "sync"), ([], ""), (None, "")],
    ids=str,
)
def test_a_list_of_texts_is_joined_and_a_text_is_read_as_it_is(
    tmp_path: Path, subcommand: list[str] | None, value: str
) -> None:
    rows = [download(DAY, "a", "uv", subcommand=subcommand)]
    joined = pl.lit(value or None, pl.String)
    installer = pl.col("details").struct.field("installer").struct.with_fields(subcommand=joined)
    write(tmp_path / "list" / "rows.parquet", rows)
    (tmp_path / "text").mkdir()
    details = pl.col("details").struct.with_fields(installer=installer)
    write_changed(tmp_path / "text" / "rows.parquet", rows, details=details)
    for kind in ("list", "text"):
        path = tmp_path / kind
        assert values(read_one(path, ask("a", "subcommand")), "subcommand") == {value: 1}, kind


def test_a_list_of_numbers_is_no_subcommand(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    installer = pl.col("details").struct.field("installer").struct.with_fields(subcommand=pl.lit([1, 2]))
    details = pl.col("details").struct.with_fields(installer=installer)
    write_changed(tmp_path / "rows.parquet", [download(DAY, "a", "uv")], details=details)
    assert read_one(tmp_path, ask("a", "subcommand")).requests == [ask("a")]
    assert "details.installer.subcommand is List(Int64), not a list of texts" in caplog.text


def test_a_file_without_rows_of_the_day_does_not_make_a_dimension_unknown(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", [download(DAY, "a", country="DE")])
    write_lacking(tmp_path / "2.parquet", [download(NEXT, "a")], "country_code")
    write_lacking(tmp_path / "3.parquet", [], "country_code")
    assert values(read_one(tmp_path, ask("a", "country")), "country") == {"DE": 1}


@pytest.mark.parametrize(
    "column",
    [
        pl.col("country_code").cast(pl.Categorical),
        pl.col("country_code").cast(pl.Enum(["DE", "FR"])),
        pl.col("country_code"),
    ],
    ids=["categorical", "enum", "text"],
)
def test_text_of_any_type_is_read(tmp_path: Path, column: pl.Expr) -> None:
    rows = [download(DAY, "a", country=country) for country in ("DE", "FR", "FR", None)]
    write_changed(tmp_path / "rows.parquet", rows, country_code=column)
    assert values(read_one(tmp_path, ask("a", "country")), "country") == {"DE": 1, "FR": 2, "": 1}


@pytest.mark.parametrize("kind", [pl.Null, pl.Int32, pl.Boolean, pl.Float64], ids=str)
def test_a_column_that_is_null_in_every_row_may_have_any_type_and_says_nothing(tmp_path: Path, kind: Any) -> None:
    rows = [download(DAY, "a"), download(DAY, "a")]
    write_changed(tmp_path / "rows.parquet", rows, country_code=pl.lit(None, kind), details=pl.lit(None, kind))
    reading = read_one(tmp_path, ask("a", *ALL))
    assert [values(reading, name) for name in ("country", "python", "libc", "cpu")] == [{"": 2}] * 4
    assert values(reading, "file_type") == {"bdist_wheel": 2}


def test_values_of_another_type_are_not_known_and_the_file_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for day in (DAY, NEXT):
        write_changed(tmp_path / f"{day}.parquet", [download(day, "a", cpu="arm64")], country_code=pl.lit(49))
    reading = read_one(tmp_path, ask("a", "country", "cpu", last=NEXT))
    assert reading.requests == [ask("a", "cpu", last=NEXT)]
    assert set(reading.breakdowns["dimension"]) == {"cpu"}
    assert [record.message for record in caplog.records] == [
        (
            f"{tmp_path}/{DAY}.parquet: column country_code is Int32, not text. Export it as file_downloads has it. "
            "Until then its days have no breakdown by country"
        )
    ]
    caplog.clear()
    assert read_one(tmp_path, ask("a", last=NEXT)).requests == [ask("a", last=NEXT)]
    assert caplog.records == [], "nobody asks for it"


def test_a_column_is_not_read_unless_a_request_names_its_dimension(tmp_path: Path) -> None:
    damaged = tmp_path / "rows.parquet"
    write(damaged, [download(DAY, "a", country=f"C{n}") for n in range(1000)])
    footer = pq.read_metadata(damaged).row_group(0)
    (chunk,) = (c for n in range(footer.num_columns) if (c := footer.column(n)).path_in_schema == "country_code")
    start, content = chunk.dictionary_page_offset or chunk.data_page_offset, bytearray(damaged.read_bytes())
    content[start : start + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    damaged.write_bytes(content)
    assert read_one(tmp_path, ask("a", "cpu", "version")).counts["downloads"].sum() == 1000
    readings, (failure,) = read(tmp_path, ask("a", "country"))
    assert readings == []
    assert failure.reason.startswith(f"{damaged}: is damaged (")


def test_days_that_fail_have_no_breakdown(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", [download(DAY, "a"), download(NEXT, "a")])
    write_lacking(tmp_path / "2.parquet", [download(NEXT, "a")], "project")
    last = NEXT + timedelta(days=1)
    (reading,), failures = read(tmp_path, ask("a", "cpu", last=last))
    assert reading.requests == [ask("a", "cpu")]
    assert set(reading.breakdowns["date"]) == {DAY}
    assert [failure.request.days() for failure in failures] == [[NEXT], [last]]


def test_many_rows_are_broken_down_in_batches_of_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    days = [DAY + timedelta(days=n) for n in range(5)]
    write(tmp_path / "1.parquet", [download(day, "a", cpu="arm64") for day in days for _ in range(2)])
    write(tmp_path / "2.parquet", [download(days[1], "a", cpu="x86_64")])
    requests = [ask("a", "cpu", last=days[4]), ask("b", "cpu", first=days[1], last=days[1])]
    whole = read_one(tmp_path, *requests)
    monkeypatch.setattr(source, "MAX_ROWS_AT_ONCE", 4)
    readings, failures = read(tmp_path, *requests)
    assert failures == []
    assert [reading.requests for reading in readings] == [
        [ask("a", "cpu", first=days[0], last=days[0])],
        [ask("a", "cpu", first=days[1], last=days[1]), ask("b", "cpu", first=days[1], last=days[1])],
        [ask("a", "cpu", first=days[2], last=days[3])],
        [ask("a", "cpu", first=days[4], last=days[4])],
    ]
    for name in ("counts", "breakdowns"):
        parts = pl.concat(getattr(reading, name) for reading in readings)
        expected = getattr(whole, name)
        assert parts.sort(parts.columns).equals(expected.sort(expected.columns))
    assert len(read(tmp_path, ask("a", last=days[4]))[0]) == 1, "without a breakdown, all days fit at once"


def test_after_a_crash_every_column_that_a_request_may_name_is_tried(tmp_path: Path) -> None:
    write(tmp_path / "whole.parquet", [download(DAY, "a", **TOLD)])
    write_changed(tmp_path / "odd.parquet", [download(DAY, "a")], country_code=pl.lit(1), file=pl.lit(None))
    for file in ("whole", "odd"):
        read_all(str(tmp_path / f"{file}.parquet"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.builds(
            download,
            st.datetimes(datetime(2026, 8, 31), datetime(2026, 9, 4), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds
            st.sampled_from(["a", "A", "b", "c-d"]),
            st.sampled_from(["pip", "uv", None]),
            ci=st.sampled_from([True, False, None]),
            python=st.sampled_from(["3.12.1", "3.12.2", "3.9", "", None]),
            version=st.sampled_from(["1.0", "1.0rc1", None]),
            country=st.sampled_from(["DE", None]),
            libc=st.sampled_from(["glibc", "musl", None]),
            cpu=st.sampled_from(["x86_64", "AMD64", None]),
            file_type=st.sampled_from(["bdist_wheel", "sdist", None]),
            subcommand=st.sampled_from([["sync"], ["tool", "run"], [], None]),
            kernel_v2=st.sampled_from(["6.8.0-1041-azure", "10", "", None]),
            interpreter=st.sampled_from(["3.12.4", "7.3.17", "", None]),
        ),
        min_size=1,
        max_size=20,
        # Two files with the same rows are one export made twice.
        unique_by=lambda row: row["timestamp"],
    ),
    lacking=st.sets(st.sampled_from(["country_code", "file.version"])),
    cut=st.integers(0, 20),
)
def test_each_known_dimension_sums_to_the_counts(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], lacking: set[str], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    write(folder / "1.parquet", rows[:cut])
    write_lacking(folder / "2.parquet", rows[cut:], *lacking)
    answers, _ = read(folder, ask("a", *ALL, last=NEXT), ask("c-*", "cpu", last=NEXT))
    keys = ["date", "package", "installer", "ci"]
    for reading in answers:
        for request in reading.requests:
            chosen = pl.col("date").is_between(request.first, request.last)
            chosen &= pl.col("package").str.starts_with(request.selector.stem)
            whole = reading.counts.filter(chosen).group_by(keys).agg(pl.col("downloads").sum()).sort(keys)
            for name in ALL:
                parts = reading.breakdowns.filter(chosen, pl.col("dimension") == name)
                summed = parts.group_by(keys).agg(pl.col("downloads").sum()).sort(keys)
                assert summed.equals(whole if name in request.dimensions else whole.clear()), name
