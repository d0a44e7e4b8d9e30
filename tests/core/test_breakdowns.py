"""Breakdowns: which days are known, and sums that always match those of honest downloads and CI."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow_dagster.core.breakdowns import NO_BREAKDOWNS, count_breakdowns, group_dimensions
from winnow_dagster.core.categories import INSTALLERS
from winnow_dagster.core.coverage import BREAKDOWN_SCHEMA, Coverage, ReadingFacts
from winnow_dagster.core.day_ranges import days_in, join_ranges, newest_run, to_ranges
from winnow_dagster.core.days import Days
from winnow_dagster.core.dimensions import OPEN_DIMENSIONS
from winnow_dagster.core.names import Selector
from winnow_dagster.core.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DAY = date(2025, 6, 30)
AT = datetime(2025, 7, 1, 3, tzinfo=UTC)
A, B = Selector("a"), Selector("b")
WINDOW = Window(3, DAY)

Row = tuple[date, str, str, str, str | None, bool | None, int]


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


def covered(*names: str, at: datetime = AT, of: Iterable[Selector] = (A, B)) -> Coverage:
    """Return the coverage of a day on which these dimensions of some selectors were read."""
    return Coverage(dict.fromkeys(of, at), facts=dict.fromkeys(of, ReadingFacts(dimensions=names)))


def days(rows: Iterable[Row], coverage: Mapping[date, Coverage] | None = None) -> Days:
    counts = pl.LazyFrame(list(rows), schema=BREAKDOWN_SCHEMA, orient="row")
    return Days(counts, coverage or {ago(n): covered("python", "cpu") for n in range(3)})


rows = st.lists(
    st.tuples(
        st.integers(0, 2).map(ago),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["python", "cpu"]),
        st.sampled_from(["", "3.9", "3.12", "x,y"]),
        st.sampled_from([None, "pip", "uv", "bandersnatch", "requests", "conda", "Browser"]),
        st.sampled_from([None, True]),
        st.integers(1, 99),
    ),
    max_size=30,
)


@given(rows)
def test_every_breakdown_sums_to_the_honest_downloads_and_to_those_of_ci(found: list[Row]) -> None:
    counted = count_breakdowns(days(found), {"a": [A]}, {"a": ("python", "cpu")})["a"]
    for dimension in ("python", "cpu"):
        mine = [row for row in found if row[1:3] == ("a", dimension)]
        breakdown = counted.over(WINDOW, dimension)
        assert breakdown
        assert sum(breakdown.ci.values()) == sum(row[-1] for row in mine if row[5])
        assert sum(breakdown.honest.values()) == sum(row[-1] for row in mine if not row[5] and row[4] in INSTALLERS)
        by_value: Counter[str] = Counter()
        for row in mine:
            by_value[row[3]] += row[-1] * bool(row[5])
        assert breakdown.ci == {value: count for value, count in by_value.items() if count}


@given(rows, st.sampled_from(["", "3.12"]), st.sampled_from([None, "pip", "conda"]), st.integers(1, 10**9))
def test_one_more_ci_row_changes_no_honest_number(
    found: list[Row], value: str, installer: str | None, downloads: int
) -> None:
    more = [*found, (DAY, "a", "python", value, installer, True, downloads)]
    one, other = (
        count_breakdowns(days(each), {"a": [A]}, {"a": ("python",)})["a"].over(WINDOW, "python")
        for each in (found, more)
    )
    assert one
    assert other
    assert one.honest == other.honest
    assert sum(other.ci.values()) == sum(one.ci.values()) + downloads


@given(rows)
def test_a_group_equals_the_sum_of_its_members(found: list[Row]) -> None:
    members = {"a": [A], "b": [B], "_group/both": [A, B]}
    counted = count_breakdowns(days(found), members, dict.fromkeys(members, ("python", "cpu")))
    for dimension in ("python", "cpu"):
        one, other, both = (counted[name].over(WINDOW, dimension) for name in members)
        assert one
        assert other
        assert both
        assert both.honest == Counter(one.honest) + Counter(other.honest)
        assert both.ci == Counter(one.ci) + Counter(other.ci)


def test_a_group_has_every_dimension_but_versions() -> None:
    assert group_dimensions(OPEN_DIMENSIONS) == tuple(name for name in OPEN_DIMENSIONS if name != "version")


def test_a_breakdown_reaches_back_to_the_last_day_without_it() -> None:
    coverage = {ago(2): covered("python"), ago(1): covered("cpu"), DAY: covered("python")}
    counted = count_breakdowns(
        days([(ago(2), "a", "python", "3.9", "pip", None, 5)], coverage), {"a": [A]}, {"a": ("python", "cpu")}
    )
    python, cpu = (counted["a"].over(WINDOW, name) for name in ("python", "cpu"))
    assert python
    assert (python.first_day, python.last_day, python.honest) == (DAY, DAY, {})
    assert cpu is None


def test_a_group_knows_a_day_that_all_its_members_know() -> None:
    coverage = {ago(1): covered("python"), DAY: covered("python", of=[A])}
    counted = count_breakdowns(
        days([], coverage), {"a": [A], "_group/both": [A, B]}, {"a": ("python",), "_group/both": ("python",)}
    )
    assert counted["a"].known == {"python": [ago(1), DAY]}
    assert counted["_group/both"].known == {"python": [ago(1)]}


def test_the_newest_reading_of_the_counted_days_is_noted() -> None:
    later = AT + timedelta(days=1)
    coverage = {ago(1): covered("python", at=later), DAY: covered("python")}
    assert count_breakdowns(days([], coverage), {"a": [A]}, {"a": ("python",)})["a"].read_until == later


def test_breakdowns_within_some_days_have_nothing_of_other_days() -> None:
    found: list[Row] = [(ago(n), "a", name, "x", "pip", None, 1) for n in range(3) for name in ("python", "cpu")]
    counted = count_breakdowns(days(found), {"a": [A]}, {"a": ("python", "cpu")})["a"]
    kept = counted.within({"python": {DAY, ago(9)}})
    assert (kept.dimensions, kept.known["python"], kept.read_until) == (("python",), [DAY], None)
    assert kept.values.rows() == [("python", DAY, "x", 1, 0)]
    assert NO_BREAKDOWNS.within({"python": {DAY}}).dimensions == ()


@given(st.sets(st.integers(0, 60)))
def test_ranges_have_the_same_days_and_a_gap_between_them(offsets: set[int]) -> None:
    chosen = {ago(n) for n in offsets}
    ranges = to_ranges(chosen)
    assert days_in(ranges) == chosen
    assert all(one[1] + timedelta(days=1) < other[0] for one, other in pairwise(ranges))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20))))
def test_ranges_in_any_order_join_to_the_ranges_of_all_their_days(found: list[tuple[int, int]]) -> None:
    ranges = [(ago(n + more), ago(n)) for n, more in found]
    assert join_ranges(ranges) == to_ranges(days_in(ranges))


@pytest.mark.parametrize(
    ("known", "expected"),
    [([0, 1, 3], [1, 0]), ([2, 3, 5], [3, 2]), ([9], []), ([], []), ([0, 1, 2, 3, 4, 5], [4, 3, 2, 1, 0])],
)
def test_the_newest_run_ends_at_the_newest_known_day(known: list[int], expected: list[int]) -> None:
    assert newest_run(set(map(ago, known)), ago(4), DAY) == list(map(ago, expected))
