"""Which files a path means, and rows that lie in two files."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.downloads import SCHEMA, download, leave_out, write
from tests.rows import to_frame
from winnow_dagster.core.coverage import Coverage, Failure, Reading, Request
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.interface import SourceError
from winnow_dagster.sources.parquet import repeats as parquet_repeats
from winnow_dagster.sources.parquet import source as parquet_source
from winnow_dagster.sources.parquet.files import find_files
from winnow_dagster.sources.parquet.source import ParquetSource
from winnow_dagster.store.raw import RawStore

DAY = date(2026, 9, 1)
NEXT = date(2026, 9, 2)


def read(*paths: Path, first: date = DAY, last: date = NEXT) -> tuple[dict[date, int], dict[date, str]]:
    """Return the downloads of each day, and why a day has none."""
    counts: Counter[date] = Counter()
    reasons: dict[date, str] = {}
    for answer in ParquetSource([str(path) for path in paths]).read([Request(Selector.parse("*"), first, last)]):
        if isinstance(answer, Reading):
            for request in answer.requests:
                counts.update(dict.fromkeys(request.days(), 0))
            counts.update(dict(answer.counts.group_by("date").agg(pl.col("downloads").sum()).iter_rows()))
        elif isinstance(answer, Failure):
            reasons |= dict.fromkeys(answer.request.days(), answer.reason)
    return dict(counts), reasons


def seconds(count: int, day: date = DAY, start: int = 0) -> list[dict[str, Any]]:
    """Return downloads a second apart."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return [download(midnight + timedelta(seconds=start + n), "a") for n in range(count)]


def names(found: list[str], folder: Path) -> list[str]:
    return [str(Path(file).relative_to(folder)) for file in found]


