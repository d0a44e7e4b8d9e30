"""BigQuery, emulated and over HTTP: the same counts as from the same rows in Parquet, in as few queries as promised."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from google.cloud import bigquery
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import emulator
from tests.downloads import SCHEMA, download
from tests.rows import Counts, to_counts
from winnow_dagster.cli import main
from winnow_dagster.core.coverage import BREAKDOWN_SCHEMA, ONE_DAY, UNNAMED_SCHEMA, Failure, Reading, Request
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.dimensions import OPEN_DIMENSIONS
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.bigquery.query import FILE_NAME, PLAIN_COLUMNS
from winnow_dagster.sources.bigquery.settings import EMULATOR_VARIABLE, BigQuerySettings
from winnow_dagster.sources.bigquery.source import BigQuerySource
from winnow_dagster.sources.interface import SourceError
from winnow_dagster.sources.parquet.source import ParquetSource
from winnow_dagster.store.ledger import Ledger

DAY, NEXT = date(2025, 6, 30), date(2025, 7, 1)
START = datetime(2025, 6, 30, tzinfo=UTC)


@pytest.fixture(scope="session")
def client() -> Iterator[bigquery.Client]:
    with emulator.emulator() as host, emulator.client(host) as client:
        yield client


@pytest.fixture(autouse=True)
def _emulator(client: bigquery.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EMULATOR_VARIABLE, str(client._connection.API_BASE_URL))  # noqa: SLF001 - where the client was told to go


def make_table(client: bigquery.Client, rows: list[dict[str, Any]]) -> str:
    name = f"winnow-test.d{uuid.uuid4().hex}.file_downloads"
    emulator.create_file_downloads(client, name)
    if rows:
        emulator.insert_downloads(client, [row | {"timestamp": row["timestamp"].isoformat()} for row in rows], name)
    return name


@pytest.fixture
def make_source(client: bigquery.Client, tmp_path: Path) -> Callable[..., BigQuerySource]:
    def make(rows: list[dict[str, Any]], **changes: Any) -> BigQuerySource:
        table = make_table(client, rows)
        return BigQuerySource(BigQuerySettings(table=table, **changes), None, Ledger(tmp_path / "ledger.jsonl"))

    return make


def ask(name: str, first: date = DAY, last: date = DAY) -> Request:
    return Request(Selector.parse(name), first, last)


def counts(source: Any, *requests: Request) -> Counts:
    answers = list(source.read(requests))
    assert not [answer for answer in answers if isinstance(answer, Failure)]
    assert sorted(r for a in answers if isinstance(a, Reading) for r in a.requests) == sorted(requests)
    return to_counts(answer.counts for answer in answers if isinstance(answer, Reading))


def test_null_at_each_level_of_details_is_counted_as_null(make_source: Callable[..., BigQuerySource]) -> None:
    row = download(DAY, "a")
    rows = [
        row | {"details": None},
        row | {"details": {"installer": None, "system": None, "ci": None}},
        row | {"details": {"installer": {"name": None, "version": "1"}, "system": {"name": None}, "ci": None}},
        download(DAY, "a", "pip", None, ci=True),
        download(DAY, "a", "pip", None, ci=False),
    ]
    assert counts(make_source(rows), ask("a")) == {
        (DAY, "a", None, None, None): 3,
        (DAY, "a", "pip", None, True): 1,
        (DAY, "a", "pip", None, False): 1,
    }


def test_a_day_runs_from_its_first_to_its_last_microsecond_in_utc(make_source: Callable[..., BigQuerySource]) -> None:
    inside = [START, START + timedelta(days=1, microseconds=-1)]
    outside = [START - timedelta(microseconds=1), START + timedelta(days=1)]
    source = make_source([download(moment, "a") for moment in inside + outside])
    assert counts(source, ask("a")) == {(DAY, "a", "pip", "Linux", None): 2}


@pytest.mark.parametrize("strategy", ["per_package", "batched", "scan", "auto"])
def test_each_strategy_counts_what_was_asked_for_and_no_neighbour(
    make_source: Callable[..., BigQuerySource], strategy: str
) -> None:
    names = ["foo", "foo-bar", "foo-bar-baz", "foobar", "x-a", "x-b", "x"]
    source = make_source([download(DAY, name) for name in names], strategy=strategy)
    found = counts(source, ask(Selector.parse("Foo_Bar").stem), ask("x-*"), ask("asleep"))
    assert {key[1] for key in found} == {"foo-bar", "x-a", "x-b"}
    assert set(found.values()) == {1}


def test_a_first_collect_of_12_packages_over_30_days_is_12_queries_and_a_daily_one_12_more(
    make_source: Callable[..., BigQuerySource], tmp_path: Path
) -> None:
    names = [f"p{n}" for n in range(12)]
    source = make_source([download(DAY, name) for name in names])
    counts(source, *(ask(name, DAY - timedelta(days=29), DAY) for name in names))
    entries = Ledger(tmp_path / "ledger.jsonl").entries()
    assert [(e.first, e.last, len(e.selectors)) for e in entries] == [(DAY - timedelta(days=29), DAY, 1)] * 12
    counts(source, *(ask(name, NEXT, NEXT) for name in names))
    assert len(Ledger(tmp_path / "ledger.jsonl").entries()) == 24


def test_the_ledger_tells_what_each_query_was(make_source: Callable[..., BigQuerySource], tmp_path: Path) -> None:
    source = make_source([download(DAY, "a"), download(DAY, "a", "uv"), download(DAY, "b")], strategy="batched")
    counts(source, ask("a"), ask("b"))
    (entry,) = Ledger(tmp_path / "ledger.jsonl").entries()
    assert (entry.first, entry.last, entry.strategy, entry.rows) == (DAY, DAY, "batched", 3)
    assert list(entry.selectors) == ["a", "b"]
    assert (entry.billed, entry.processed) == (0, 0)  # All that the emulator ever bills.
    assert entry.job_id.startswith("winnow-")


def named(day: date, *names: str | None) -> list[dict[str, Any]]:
    return [download(day, "a", file=name) for name in names]


FILES = ["a-1-py3-none-any.whl", "a-1.tar.gz", "a-1.zip"]
OTHERS = ["a-1-py3-none-any.whl.metadata", "a-1.tar.gz.asc", "a-1.egg", "a-1.exe", "a-1.WHL"]


def test_up_to_the_change_only_rows_whose_file_is_a_download_count(make_source: Callable[..., BigQuerySource]) -> None:
    source = make_source(named(LAST_MIXED_DAY, *FILES, *OTHERS) + named(LAST_MIXED_DAY + ONE_DAY, *FILES, None))
    days = [LAST_MIXED_DAY, LAST_MIXED_DAY + ONE_DAY]
    assert counts(source, *(ask("a", day, day) for day in days)) == {
        (days[0], "a", "pip", "Linux", None): 3,
        (days[1], "a", "pip", "Linux", None): 4,
    }


def test_rows_that_name_no_file_are_no_downloads_and_are_told(make_source: Callable[..., BigQuerySource]) -> None:
    nameless = [*named(DAY, None, None), download(DAY, "b", "uv", file=None) | {"file": None}]
    source = make_source(named(DAY, *FILES, *OTHERS) + nameless, strategy="batched")
    (reading,) = source.read([ask("a"), ask("b")])
    assert isinstance(reading, Reading)
    assert to_counts([reading.counts]) == {(DAY, "a", "pip", "Linux", None): 3}
    assert sorted(reading.unnamed.rows()) == [(DAY, "a", 2), (DAY, "b", 1)]
    assert reading.unnamed.schema == UNNAMED_SCHEMA


def test_the_ledger_tells_which_columns_were_read(make_source: Callable[..., BigQuerySource], tmp_path: Path) -> None:
    source = make_source([])
    list(source.read([ask("a"), ask("a", LAST_MIXED_DAY + ONE_DAY, LAST_MIXED_DAY + ONE_DAY)]))
    found = {entry.first: entry.columns for entry in Ledger(tmp_path / "ledger.jsonl").entries()}
    assert found == {DAY: (*PLAIN_COLUMNS, FILE_NAME), LAST_MIXED_DAY + ONE_DAY: PLAIN_COLUMNS}


def test_the_rows_of_each_day_are_those_of_its_partition(
    make_source: Callable[..., BigQuerySource], tmp_path: Path
) -> None:
    source = make_source([download(DAY, "a"), download(DAY, "b"), download(NEXT, "a")])
    assert source.day_rows(DAY - ONE_DAY, NEXT) == {DAY - ONE_DAY: 0, DAY: 2, NEXT: 1}
    assert [entry.strategy for entry in Ledger(tmp_path / "ledger.jsonl").entries()] == ["partitions"]


def test_of_a_view_no_numbers_of_rows_are_known(
    client: bigquery.Client, make_source: Callable[..., BigQuerySource]
) -> None:
    source = make_source([download(DAY, "a")])
    view = source._settings.table.replace("file_downloads", "some_view")  # noqa: SLF001
    client.query(f"CREATE VIEW `{view}` AS SELECT * FROM `{source._settings.table}`").result()  # noqa: SLF001
    source._settings = replace(source._settings, table=view)  # noqa: SLF001
    assert source.day_rows(DAY, DAY) == {}


EVERYTHING_SAID: dict[str, Any] = {
    "python": "3.12.4", "version": "1.0", "country": "DE", "libc": "glibc", "cpu": "x86_64", "file_type": "sdist",
    "subcommand": ["tool", "run"], "kernel_v2": "6.8.0-1041-azure",
    "interpreter": "3.12.4",
}  # fmt: skip


NULL_AS_TEXT: dict[str, Any] = dict.fromkeys(EVERYTHING_SAID, "") | {"subcommand": []}


@pytest.mark.parametrize("day", [DAY, LAST_MIXED_DAY + ONE_DAY])
def test_each_breakdown_counts_the_same_downloads_and_null_is_the_value_not_said(
    make_source: Callable[..., BigQuerySource], day: date
) -> None:
    asked = tuple(OPEN_DIMENSIONS)
    nobody = download(day, "a", None, None, file_type=None)
    old_only = [
        download(day, "a", file="a-1.0.whl.metadata", **EVERYTHING_SAID),
        download(day, "a", "uv", file=None, **EVERYTHING_SAID),
    ]
    rows = [
        download(day, "a", **EVERYTHING_SAID),
        download(day, "a", system="Windows", **(EVERYTHING_SAID | {"version": "2.0"})),
        download(day, "a", cpu="x86_64", libc="glibc", file_type=None),
        download(day, "a", None, None, ci=True, **EVERYTHING_SAID),
        nobody,
        download(day, "a", None, None, **NULL_AS_TEXT),
        nobody | {"details": None},
        *(old_only if day == DAY else []),
    ]
    (reading,) = make_source(rows).read([replace(ask("a", day, day), dimensions=asked)])
    assert isinstance(reading, Reading)
    assert to_counts([reading.counts]) == {
        (day, "a", "pip", "Linux", None): 2,
        (day, "a", "pip", "Windows", None): 1,
        (day, "a", None, None, True): 1,
        (day, "a", None, None, None): 3,
    }
    assert reading.unnamed.rows() == ([(day, "a", 1)] if day == DAY else [])
    assert reading.breakdowns.schema == BREAKDOWN_SCHEMA
    found: dict[str, dict[tuple[object, ...], int]] = {name: {} for name in asked}
    for _, package, dimension, value, installer, ci, downloads in reading.breakdowns.filter(date=day).iter_rows():
        assert package == "a"
        found[dimension][value, installer, ci] = downloads
    rest = {("", None, None): 3}
    for name in ("libc", "cpu"):
        value = EVERYTHING_SAID[name]
        assert found[name] == rest | {(value, "pip", None): 3, (value, None, True): 1}
    for name, value in {
        "python": "3.12",
        "country": "DE",
        "file_type": "sdist",
        "subcommand": "tool run",
        "kernel_v2": "azure/3.12",
    }.items():
        assert found[name] == rest | {(value, "pip", None): 2, ("", "pip", None): 1, (value, None, True): 1}
    assert found["version"] == rest | {
        ("1.0", "pip", None): 1,
        ("2.0", "pip", None): 1,
        ("", "pip", None): 1,
        ("1.0", None, True): 1,
    }


def test_each_entry_has_its_own_breakdowns(make_source: Callable[..., BigQuerySource], tmp_path: Path) -> None:
    source = make_source([download(NEXT, name, **EVERYTHING_SAID) for name in "abc"], strategy="batched")
    asked = {"a": ("python",), "b": ("python",), "c": ()}
    readings = list(source.read([replace(ask(name, NEXT, NEXT), dimensions=by) for name, by in asked.items()]))
    found = [
        (sorted(str(request.selector) for request in answer.requests), sorted(answer.breakdowns["package"]))
        for answer in readings
        if isinstance(answer, Reading)
    ]
    assert sorted(found) == [(["a", "b"], ["a", "b"]), (["c"], [])]
    columns = {tuple(entry.selectors): entry.columns for entry in Ledger(tmp_path / "ledger.jsonl").entries()}
    assert columns == {
        ("a", "b"): (*PLAIN_COLUMNS, "details.python", FILE_NAME),
        ("c",): (*PLAIN_COLUMNS, FILE_NAME),
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12, deadline=None)
@given(
    rows=st.lists(
        st.builds(
            download,
            st.datetimes(datetime(2025, 6, 29, 23), datetime(2025, 7, 2, 1), timezones=st.just(UTC)),  # noqa: DTZ001
            st.sampled_from(["a", "a-b", "a-b-c", "d"]),
            st.sampled_from(["pip", "uv", "Browser", None]) | st.text(max_size=4),
            st.sampled_from(["Linux", "Windows", None]),
            ci=st.sampled_from([True, False, None]),
            python=st.sampled_from(["3.12.4", "3.12", "3.9.1rc1", "3", "PyPy 3.10", "", None]),
            version=st.sampled_from(["1.0", None]),
            libc=st.sampled_from(["glibc", None]) | st.text(max_size=3),
            subcommand=st.sampled_from([["sync"], ["pip", "install"], []]),
            kernel_v2=st.sampled_from(["6.8.0-1041-azure", "6.6.87+", "7", "6.1", "24.6.0\n", "", None])
            | st.text(max_size=3),
            interpreter=st.sampled_from(["3.12.4", "3.9.1rc1", "7.3.17", "3", "", None]),
        )
        | st.builds(lambda row: row | {"details": None}, st.builds(download, st.just(START), st.just("a"))),
        max_size=25,
    )
)
def test_the_same_rows_through_parquet_and_through_bigquery_give_identical_counts_and_breakdowns(
    client: bigquery.Client, tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    # Each day has a row of some package, without which the files would not hold the day.
    rows = [*rows, download(DAY, "other"), download(NEXT, "other")]
    folder = tmp_path_factory.mktemp("rows")
    pl.DataFrame(rows, schema=SCHEMA).write_parquet(folder / "rows.parquet")
    settings = BigQuerySettings(table=make_table(client, rows), strategy="batched")
    asked = [ask("a", DAY, NEXT), ask("a-*", DAY, NEXT), ask("d", DAY, NEXT)]
    requests = [
        replace(request, dimensions=("python", "version", "libc", "subcommand", "kernel_v2")) for request in asked
    ]
    from_bigquery = list(BigQuerySource(settings, None, Ledger(folder / "ledger.jsonl")).read(requests))
    from_parquet = list(ParquetSource(str(folder / "rows.parquet")).read(requests))
    assert counted(from_bigquery) == counted(from_parquet)


def counted(answers: list[Reading | Failure]) -> tuple[list[tuple[Any, ...]], ...]:
    """Return all counts and all breakdowns of answers, in an order of their own."""
    readings = [answer for answer in answers if isinstance(answer, Reading)]
    assert readings == answers
    frames = [[r.counts for r in readings], [r.breakdowns for r in readings]]
    return tuple(sorted((row for frame in found for row in frame.iter_rows()), key=repr) for found in frames)


def test_a_table_that_is_not_there_is_named_with_what_to_set(make_source: Callable[..., BigQuerySource]) -> None:
    source = make_source([])
    source._settings = replace(source._settings, table="winnow-test.nowhere.file_downloads")  # noqa: SLF001
    with pytest.raises(SourceError, match=r"notFound.*Correct source\.table"):
        list(source.read([ask("a")]))


def test_winnow_collect_reads_bigquery_and_tells_what_it_cost(
    client: bigquery.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    table = make_table(client, [download(DAY, "a"), download(DAY, "a", ci=True), download(DAY, "b")])
    config = {"source": {"kind": "bigquery", "table": table}, "packages": [{"name": "a", "window_days": 1}]}
    Path("winnow.yaml").write_text(json.dumps(config))
    result = CliRunner().invoke(main, ["collect", "--through", str(DAY)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "BigQuery: 1 queries, 0 MB billed" in result.stdout
    assert json.loads(Path("public/a/downloads-1d-non-ci.json").read_bytes())["message"] == "1"
    assert json.loads(Path("public/a/counts.json").read_bytes())["windows"]["1"]["raw"] == 2
    again = CliRunner().invoke(main, ["collect", "--through", str(DAY)], catch_exceptions=False)
    assert "BigQuery" not in again.stdout
    # The emulator has no partitions to ask for free.
    strategies = [entry.strategy for entry in Ledger(Path("data/ledger.jsonl")).entries()]
    assert strategies == ["partitions", "per_package"]


def test_a_dry_run_asks_bigquery_for_its_upper_bound(client: bigquery.Client, tmp_path: Path) -> None:
    config = {"source": {"kind": "bigquery", "table": make_table(client, [])}, "packages": [{"name": "a"}]}
    (tmp_path / "winnow.yaml").write_text(json.dumps(config))
    result = CliRunner().invoke(main, ["estimate", "--dry-run", "--config", str(tmp_path / "winnow.yaml")])
    assert result.exit_code == 0, result.output
    assert "upper bound for one of a day's 1 queries, ignoring clustering: 0 MB" in result.stdout
