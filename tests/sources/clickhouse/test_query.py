"""The text of queries, and how ranges of days are split."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from winnow_dagster.core.coverage import Request
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.clickhouse.query import CountQuery, make_smaller, query_for_readers, split_days

FIRST, LAST = date(2026, 10, 1), date(2026, 10, 30)


def test_values_are_parameters_and_the_table_is_in_the_text() -> None:
    query = CountQuery(Request(Selector("rich"), FIRST, LAST), "twine")
    text = query.text("db", "log")
    assert "FROM `db`.`log`" in text
    assert "rich" not in text
    assert "twine" not in text
    assert "2026" not in text
    assert query.parameters() == {
        "first": FIRST,
        "last": LAST,
        "after": date(2026, 10, 31),
        "package": "rich",
        "control": "twine",
    }


def test_a_prefix_uses_the_order_of_the_table() -> None:
    query = CountQuery(Request(Selector.parse("dagster-*"), FIRST, LAST), "twine")
    assert "startsWith(project, {package:String})" in query.text("pypi", "pypi")
    assert query.parameters()["package"] == "dagster-"


@pytest.mark.parametrize("days", [1, 2, 3, 31, 32, 100])
@pytest.mark.parametrize("at_once", [1, 2, 31])
def test_split_ranges_have_each_day_once(days: int, at_once: int) -> None:
    request = Request(Selector("a"), FIRST, FIRST + timedelta(days=days - 1), is_reread=True, dimensions=("python",))
    parts = split_days(request, at_once)
    assert [day for part in parts for day in part.days()] == request.days()
    assert all(len(part.days()) <= at_once and part.is_reread and part.dimensions == ("python",) for part in parts)


@pytest.mark.parametrize("days", [2, 3, 31])
def test_half_of_a_range_is_shorter(days: int) -> None:
    request = Request(Selector("a"), FIRST, FIRST + timedelta(days=days - 1))
    parts = make_smaller(request)
    assert [day for part in parts for day in part.days()] == request.days()
    assert [len(part.days()) for part in parts] == [days - days // 2, days // 2]


def test_a_day_is_read_without_the_dimension_of_most_values() -> None:
    request = Request(Selector("a"), FIRST, FIRST, dimensions=("python", "version", "country", "libc"))
    left = []
    while parts := make_smaller(request):
        (request,) = parts
        left.append(request.dimensions)
    assert left == [("python", "country", "libc"), ("python", "libc"), ("libc",), ()]


def test_readers_get_a_query_over_the_public_table() -> None:
    text = query_for_readers([Selector("rich"), Selector.parse("dagster-*")], date(2026, 8, 1), LAST)
    assert "FROM pypi.pypi" in text
    assert "(project = 'rich' OR startsWith(project, 'dagster-'))" in text
    assert "date BETWEEN '2026-08-25' AND '2026-10-30'" in text