@pytest.mark.parametrize(
    "name",
    ["a[1].parquet", "a?.parquet", "a*.parquet", "[x]/b.parquet", "b]/[!c]/d.parquet", "x[/y.parquet", "**/z.parquet"],
)
def test_a_path_that_exists_is_taken_as_it_is_written(tmp_path: Path, name: str) -> None:
    for file in (name, "a1.parquet", "x/b.parquet", "ab.parquet"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert names(find_files([str(tmp_path / name)]), tmp_path) == [name]


@pytest.mark.parametrize("name", ["a[1].parquet", "a?.parquet", "[x]/*.parquet"])
def test_the_rows_of_a_file_with_such_a_name_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    write(tmp_path / name, seconds(3))
    assert read(tmp_path / name)[0][DAY] == 3


def test_in_a_folder_with_such_a_name_the_rest_is_a_glob(tmp_path: Path) -> None:
    for file in ("of [2026]/a.parquet", "of [2026]/b.parquet", "of 2/c.parquet", "x/y[1]/d.parquet"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert names(find_files([str(tmp_path / "of [2026]" / "*.parquet")]), tmp_path / "of [2026]") == [
        "a.parquet",
        "b.parquet",
    ]
    assert names(find_files([str(tmp_path / "*" / "y[1]" / "*")]), tmp_path) == ["x/y[1]/d.parquet"]
    assert names(find_files([str(tmp_path / "of [0-9]" / "[a-c].parquet")]), tmp_path) == ["of 2/c.parquet"]
    assert len(find_files([str(tmp_path / "**" / "*.parquet")])) == 4


def test_a_folder_means_its_parquet_files_and_those_of_folders_in_it(tmp_path: Path) -> None:
    for file in (
        "1.parquet",
        "date=2026-09-01/part-0.parquet",
        "spark.parquet/part-1.parquet",
        "_temporary/0.parquet",
        ".hidden/0.parquet",
        "_metadata.parquet",
        ".part.parquet",
        "_SUCCESS",
        "notes.txt",
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    found = ["1.parquet", "date=2026-09-01/part-0.parquet", "spark.parquet/part-1.parquet"]
    assert names(find_files([str(tmp_path)]), tmp_path) == found
    assert names(find_files([str(tmp_path / "*.parquet")]), tmp_path) == [found[0], "_metadata.parquet", found[2]]


@pytest.mark.parametrize(
    "path", ["", ".", "**/*.parquet", "*/*/*/*.parquet", "data", "data/parquet-12345678/answers/*"]
)
def test_winnows_own_files_in_data_dir_are_no_exports(tmp_path: Path, path: str) -> None:
    for name in ("raw_downloads", "breakdowns", "answers", "honest_downloads"):
        write(tmp_path / "data" / "parquet-12345678" / name / f"{DAY}.parquet", seconds(3))
    with pytest.raises(SourceError, match="no file at"):
        find_files([str(tmp_path / path)], tmp_path / "data")
    assert len(find_files([str(tmp_path)])) == 4, "elsewhere, files of these names are exports"


def test_exports_may_be_in_data_dir_too(tmp_path: Path) -> None:
    RawStore(tmp_path / "sample").write(DAY, to_frame([]), Coverage())
    write(tmp_path / "exports" / "1.parquet", seconds(3))
    source = ParquetSource(str(tmp_path), data_dir=tmp_path)
    assert source.day_rows(DAY, DAY) == {DAY: 3}


def test_the_ending_of_a_file_may_be_in_capitals(tmp_path: Path) -> None:
    (tmp_path / "b.PARQUET").touch()
    assert names(find_files([str(tmp_path)]), tmp_path) == ["b.PARQUET"]


@pytest.mark.parametrize("path", ["exports", "exports/**/*.parquet", "*/"])
def test_a_link_to_a_folder_is_followed_and_one_that_leads_back_ends(tmp_path: Path, path: str) -> None:
    for file in ("exports/1.parquet", "elsewhere/deep/2.parquet"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "exports" / "linked").symlink_to("../elsewhere")
    for name in ("loop", "again"):
        (tmp_path / "elsewhere" / "deep" / name).symlink_to("../../exports")
    found = [Path(file).name for file in find_files([str(tmp_path / path)])]
    assert found == ["1.parquet", "2.parquet"]


# Root without the right to pass over permissions.
AS_ANYBODY = ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"] * (os.geteuid() == 0)
FIND = """
import sys
from winnow_dagster.sources.interface import SourceError
from winnow_dagster.sources.parquet.files import find_files
for path in sys.argv[1:]:
    try:
        print(find_files([path]))
    except SourceError as error:
        print(error)
"""


@pytest.mark.parametrize("mode", [0o000, 0o100, 0o400], ids=oct)
def test_a_folder_that_winnow_may_not_read_is_named_with_the_fix(tmp_path: Path, mode: int) -> None:
    paths = ["", "*", "*/*.parquet", "**/*.parquet", "[b-c]/2.parquet"]
    for file in ("a/1.parquet", "b/2.parquet"):
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).touch()
    (tmp_path / "b").chmod(mode)
    script = [*AS_ANYBODY, sys.executable, "-c", FIND, *(str(tmp_path / path) for path in paths)]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    (tmp_path / "b").chmod(0o700)
    lines = done.stdout.splitlines()
    assert len(lines) == len(paths)
    if mode == 0o100:
        assert lines.pop() == f"['{tmp_path}/b/2.parquet']", "its name is known"
    for line in lines:
        assert line.startswith(f"{tmp_path}/b")
        assert line.endswith(
            "cannot be read: Permission denied. Let Winnow's user read it, or leave it out of source.path"
        )


@pytest.mark.parametrize("path", ["", "*.parquet", "**/*.parquet", "[f-h]one.parquet"])
def test_a_link_to_a_file_that_is_gone_is_named_with_the_fix(tmp_path: Path, path: str) -> None:
    write(tmp_path / "1.parquet", seconds(3))
    (tmp_path / "gone.parquet").symlink_to("0.parquet")
    fix = "Remove it if it is a broken link, or put the file back"
    message = f"{tmp_path}/gone.parquet: cannot be read: No such file or directory. {fix}"
    with pytest.raises(SourceError, match=re.escape(message)):
        read(tmp_path / path)


def test_a_file_that_vanishes_while_winnow_reads_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = f"{tmp_path}/gone.parquet"
    monkeypatch.setattr(parquet_source, "find_files", lambda *_: [gone])
    with pytest.raises(SourceError, match=re.escape(f"{gone}: cannot be read: No such file or directory. ")):
        read(tmp_path)


def test_several_paths_are_read_and_a_file_that_two_of_them_mean_once(tmp_path: Path) -> None:
    write(tmp_path / "old" / "1.parquet", seconds(3))
    write(tmp_path / "new" / "2.parquet", seconds(2, NEXT))
    assert read(tmp_path / "old", tmp_path / "*" / "*.parquet", tmp_path / "new" / "2.parquet") == (
        {DAY: 3, NEXT: 2},
        {},
    )


def test_a_folder_without_parquet_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=f"source.path: no file at {tmp_path}, {tmp_path}/x"):
        read(tmp_path, tmp_path / "x")


def test_each_path_without_a_file_is_an_error_even_beside_one_with_files(tmp_path: Path) -> None:
    write(tmp_path / "one" / "1.parquet", seconds(3))
    message = f"source.path: no file at {tmp_path}/gone, {tmp_path}/*.csv. Correct the path, or export the files there"
    with pytest.raises(SourceError, match=re.escape(message)):
        read(tmp_path / "one", tmp_path / "gone", tmp_path / "*.csv")


def test_a_copy_of_a_file_is_skipped_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "1.parquet", seconds(3))
    shutil.copy(tmp_path / "1.parquet", tmp_path / "1 (1).parquet")
    write(tmp_path / "2.parquet", seconds(2, NEXT))
    source = ParquetSource(str(tmp_path))
    assert source.day_rows(DAY, NEXT) == {DAY: 3, NEXT: 2}
    assert read(tmp_path)[0] == {DAY: 3, NEXT: 2}
    source.newest_day(NEXT)
    message = f"{tmp_path}/1.parquet: is a copy of {tmp_path}/1 (1).parquet, and its rows are not counted again. "
    assert {r.message for r in caplog.records if r.levelno == logging.WARNING} == {message + "Remove one of them"}
    assert len(caplog.records) == 2, "once for each of two sources"


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(lambda rows: rows, id="in another compression"),
        pytest.param(lambda rows: rows[::-1], id="in another order"),
        pytest.param(lambda rows: rows[:6], id="more than half"),
        pytest.param(lambda rows: rows + seconds(500, start=50), id="a part of a longer export"),
        pytest.param(lambda rows: rows + seconds(4, NEXT), id="with another day"),
    ],
)
def test_two_exports_of_the_same_rows_are_both_named(tmp_path: Path, again: Any) -> None:
    rows = seconds(10)
    write(tmp_path / "1.parquet", rows + seconds(3, NEXT, 600))
    pl.DataFrame(again(rows), schema=SCHEMA).write_parquet(tmp_path / "2.parquet", compression="snappy")
    counts, reasons = read(tmp_path)
    assert DAY not in counts
    assert counts[NEXT] in (3, 7)
    assert reasons == {
        DAY: f"{tmp_path}/1.parquet and {tmp_path}/2.parquet hold mostly the same rows of 2026-09-01, which would "
        "count twice. Remove one of them"
    }


