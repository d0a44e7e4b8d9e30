"""A history has each covered day once, with every download in its place; a day that is not covered has no row."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rows import Row, row, to_frame
from winnow_dagster.core.categories import CATEGORIES, INSTALLERS, winnow
from winnow_dagster.core.counting import DayCounts
from winnow_dagster.core.coverage import Coverage
from winnow_dagster.core.days import CountOptions, Days, Package
from winnow_dagster.core.history import DayMark, History, history_of
from winnow_dagster.core.names import Group, Selector, normalise
from winnow_dagster.core.packages import describe_packages, recount
from winnow_dagster.core.window import ALL, Window, sum_counts

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

FIRST = date(2025, 6, 1)
LAST = FIRST + timedelta(days=9)
SYSTEMS = ("linux", "macos", "windows", "other_system")

days = st.integers(0, 9).map(lambda n: FIRST + timedelta(days=n))
rows = st.lists(
    st.builds(
        row,
        days,
        st.sampled_from(["a", "b", "c-x"]),
        installer=st.sampled_from([*INSTALLERS, "Nexus", "Browser", "requests", "conda", None]),
        system=st.sampled_from(["Linux", "Darwin", "Windows", "FreeBSD", None]),
        ci=st.sampled_from([True, None]),
        downloads=st.integers(1, 2**40),
    )
)


def read_at(day: date, hours: int) -> datetime:
    return datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=UTC) + timedelta(hours=hours)


def stored(raw: Sequence[Row], covered: dict[str, Collection[date]], hours: int = 999) -> Days:
    """Return honest days: of each selector, those that cover it."""
    every = sorted({day for found in covered.values() for day in found})
    coverage = {
        day: Coverage({Selector.parse(s): read_at(day, hours) for s, found in covered.items() if day in found})
        for day in every
    }
    return Days(winnow(to_frame(raw).lazy()), coverage)


def described(honest: Days, windows: dict[Selector | Group, tuple[int, ...]]) -> dict[str, list[Package]]:
    return describe_packages(honest, windows, honest.coverage, CountOptions(LAST, "parquet", 3))


A, B = Selector.parse("a"), Selector.parse("b")


@given(rows, st.sets(days))
def test_each_covered_day_has_every_download_once_and_no_other_day_is_there(raw: list[Row], covered: set[date]) -> None:
    in_store = [row for row in raw if row["date"] in covered]
    ((package,),) = described(stored(in_store, {"a": covered}), {A: (3,)}).values()
    history = package.history.days
    assert [day.date for day in history] == sorted(covered)
    for day in history:
        told = day.by_name()
        of_day = [r for r in in_store if r["date"] == day.date and r["package"] == "a"]
        assert told["raw"] == sum(r["downloads"] for r in of_day) == sum_counts(told[name] for name in CATEGORIES)
        assert told["honest"] == sum_counts(told[installer] for installer in INSTALLERS)
        assert told["honest"] == sum_counts(told[system] for system in SYSTEMS)


@given(rows)
def test_a_groups_numbers_are_the_sums_of_its_packages_numbers(raw: list[Row]) -> None:
    every = [FIRST + timedelta(days=n) for n in range(10)]
    group = Group(normalise("both"), (A, Selector.parse("c-*")))
    honest = stored(raw, dict.fromkeys(("a", "b", "c-*"), every))
    found = described(honest, {A: (10,), B: (10,), Selector.parse("c-*"): (10,), group: (10, ALL)})
    members = [*found["a"], *found["c-*"]]
    ((of_group),) = found["_group/both"]
    listed = {package.state.package for package in members} | (set() if found["c-*"] else {"c-*"})
    assert of_group.state.members == tuple(sorted(listed))
    for window in of_group.state.windows:
        assert window.counts
        of_members = [package.state.headline.counts for package in members]
        found_sums = window.counts.numbers
        assert found_sums == {key: sum_counts(c.numbers[key] for c in of_members if c) for key in found_sums}
    added: dict[date, list[int | None]] = {}
    for day in (day for package in members for day in package.history.days):
        before = added.get(day.date, [0] * len(day.numbers))
        added[day.date] = [sum_counts(pair) for pair in zip(before, day.numbers, strict=True)]
    assert {day.date: list(day.numbers) for day in of_group.history.days} == added


@given(st.sets(days), st.sets(days))
def test_a_group_has_a_number_only_where_each_of_its_members_is_covered(one: set[date], other: set[date]) -> None:
    group = Group(normalise("both"), (A, B))
    found = described(stored([], {"a": one, "b": other}), {A: (1,), B: (1,), group: (1,)})["_group/both"][0]
    both = one & other
    assert [day.date for day in found.history.days] == sorted(both)
    assert found.state.headline.counts is not None or not both
    assert found.state.headline.counts is None or found.state.headline.counts.window == Window(1, max(both))


@given(rows, st.sets(days))
def test_what_is_told_again_is_what_was_published(raw: list[Row], covered: set[date]) -> None:
    raw = [row for row in raw if row["date"] in covered]
    group = Group(normalise("both"), (A, B))
    honest = stored(raw, dict.fromkeys(("a", "b"), covered))
    found = described(honest, {A: (2, ALL), group: (3,)})
    packages = [found["a"][0], found["_group/both"][0]]
    windows: dict[Window, set[str]] = {}
    for package in packages:
        for state in package.state.windows:
            if state.counts:
                windows.setdefault(state.counts.window, set()).add(package.state.package)
    told, histories = recount(honest, {"a": (A,), "_group/both": (A, B)}, windows, CountOptions(LAST, "parquet", 3))
    for package in packages:
        assert histories[package.state.package] == package.history
        for state in package.state.windows:
            assert state.counts is None or told[state.counts.window][package.state.package] == state.counts


@given(rows, st.sets(days), st.integers(1, 5))
def test_what_is_counted_a_few_days_at_a_time_is_what_is_counted_at_once(
    raw: list[Row], covered: set[date], most: int
) -> None:
    honest = stored([row for row in raw if row["date"] in covered], dict.fromkeys(("a", "b"), covered))
    apart = Days(honest.counts, honest.coverage, {day: honest.of(day) for day in sorted(covered)})
    windows: dict[Selector | Group, tuple[int, ...]] = {A: (2, ALL), Group(normalise("both"), (A, B)): (3,)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("winnow_dagster.core.days.MAX_ROWS_IN_MEMORY", most)
        assert len(list(apart.batches())) <= max(1, len(covered))
        assert described(apart, windows) == described(honest, windows)


@pytest.mark.parametrize(("hours", "is_provisional"), [(3, True), (71, True), (72, False), (999, False)])
def test_a_day_read_before_it_settled_is_provisional(hours: int, *, is_provisional: bool) -> None:
    found = described(stored([], {"a": [LAST]}, hours), {A: (1,)})["a"][0]
    assert [day.provisional for day in found.history.days] == [is_provisional]


def history(covered: Collection[date], count: int = 1) -> History:
    raw = [row(day, "a", downloads=count) for day in covered]
    honest = winnow(to_frame(raw).lazy()).collect()
    return history_of(
        DayCounts.of([honest]).by_package().get("a", {}), dict.fromkeys(sorted(covered), DayMark(provisional=False))
    )


@given(st.sets(days))
def test_the_missing_days_are_those_between_the_first_and_the_last_that_are_not_there(covered: set[date]) -> None:
    found = history(covered)
    listed = {first + timedelta(days=n) for first, last in found.missing() for n in range((last - first).days + 1)}
    if covered:
        between = {min(covered) + timedelta(days=n) for n in range((max(covered) - min(covered)).days + 1)}
        assert listed == between - covered
    else:
        assert listed == set()


@given(st.sets(days), st.sets(days))
def test_a_published_day_stays_where_the_store_has_lost_it_and_gives_way_where_it_has_not(
    one: set[date], other: set[date]
) -> None:
    kept = history(one, 2).keep_published(history(other, 1)).days
    assert [day.date for day in kept] == sorted(one | other)
    assert all(day.by_name()["raw"] == (2 if day.date in one else 1) for day in kept)


def test_the_newest_days_are_counted_back_from_the_last_one_stored() -> None:
    found = history([FIRST, LAST - timedelta(days=2), LAST])
    assert [day.date for day in found.newest(3).days] == [LAST - timedelta(days=2), LAST]
    assert History.empty().newest(3).last is None
