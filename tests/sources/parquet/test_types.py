"""Parquet files as people's tools write them: the same meaning in other types gives the same counts."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.downloads import SCHEMA, download
from tests.rows import to_counts
from winnow_dagster.core.coverage import Failure, Reading, Request
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.parquet.source import ParquetSource

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = date(2026, 9, 1)
ROWS = [download(DAY, "a"), download(DAY, "a", None, None), download(DAY, "a", "uv", "Darwin")]
COUNTS = {("pip", "Linux", None): 1, (None, None, None): 1, ("uv", "Darwin", None): 1}
DETAILS = pa.struct(
    [
        ("installer", pa.struct([("name", pa.string()), ("version", pa.string())])),
        ("system", pa.struct([("name", pa.string())])),
        ("ci", pa.bool_()),
    ]
)


def read(
    path: Path, name: str = "a", first: date = DAY, last: date = DAY
) -> tuple[dict[tuple[Any, ...], int], list[str]]:
    answers = list(ParquetSource(str(path)).read([Request(Selector.parse(name), first, last)]))
    counts = to_counts(answer.counts for answer in answers if isinstance(answer, Reading))
    failed = [answer.reason for answer in answers if isinstance(answer, Failure)]
    return {key[2:]: downloads for key, downloads in counts.items()}, failed


def arrow(**columns: pa.Array) -> pa.Table:
    """Return ROWS as Arrow has them, with some columns changed."""
    table = pa.table(
        {
            "timestamp": pa.array([row["timestamp"] for row in ROWS], pa.timestamp("us", "UTC")),
            "project": pa.array(["a"] * 3),
            "details": pa.array([row["details"] for row in ROWS], DETAILS),
        }
    )
    for name, column in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


def moments(zone: str | None, unit: str = "us") -> pa.Array:
    return pa.array([row["timestamp"] for row in ROWS], pa.timestamp(unit, zone))


def details(**fields: pa.Array) -> pa.Array:
    """Return `details` with other arrays as its fields."""
    installers = pa.array([{"name": "pip"}, {"name": None}, {"name": "uv"}])
    systems = pa.array([{"name": "Linux"}, {"name": None}, {"name": "Darwin"}])
    known = {"installer": installers, "system": systems, "ci": pa.nulls(3, pa.bool_())} | fields
    return pa.StructArray.from_arrays(list(known.values()), list(known))


def named(names: pa.Array) -> pa.Array:
    return pa.StructArray.from_arrays([names], ["name"])


INSTALLERS = ["pip", None, "uv"]


@pytest.mark.parametrize("store_schema", [True, False], ids=["arrow's types", "Parquet's types only"])
@pytest.mark.parametrize(
    "table",
    [
        pytest.param(arrow(), id="as file_downloads has it"),
        *(
            pytest.param(arrow(timestamp=moments(zone)), id=zone)
            for zone in ("Etc/UTC", "GMT", "+00:00", "Zulu", "UCT")
        ),
        pytest.param(arrow(timestamp=moments("Europe/Berlin")), id="a zone is only how a moment is shown"),
        *(pytest.param(arrow(timestamp=moments("UTC", unit)), id=unit) for unit in ("s", "ms", "ns")),
        pytest.param(arrow(project=pa.array(["a"] * 3).dictionary_encode()), id="dictionary"),
        pytest.param(arrow(project=pa.array(["a"] * 3, pa.large_string())), id="large string"),
        pytest.param(arrow(project=pa.array(["a"] * 3, pa.string_view())), id="string view"),
        pytest.param(arrow(details=details(ci=pa.nulls(3))), id="ci NULL without a type"),
        pytest.param(arrow(details=details(ci=pa.nulls(3, pa.int32()))), id="ci NULL as a number"),
        pytest.param(arrow(details=details(ci=pa.nulls(3, pa.string()))), id="ci NULL as text"),
        pytest.param(
            arrow(details=details(installer=named(pa.array(INSTALLERS).dictionary_encode()))),
            id="dictionary in a struct",
        ),
        pytest.param(
            arrow(details=details(installer=named(pa.array(INSTALLERS, pa.string_view())))),
            id="string view in a struct",
        ),
    ],
)
def test_arrow_tables_are_read_by_what_their_columns_mean(tmp_path: Path, table: pa.Table, store_schema: bool) -> None:  # noqa: FBT001
    pq.write_table(table, tmp_path / "rows.parquet", store_schema=store_schema)
    assert read(tmp_path / "rows.parquet") == (COUNTS, [])


@pytest.mark.parametrize("kind", [pa.null(), pa.int32(), DETAILS], ids=str)
def test_details_may_be_null_in_every_row(tmp_path: Path, kind: pa.DataType) -> None:
    for store_schema in (True, False):
        pq.write_table(arrow(details=pa.nulls(3, kind)), tmp_path / "rows.parquet", store_schema=store_schema)
        assert read(tmp_path / "rows.parquet") == ({(None, None, None): 3}, [])


def test_a_column_of_another_type_with_values_is_refused(tmp_path: Path) -> None:
    pq.write_table(arrow(details=details(ci=pa.array([None, 1, None]))), tmp_path / "rows.parquet")
    counts, reasons = read(tmp_path / "rows.parquet")
    assert counts == {}
    assert reasons == [
        f"{tmp_path}/rows.parquet: column details.ci is Int64, not true or false. Export it as file_downloads has it"
    ]


@pytest.mark.parametrize("old_format", [True, False], ids=["INT96", "without a zone"])
def test_a_time_without_a_zone_is_in_utc_as_bigquery_exports_it(
    tmp_path: Path,
    old_format: bool,  # noqa: FBT001
) -> None:
    file = tmp_path / "rows.parquet"
    pq.write_table(arrow(timestamp=moments(None)), file, use_deprecated_int96_timestamps=old_format)
    assert read(file) == (COUNTS, [])


def test_a_moment_belongs_to_its_day_in_utc_whatever_zone_it_is_shown_in(tmp_path: Path) -> None:
    late = pa.array([datetime(2026, 9, 1, 23, 30, tzinfo=UTC)] * 3, pa.timestamp("us", "Europe/Berlin"))
    pq.write_table(arrow(timestamp=late), tmp_path / "rows.parquet")
    assert read(tmp_path / "rows.parquet") == (COUNTS, [])


def by_polars(file: Path) -> None:
    frame = pl.DataFrame(ROWS, schema=SCHEMA)
    installers = pl.col("details").struct.field("installer").struct.field("name")
    systems = pl.col("details").struct.field("system").struct.field("name")
    frame.with_columns(
        pl.col("project").cast(pl.Enum(["a", "b"])),
        file=pl.lit(None),
        details=pl.struct(
            installer=pl.struct(name=installers.cast(pl.Categorical)), system=pl.struct(name=systems), ci=pl.lit(None)
        ),
    ).write_parquet(file)


def by_pandas(file: Path) -> None:
    frame = pd.DataFrame({name: [row[name] for row in ROWS] for name in ("timestamp", "project", "details")})
    frame["project"] = frame["project"].astype("category")
    frame.to_parquet(file)


def by_duckdb(file: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TYPE tool AS ENUM ('pip', 'uv')")
        connection.execute(
            "COPY (SELECT TIMESTAMPTZ '2026-09-01 12:00:00+00' AS timestamp, 'a' AS project,"
            " {'filename': NULL} AS file, {installer: {name: name::tool}, system: {name: system}, ci: NULL} AS details"
            " FROM (VALUES ('pip', 'Linux'), (NULL, NULL), ('uv', 'Darwin')) AS rows(name, system))"
            f" TO '{file}' (FORMAT parquet)"
        )


@pytest.mark.parametrize("write", [by_polars, by_pandas, by_duckdb])
def test_other_tools_files_are_read(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "rows.parquet")
    assert read(tmp_path / "rows.parquet") == (COUNTS, [])


def test_files_of_several_tools_add_up_and_the_same_rows_are_known_again(tmp_path: Path) -> None:
    by_polars(tmp_path / "by_polars.parquet")
    other = pl.DataFrame([download(datetime(2026, 9, 1, 13, tzinfo=UTC), "a")], schema=SCHEMA)
    other.write_parquet(tmp_path / "other.parquet")
    assert read(tmp_path / "*.parquet") == (COUNTS | {("pip", "Linux", None): 2}, [])
    by_duckdb(tmp_path / "by_duckdb.parquet")
    assert "by_duckdb.parquet and" in read(tmp_path / "*.parquet")[1][0]


def test_a_file_without_rows_is_no_fault_whatever_its_types(tmp_path: Path) -> None:
    pd.DataFrame({"timestamp": [], "project": []}).to_parquet(tmp_path / "empty.parquet")
    pq.write_table(arrow(), tmp_path / "rows.parquet")
    assert read(tmp_path / "*.parquet") == (COUNTS, [])


@settings(deadline=None, max_examples=25)
@given(
    spellings=st.lists(
        st.sampled_from(["Demo_App", "demo.app", "demo-app", "DEMO--APP", "demo", "foo/bar", ""]), min_size=1
    )
)
def test_a_project_counts_by_its_normalised_name(
    spellings: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("rows") / "rows.parquet"
    pl.DataFrame([download(DAY, name) for name in spellings], schema=SCHEMA).write_parquet(file)
    expected = sum(name not in {"demo", "foo/bar", ""} for name in spellings)
    for selector in ("demo-app", "demo-a-*" if not expected else "demo-*"):
        counts, reasons = read(file, selector)
        assert (sum(counts.values()), reasons) == (expected, [])