def test_of_very_many_rows_a_sample_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_repeats, "MAX_HASHED", 2000)
    write(tmp_path / "one.parquet", seconds(3000))
    write(tmp_path / "again.parquet", [*reversed(seconds(3000)), *seconds(1, NEXT)])
    counts, reasons = read(tmp_path)
    assert counts == {NEXT: 1}
    assert "hold mostly the same rows" in reasons[DAY]
    write(tmp_path / "again.parquet", seconds(3000, start=1500))
    assert read(tmp_path)[0][DAY] == 6000


def test_half_of_the_rows_in_another_file_is_no_proof(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", seconds(10))
    write(tmp_path / "2.parquet", seconds(10, start=5))
    assert read(tmp_path, last=DAY) == ({DAY: 20}, {})


def test_equal_columns_that_winnow_reads_are_no_proof_if_others_differ(tmp_path: Path) -> None:
    rows = pl.DataFrame(seconds(10), schema=SCHEMA)
    rows.with_columns(url=pl.lit("/1")).write_parquet(tmp_path / "1.parquet")
    rows.with_columns(url=pl.lit("/2")).write_parquet(tmp_path / "2.parquet")
    assert read(tmp_path, last=DAY) == ({DAY: 20}, {})


def with_subcommand(rows: pl.DataFrame, value: pl.Expr) -> pl.DataFrame:
    details, installer = pl.col("details").struct, pl.col("details").struct.field("installer").struct
    return rows.with_columns(details.with_fields(installer.with_fields(value.alias("subcommand")).alias("installer")))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(lambda rows: rows.drop("file"), lambda rows: rows, id="a column more"),
        pytest.param(lambda rows: leave_out(rows, "details.cpu"), lambda rows: rows, id="a field more"),
        pytest.param(
            lambda rows: rows.with_columns(country_code=pl.lit(None)),
            lambda rows: rows.with_columns(country_code=pl.lit("US")),
            id="NULL",
        ),
        pytest.param(
            lambda rows: with_subcommand(rows, pl.lit(["pip", "install"])),
            lambda rows: with_subcommand(rows, pl.lit("pip install")),
            id="a list as text",
        ),
        pytest.param(
            lambda rows: rows.with_columns(country_code=pl.lit(1)),
            lambda rows: rows.with_columns(country_code=pl.lit("1")),
            id="another type",
        ),
        pytest.param(
            lambda rows: rows.with_columns(exported=pl.lit(1)),
            lambda rows: rows.with_columns(exported=pl.lit(2)),
            id="a column that the log does not have",
        ),
    ],
)
def test_two_exports_of_the_same_rows_are_named_even_if_their_columns_differ(
    tmp_path: Path, one: Any, other: Any
) -> None:
    rows = pl.DataFrame(seconds(40), schema=SCHEMA)
    one(rows).write_parquet(tmp_path / "1.parquet")
    other(rows).write_parquet(tmp_path / "2.parquet")
    counts, reasons = read(tmp_path, last=DAY)
    assert counts == {}
    assert "hold mostly the same rows" in reasons[DAY]


