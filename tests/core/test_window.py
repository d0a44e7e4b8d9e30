"""A window is the sum of its days, exists only where each of them is covered, and never goes back."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tests.rows import Row, row, to_frame
from winnow_dagster.core.badge import badges_of
from winnow_dagster.core.categories import CATEGORIES, INSTALLERS, MIRRORS, winnow
from winnow_dagster.core.counting import DayCounts
from winnow_dagster.core.dimensions import INSTALLER, SYSTEM
from winnow_dagster.core.names import normalise
from winnow_dagster.core.window import (
    MAX_UNLISTED,
    PackageState,
    Window,
    WindowCounts,
    WindowState,
    count_covered,
    keep_newest,
    newest_window,
    sum_counts,
    top_unlisted,
    whole_window,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

SYSTEMS = tuple(SYSTEM.values.values())
FIRST = date(2025, 6, 1)
LAST = FIRST + timedelta(days=9)
A = normalise("a")

days = st.integers(0, 9).map(lambda n: FIRST + timedelta(days=n))
installers = st.sampled_from([*INSTALLERS, *MIRRORS, "Browser", "requests", "conda", None])
raw_rows = st.builds(
    row,
    days,
    st.sampled_from(["a", "b"]),
    installer=installers,
    system=st.sampled_from([*SYSTEMS, "FreeBSD", None]),
    ci=st.sampled_from([True, None]),
    downloads=st.integers(1, 2**50),
)
winnowed_rows = st.builds(
    row,
    days,
    st.just("a"),
    installer=st.sampled_from([*MIRRORS, "Browser", "requests", "rye", None]),
    system=st.none(),
    downloads=st.integers(1, 10**6),
) | st.builds(
    row,
    days,
    st.just("a"),
    installer=installers,
    system=st.sampled_from(SYSTEMS),
    ci=st.just(value=True),
    downloads=st.integers(1, 10**6),
)


def count(rows: Sequence[Row], window: Window) -> WindowCounts:
    return DayCounts.of([winnow(to_frame(rows).lazy()).collect()]).total(window, [A])[A]


def add(left: WindowCounts, right: WindowCounts, window: Window) -> WindowCounts:
    def sums(one: object, other: object) -> dict[str, int]:
        assert isinstance(one, dict)
        assert isinstance(other, dict)
        return {key: one.get(key, 0) + other.get(key, 0) for key in {**one, **other}}

    return WindowCounts(
        window,
        sums(left.numbers, right.numbers),
        sums(left.unlisted, right.unlisted),
    )


def state_of(counts: WindowCounts | None, source: str = "parquet", length: int = 10) -> PackageState:
    return PackageState(A, source, (WindowState(length, counts, length),))


@given(st.lists(raw_rows), st.randoms(use_true_random=False), st.integers(1, 9))
def test_a_window_equals_the_sum_of_its_days_in_any_order_and_grouping(
    rows: list[Row], random: object, cut: int
) -> None:
    whole = Window(10, LAST)
    shuffled = sorted(rows, key=lambda _: random.random())  # type: ignore[attr-defined]
    split = FIRST + timedelta(days=cut - 1)
    left, right = count(rows, Window(cut, split)), count(shuffled, Window(10 - cut, LAST))
    assert count(shuffled, whole) == add(left, right, whole)


@given(st.lists(raw_rows))
def test_a_window_counts_each_raw_download_of_its_package_once(rows: list[Row]) -> None:
    counts = count(rows, Window(10, LAST))
    assert counts.raw == sum(r["downloads"] for r in rows if r["package"] == "a")
    assert counts.honest == sum_counts(counts.by(INSTALLER).values())
    assert (sum_counts(counts.by(SYSTEM).values()) or 0) <= counts.honest


@given(st.lists(raw_rows), st.lists(winnowed_rows, min_size=1))
def test_adding_a_ci_mirror_or_unknown_row_never_changes_a_badge(rows: list[Row], more: list[Row]) -> None:
    before, after = count(rows, Window(10, LAST)), count([*rows, *more], Window(10, LAST))
    assert after.raw > before.raw
    badges = [badges_of(state_of(counts), today=LAST, stale_threshold_days=3) for counts in (before, after)]
    assert [b for b in badges[0] if b.slug != "honest-share"] == [b for b in badges[1] if b.slug != "honest-share"]


def test_a_package_without_a_row_in_a_covered_window_has_zero_and_not_nothing() -> None:
    counts = count([], Window(10, LAST))
    assert counts.raw == 0
    assert dict(counts.categories) == dict.fromkeys(CATEGORIES, 0)


@given(st.sets(days), st.integers(1, 12))
def test_the_newest_window_is_the_newest_run_of_covered_days(covered: set[date], length: int) -> None:
    found = newest_window(length, covered.__contains__, start=FIRST, through=LAST)
    ends = [
        FIRST + timedelta(days=n)
        for n in range(length - 1, 10)
        if all(FIRST + timedelta(days=n - back) in covered for back in range(length))
    ]
    assert found == (Window(length, ends[-1]) if ends else None)
    assert count_covered(10, covered.__contains__, LAST) == len(covered)


@given(st.sets(days), st.integers(1, 12))
def test_the_window_of_all_days_is_the_longest_run_that_has_not_ended_long_ago(
    covered: set[date], max_wait: int
) -> None:
    found = whole_window(covered.__contains__, start=FIRST, through=LAST, max_wait=max_wait)
    runs = [
        (length, end)
        for end in sorted(covered)
        if (LAST - end).days < max_wait
        for length in range(1, 11)
        if all(end - timedelta(days=back) in covered for back in range(length))
    ]
    assert found == (Window(*max(runs)) if runs else None)


def test_an_older_window_does_not_replace_a_published_one_and_an_equal_one_does() -> None:
    rows = [row(LAST, "a", downloads=5)]
    old, new = count([], Window(9, LAST - timedelta(days=1))), count(rows, Window(9, LAST))
    reread = count([*rows, *rows], Window(9, LAST))
    assert keep_newest(state_of(new, length=9), state_of(old, length=9)).headline.counts == new
    assert keep_newest(state_of(old, length=9), state_of(new, length=9)).headline.counts == new
    assert keep_newest(state_of(new, length=9), state_of(reread, length=9)).headline.counts == reread
    assert keep_newest(state_of(new, length=9), state_of(None, length=9)).headline.counts == new


def test_an_unlisted_installer_that_calls_itself_others_keeps_its_count() -> None:
    named = {f"installer-{n}": 10 for n in range(MAX_UNLISTED)}
    assert top_unlisted({**named, "x": 1, "y": 2}) == {**named, "others": 3}
    found = top_unlisted({**named, "others": 500, "all others": 400, "x": 1})
    assert (found["others"], found["all others"], found["all all others"]) == (500, 400, 10 + 10 + 1)
    assert sum(found.values()) == 10 * MAX_UNLISTED + 901
