"""An answer with impossible values is not counted."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest

from winnow_dagster.core.coverage import Request
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.clickhouse.answers import read_answer, read_control
from winnow_dagster.sources.clickhouse.query import CountQuery
from winnow_dagster.sources.interface import InvalidResponseError

DAY, NEXT = date(2026, 10, 1), date(2026, 10, 2)
LATER = date(2026, 10, 9)
ASKED: dict[str, Any] = {
    "date": DAY, "newest": DAY, "package": "a", "asked": True, "dimension": "system", "value": "Linux",
    "installer": "pip", "ci": "false", "downloads": 3,
}  # fmt: skip
PYTHON = ASKED | {"dimension": "python", "value": "3.12"}
CONTROL = ASKED | {"package": "twine", "asked": False, "dimension": "", "value": "", "installer": ""}
NEWEST = CONTROL | {"date": NEXT, "newest": LATER}


def read(*rows: dict[str, Any], selector: str = "a", dimensions: tuple[str, ...] = ()) -> Any:
    query = CountQuery(Request(Selector.parse(selector), DAY, DAY, dimensions=dimensions), "twine")
    return read_answer([tuple(row.values()) for row in rows], query)


def test_a_sound_answer_is_read() -> None:
    answer = read(ASKED, PYTHON, CONTROL, NEWEST, dimensions=("python",))
    assert answer.counts.rows() == [(DAY, "a", "pip", "Linux", None, 3)]
    assert answer.breakdowns.rows() == [(DAY, "a", "python", "3.12", "pip", None, 3)]
    assert (answer.control.by_day, answer.control.newest) == ({DAY: 3}, LATER)


def test_an_answer_without_rows_tells_no_newest_day() -> None:
    assert read().control.newest is None
    assert read().counts.is_empty()
    assert read_control([]).newest is None


def test_an_invalid_name_that_a_prefix_selects_is_left_out() -> None:
    answer = read(ASKED | {"package": "a-b"}, ASKED | {"package": "a-B_"}, CONTROL, NEWEST, selector="a-*")
    assert answer.counts["package"].to_list() == ["a-b"]


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"package": "b"}, "rows that were not asked for"),
        ({"package": None}, "rows that were not asked for"),
        ({"date": NEXT, "newest": NEXT}, "rows that were not asked for"),
        ({"dimension": "version"}, "rows that were not asked for"),
        ({"asked": None}, "rows that were not asked for"),
        ({"ci": "maybe"}, "an unknown CI flag"),
        ({"ci": None}, "an unknown CI flag"),
        ({"downloads": 0}, "an impossible count"),
        ({"downloads": -3}, "an impossible count"),
        ({"downloads": None}, "an impossible count"),
        ({"downloads": 10**17}, "an impossible count"),
        ({"downloads": "many"}, "does not have the columns"),
        ({"date": "soon"}, "does not have the columns"),
    ],
)
def test_an_impossible_row_is_refused(changed: dict[str, Any], what: str) -> None:
    with pytest.raises(InvalidResponseError, match=what):
        read(ASKED | changed, CONTROL)


@pytest.mark.parametrize("changed", [{"package": "other"}, {"date": date(2026, 9, 30)}, {"dimension": "system"}])
def test_an_impossible_row_of_the_control_package_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidResponseError, match="rows that were not asked for"):
        read(ASKED, CONTROL | changed)


def test_a_count_that_is_there_twice_is_refused() -> None:
    with pytest.raises(InvalidResponseError, match="a count twice"):
        read(ASKED, ASKED | {"downloads": 4}, CONTROL)


@pytest.mark.parametrize("rows", [[ASKED], [ASKED, PYTHON | {"downloads": 2}]])
def test_dimensions_with_different_sums_are_refused(rows: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidResponseError, match="different sums"):
        read(*rows, CONTROL, dimensions=("python",))


def test_missing_columns_are_refused() -> None:
    with pytest.raises(InvalidResponseError, match="does not have the columns date, newest"):
        read({"date": DAY, "downloads": 3})
    with pytest.raises(InvalidResponseError, match="a NULL"):
        read_control([(DAY, None, 3)])


def test_downloads_without_their_ci_flag_are_facts_and_no_counts() -> None:
    answer = read(ASKED, ASKED | {"ci": "unknown", "downloads": 5}, CONTROL | {"ci": "unknown"}, CONTROL, NEWEST)
    assert answer.counts.select(pl.col("downloads").sum()).item() == 3
    assert answer.lost_ci == {DAY: 5}
    assert answer.control.lost_ci == {DAY: 3}
    assert answer.control.by_day == {DAY: 6}
