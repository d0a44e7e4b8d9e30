"""Lists compare windows of the same number of days, or keep those of others apart."""

from __future__ import annotations

import pytest

from tests.core.test_remarks import state, window
from winnow_dagster.core.window import ALL, WindowState
from winnow_dagster.site.comparison import common_length, name_window, rank, shown_window


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
