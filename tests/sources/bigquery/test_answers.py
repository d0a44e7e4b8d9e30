"""An answer with breakdowns counts only if each of them has the downloads of the headline, no more and no fewer."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from tests.fake_bigquery import Cells
from tests.rows import row, to_frame
from winnow_dagster.core.coverage import BREAKDOWN_SCHEMA, ONE_DAY, Request
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.bigquery.answers import read_answer
from winnow_dagster.sources.bigquery.query import CountQuery
from winnow_dagster.sources.interface import InvalidResponseError

OLD, DAY = LAST_MIXED_DAY, LAST_MIXED_DAY + ONE_DAY
ASKED = ("python", "libc")
SCHEMA = pl.Schema(
    {
        "date": pl.Date,
        "package": pl.String,
        "installer": pl.String,
        "system": pl.String,
        "ci": pl.Boolean,
        "dimension": pl.String,
        "value": pl.String,
        "downloads": pl.Int64,
    }
)


def query(*names: str, day: date = DAY, by: tuple[str, ...] = ASKED) -> CountQuery:
    requests = [Request(Selector.parse(name), day, day, dimensions=by) for name in names or ("a",)]
    return CountQuery(requests, "batched")


def broken_down(dimension: str, value: str | None, downloads: int, **other: object) -> Cells:
    found = {"date": DAY, "package": "a", "installer": "pip", "ci": None}
    return found | {"dimension": dimension, "value": value, "downloads": downloads} | other


HEADLINE: list[Cells] = [row(DAY, "a", downloads=5), row(DAY, "a", system=None, downloads=2)]
PYTHON = [broken_down("python", "3.12", 6), broken_down("python", "", 1)]
LIBC = [broken_down("libc", "glibc", 7)]


def answer(*rows: Cells, schema: pl.Schema = SCHEMA) -> pl.DataFrame:
    return pl.DataFrame([dict(cells) for cells in rows], schema=schema)


def test_an_answer_is_split_into_counts_and_breakdowns() -> None:
    found = read_answer(answer(*HEADLINE, *PYTHON, *LIBC), query())
    assert found.counts.equals(to_frame([row(DAY, "a", downloads=5), row(DAY, "a", system=None, downloads=2)]))
    assert found.breakdowns.schema == BREAKDOWN_SCHEMA
    assert found.breakdowns.rows() == [
        (DAY, "a", "python", "3.12", "pip", None, 6),
        (DAY, "a", "python", "", "pip", None, 1),
        (DAY, "a", "libc", "glibc", "pip", None, 7),
    ]
    assert found.unnamed.is_empty()


def test_an_answer_without_a_download_has_no_breakdown() -> None:
    assert read_answer(answer(), query()).breakdowns.is_empty()


def test_a_query_without_breakdowns_takes_no_answer_with_them() -> None:
    with pytest.raises(InvalidResponseError, match="has the columns"):
        read_answer(answer(*HEADLINE), query(by=()))


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([*PYTHON], "a breakdown that does not sum to its counts"),
        ([*PYTHON, broken_down("libc", "glibc", 6)], "a breakdown that does not sum to its counts"),
        ([*PYTHON, *LIBC, broken_down("libc", "musl", 1, ci=True)], "a breakdown that does not sum to its counts"),
        ([*PYTHON, broken_down("libc", "glibc", 7, installer=None)], "a breakdown that does not sum to its counts"),
        ([*PYTHON, broken_down("libc", None, 7)], "a breakdown without a value"),
        ([*PYTHON, *LIBC, broken_down("cpu", "arm64", 7)], "a breakdown that was not asked for"),
        ([*PYTHON, broken_down("libc", "glibc", 3), broken_down("libc", "glibc", 4)], "a count twice"),
        ([*PYTHON, *LIBC, broken_down("libc", "musl", 0)], "an impossible count"),
        ([*PYTHON, *LIBC, broken_down("libc", "musl", 1, package="b")], "a package that was not asked for"),
        ([*PYTHON, *LIBC, broken_down("libc", "musl", 1, date=OLD)], "a day that was not asked for"),
    ],
)
def test_of_an_answer_with_an_impossible_breakdown_nothing_counts(rows: list[Cells], problem: str) -> None:
    with pytest.raises(InvalidResponseError, match=problem):
        read_answer(answer(*HEADLINE, *rows), query())


def test_what_a_prefix_selects_and_is_no_package_is_left_out_of_breakdowns_too() -> None:
    odd = row(DAY, "a-B", downloads=3)
    rows = [odd, *(broken_down(name, "", 3, package="a-B") for name in ASKED)]
    found = read_answer(answer(*HEADLINE, *PYTHON, *LIBC, *rows), query("a", "a-*"))
    assert set(found.counts["package"]) == set(found.breakdowns["package"]) == {"a"}


def test_rows_without_a_file_name_are_told_once_and_in_no_breakdown() -> None:
    rows: list[Cells] = [
        row(OLD, "a", downloads=5) | {"unnamed": 2},
        row(OLD, "a", installer=None, downloads=0) | {"unnamed": 3},
        broken_down("python", "3.12", 5, date=OLD, unnamed=0),
        broken_down("python", "", 0, date=OLD, unnamed=2),
        broken_down("python", "3.13", 0, date=OLD, unnamed=3, installer=None),
    ]
    frame = answer(*rows, schema=pl.Schema([*SCHEMA.items(), ("unnamed", pl.Int64())]))
    found = read_answer(frame, query(day=OLD, by=("python",)))
    assert found.unnamed.rows() == [(OLD, "a", 5)]
    assert found.counts["downloads"].to_list() == [5]
    assert found.breakdowns.rows() == [(OLD, "a", "python", "3.12", "pip", None, 5)]


def test_only_the_rows_that_answer_some_requests_are_kept() -> None:
    rows = [row(DAY, "b"), *(broken_down(name, "", 1, package="b") for name in ASKED)]
    found = read_answer(answer(*HEADLINE, *PYTHON, *LIBC, *rows), query("a", "b"))
    kept = found.keep_requested([Request(Selector("b"), DAY, DAY)])
    assert set(kept.counts["package"]) == set(kept.breakdowns["package"]) == {"b"}
