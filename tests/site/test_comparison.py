"""Lists compare windows of the same number of days, or keep those of others apart."""

from __future__ import annotations

import pytest

from tests.core.test_remarks import state, window
from tests.core.test_trend import day, history
from winnow_dagster.core.history import History
from winnow_dagster.core.window import ALL, WindowState
from winnow_dagster.site.comparison import common_length, common_lengths, name_window, rank, shown_window, window_over

MONTH = history(list(map(day, range(30))))
WEEK = history(list(map(day, range(7))))


@pytest.mark.parametrize(
    ("rows", "common"),
    [
        ([[30], [30]], 30),
        ([[7, 30], [30]], 30),
        ([[7], [30]], None),
        ([[7], [7, 30], [30]], None),
        # The headline of most, then the longest.
        ([[7, 30], [7, 30], [30, 7]], 7),
        ([[7, 30], [30, 7]], 30),
        # All days are other days in each.
        ([[ALL], [ALL]], None),
        ([[ALL, 7], [7]], 7),
        ([], None),
    ],
)
def test_the_common_length_is_one_that_all_have(rows: list[list[int]], common: int | None) -> None:
    assert common_length([state(*(window(days, 1) for days in lengths)) for lengths in rows]) == common


@pytest.mark.parametrize(
    ("rows", "lengths"),
    [
        ([([30], MONTH), ([30], MONTH)], [30]),
        # Of two configured everywhere, the headline of most is first, then the longest.
        ([([7, 30], MONTH), ([7, 30], MONTH), ([30, 7], MONTH)], [7, 30]),
        # The days of a window that the config gives to others only may be stored.
        ([([7], MONTH), ([30], MONTH)], [30, 7]),
        ([([7], WEEK), ([30], MONTH)], [7]),
        ([([3], WEEK), ([30], MONTH), ([ALL], WEEK)], [3]),
        # All days are other days in each.
        ([([ALL], MONTH), ([ALL], WEEK)], []),
        ([([30], History.empty()), ([7], History.empty())], []),
        ([([2, 3, 4, 5, 6], WEEK)], [2, 6, 5, 4]),
        ([], []),
    ],
)
def test_the_page_offers_the_windows_that_all_have(rows: list[tuple[list[int], History]], lengths: list[int]) -> None:
    found = [(state(*(window(days, 1) for days in configured)), stored) for configured, stored in rows]
    assert common_lengths(found) == lengths


def test_a_package_without_a_number_does_not_change_the_windows_of_others() -> None:
    rows = [(state(window(30, 5)), MONTH), (state(window(7, None)), History.empty())]
    assert common_lengths(rows) == [30]


def test_a_window_is_the_configured_one_or_the_sum_of_its_days() -> None:
    week = window(7, 1)
    assert window_over(state(week), MONTH, 7) is week
    summed = window_over(state(week), MONTH, 30)
    assert summed
    assert summed.counts
    assert (summed.counts.honest, summed.counts.raw) == (300, 99 * 30)
    assert window_over(state(week), MONTH, 31) is None


def test_the_window_of_the_common_length_is_shown_else_the_headline() -> None:
    week, month = window(7, 1), window(30, 2)
    assert shown_window(state(week, month), 30) == month
    assert shown_window(state(week, month), None) == week


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        (window(30, 1), "30 days"),
        (window(1, 1), "1 day"),
        (window(ALL, 1, length=45), "45 days"),
        (window(7, None), "7 days"),
        (window(ALL, None), "all days"),
    ],
)
def test_a_window_is_named_by_its_days(shown: WindowState, name: str) -> None:
    assert name_window(shown) == name


def test_rows_of_other_windows_stand_apart_and_those_without_a_number_last() -> None:
    windows = [window(7, 84), window(30, None), window(30, 147), window(7, 90), window(30, 0)]
    assert sorted(windows, key=rank) == [windows[2], windows[4], windows[3], windows[0], windows[1]]
