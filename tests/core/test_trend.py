"""A window is compared with the one before only if both are whole, by one definition, and without a short day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from winnow_dagster.core.definition import Definition
from winnow_dagster.core.history import NUMBERS, Day, History
from winnow_dagster.core.trend import ASCII, BLOCKS, compare, daily, spark, sum_newest, usual_change
from winnow_dagster.core.window import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

AS_OF = date(2026, 11, 20)
WINDOW = Window(3, AS_OF)


def day(back: int, honest: int = 10, definition: Definition = Definition.FILES, *, is_short: bool = False) -> Day:
    numbers = tuple(honest if name == "honest" else 99 for name in NUMBERS)
    return Day(AS_OF - timedelta(days=back), False, numbers, definition, is_short)  # noqa: FBT003 - not provisional


def history(days: Sequence[Day]) -> History:
    return History(tuple(sorted(days)))


def test_the_window_before_ends_where_the_window_begins() -> None:
    change = compare(history([day(back, honest=[1, 2, 3, 4, 5, 6, 100][back]) for back in range(7)]), WINDOW)
    assert (change.before, change.honest, change.why_not) == (Window(3, date(2026, 11, 17)), 15, "")
    assert change.ratio(6) == pytest.approx(-0.6)


def test_from_nothing_there_is_no_ratio() -> None:
    change = compare(history([day(back, honest=0) for back in range(6)]), WINDOW)
    assert (change.honest, change.ratio(5)) == (0, None)


@pytest.mark.parametrize(
    ("days", "why"),
    [
        ([day(back) for back in range(3)], "only 0 of the 3 days before are read"),
        ([day(back) for back in range(5)], "only 2 of the 3 days before are read"),
        ([day(back) for back in (0, 1, 3, 4, 5)], "days are missing"),
        ([*map(day, range(5)), day(5)._replace(source="bigquery")], "days before are from another source"),
        ([*map(day, range(5)), day(5, is_short=True)], "PyPI's log lacks rows of 2026-11-15"),
        ([*map(day, range(1, 6)), day(0, is_short=True)], "PyPI's log lacks rows of 2026-11-20"),
        ([*map(day, range(5)), day(5, definition=Definition.REQUESTS)], "days before count other files too"),
    ],
)
def test_windows_that_cannot_be_compared_say_why(days: Sequence[Day], why: str) -> None:
    change = compare(history(days), WINDOW)
    assert (change.honest, change.why_not) == (None, why)


def test_the_newest_days_are_summed_with_their_short_days() -> None:
    counts = sum_newest(history([day(2, 100), day(1, 7, is_short=True), day(0, 5)]), 2)
    assert counts
    assert (counts.window, counts.honest, counts.raw) == (Window(2, AS_OF), 12, 198)
    assert counts.short_days == (date(2026, 11, 19),)


@pytest.mark.parametrize(
    "days",
    [
        [],
        [day(0), day(1)],
        [day(0), day(1), day(3)],
        [day(0), day(1), day(2)._replace(source="bigquery")],
        [day(0), day(1), day(2, definition=Definition.REQUESTS)],
        [day(0), day(1), day(2)._replace(numbers=(None,) * len(NUMBERS))],
    ],
)
def test_days_that_do_not_add_up_have_no_sum(days: Sequence[Day]) -> None:
    assert sum_newest(history(days), 3) is None


def test_the_usual_change_is_the_median_from_week_to_week_of_comparable_weeks() -> None:
    weeks = [110, 100, 50, 100]  # +10 %, +100 %, -50 %
    days = [day(back, honest=weeks[back // 7]) for back in range(28)]
    assert usual_change(history(days), AS_OF) == pytest.approx(0.5)
    assert usual_change(history(days[:21]), AS_OF) is None
    assert usual_change(history([*days[:3], day(3, is_short=True), *days[4:]]), AS_OF) is None
    assert usual_change(history([]), AS_OF) is None


def test_a_missing_day_has_no_count() -> None:
    assert list(daily(history([day(0, 7), day(2, 5)]), WINDOW).values()) == [5, None, 7]


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        ([0, 7, 14], "_+@"),
        ([7, None, 14], "+ @"),
        ([0, 0], "__"),
        ([], ""),
        ([None], " "),
    ],
)
def test_a_spark_line_is_scaled_from_0_and_blank_where_a_day_is_missing(counts: list[int | None], line: str) -> None:
    assert spark(counts, ASCII, 60) == line


def test_more_days_than_marks_are_averaged_and_the_newest_mark_has_as_many_days_as_the_others() -> None:
    assert spark([0, 14, 14, 0, 0], BLOCKS, 3) == "▁█▁"
    assert len(spark(list(range(365)), BLOCKS, 60)) <= 60