def test_other_rows_of_the_same_moments_count_whatever_columns_the_files_have(tmp_path: Path) -> None:
    rows = pl.DataFrame(seconds(40), schema=SCHEMA)
    rows.drop("file", "country_code").write_parquet(tmp_path / "1.parquet")
    rows.with_columns(project=pl.lit("b")).write_parquet(tmp_path / "2.parquet")
    assert read(tmp_path, last=DAY) == ({DAY: 80}, {})


def test_a_value_that_no_row_of_a_few_has_may_tell_them_from_others(tmp_path: Path) -> None:
    rows = pl.DataFrame(seconds(1), schema=SCHEMA)
    rows.write_parquet(tmp_path / "1.parquet")
    rows.with_columns(country_code=pl.lit("US")).write_parquet(tmp_path / "2.parquet")
    assert read(tmp_path, last=DAY) == ({DAY: 2}, {})


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32), kinds=st.integers(20, 200), files=st.integers(2, 5))
def test_rows_that_are_equal_and_spread_over_files_at_random_count_each(
    seed: int, kinds: int, files: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """BigQuery exports a day so: in shards, with rows of popular packages that are equal to the second."""
    folder, random = tmp_path_factory.mktemp("shards"), Random(seed)
    rows = [random.choice(seconds(kinds)) for _ in range(500)]
    shards = [random.randrange(files) for _ in rows]
    for shard in range(files):
        write(folder / f"{shard}.parquet", [row for row, of in zip(rows, shards, strict=True) if of == shard])
    # With few kinds of rows, two shards may hold the same number of most by chance.
    sizes = [Counter(str(r["timestamp"]) for r, of in zip(rows, shards, strict=True) if of == n) for n in range(files)]
    by_chance = any(
        sum(n for row, n in one.items() if other[row] == n) * 2 > one.total()
        for one in sizes
        for other in sizes
        if one is not other
    )
    if not by_chance:
        assert read(folder, last=DAY) == ({DAY: 500}, {})
    write(folder / "whole" / "again.parquet", [row for row, of in zip(rows, shards, strict=True) if of == 0][::-1])
    assert DAY in read(folder, last=DAY)[1]


def whole_days(count: int, last_hour: int = 23) -> list[dict[str, Any]]:
    first = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
    hours = 24 * (count - 1) + last_hour
    return [download(first + timedelta(hours=hour), "a") for hour in range(hours + 1)]


@pytest.mark.parametrize(("last_hour", "told"), [(23, False), (22, False), (21, True), (9, True)])
def test_a_last_day_that_ends_hours_before_the_others_is_told(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    last_hour: int,
    told: bool,  # noqa: FBT001
) -> None:
    write(tmp_path / "rows.parquet", whole_days(2, last_hour))
    assert read(tmp_path) == ({DAY: 24, NEXT: last_hour + 1}, {})
    message = f"{tmp_path}: the rows of 2026-09-02 end at {last_hour:02}:00 UTC. If the day is cut off, export it again"
    assert [record.message for record in caplog.records] == [message] * told


FAR_AWAY = [download(datetime(1, 1, 1, tzinfo=UTC), "a"), download(datetime(9999, 12, 31, 23, 59, tzinfo=UTC), "a")]


def test_a_row_of_the_year_9999_hinders_no_other_day(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "rows.parquet", [*whole_days(2, 9), FAR_AWAY[-1]])
    assert read(tmp_path) == ({DAY: 24, NEXT: 10}, {})
    assert [record.message for record in caplog.records] == [
        f"{tmp_path}: the rows of 2026-09-02 end at 09:00 UTC. If the day is cut off, export it again"
    ]


def test_an_unusable_file_with_rows_of_impossible_years_fails_the_days_between(tmp_path: Path) -> None:
    rows = pl.DataFrame([*whole_days(2), *FAR_AWAY], schema=SCHEMA)
    rows.with_columns(details=pl.lit(1)).write_parquet(tmp_path / "rows.parquet")
    counts, reasons = read(tmp_path)
    assert counts == {}
    assert reasons.keys() == {DAY, NEXT}


def test_a_last_day_that_was_not_asked_for_or_that_no_other_compares_with_is_not_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "rows.parquet", whole_days(2, 9))
    assert read(tmp_path, last=DAY)[0] == {DAY: 24}
    write(tmp_path / "rows.parquet", whole_days(1, 9))
    assert read(tmp_path, last=DAY)[0] == {DAY: 10}
    assert caplog.records == []


@pytest.mark.parametrize("name", ["of [1]/a.parquet", "a[1].parquet"])
def test_a_file_whose_path_reads_as_a_glob_is_read_and_no_other(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, seconds(3))
    write(tmp_path / name.replace("[1]", "1"), seconds(5))
    assert read(tmp_path / name, last=DAY) == ({DAY: 3}, {})
