"""A short day is told from a quiet one by its number of rows over all packages."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from winnow_dagster.core.completeness import (
    Judgement,
    have_grown,
    is_read_anyway,
    is_recheck_due,
    judge_days,
)
from winnow_dagster.core.definition import LAST_MIXED_DAY

DAY = date(2026, 11, 20)
WEEKDAY, WEEKEND = 1_000_000, 600_000


def usual(last: date, days: int = 57) -> dict[date, int]:
    """Return rows of the days up to `last`, fewer on weekends."""
    every = [last - timedelta(days=n) for n in range(days)]
    return {day: WEEKEND if day.weekday() >= 5 else WEEKDAY for day in every}


def judge(rows: dict[date, int], day: date = DAY) -> Judgement:
    return judge_days(rows)[day]


def test_a_day_like_its_weekday_is_whole() -> None:
    assert judge(usual(DAY)) == Judgement(WEEKDAY, WEEKDAY, is_short=False)


def test_a_day_with_a_hundredth_of_its_rows_is_short() -> None:
    assert judge(usual(DAY) | {DAY: 10_000}) == Judgement(10_000, WEEKDAY, is_short=True)


def test_a_holiday_that_looks_like_a_sunday_is_whole() -> None:
    assert not judge(usual(DAY) | {DAY: 460_000}).is_short


def test_a_day_is_short_below_both_bounds_only() -> None:
    # Below half of 1,000,000, and below three quarters of 600,000.
    assert judge(usual(DAY) | {DAY: 449_999}).is_short
    assert not judge(usual(DAY) | {DAY: 450_000}).is_short


def test_short_days_are_left_out_of_the_comparison() -> None:
    rows = usual(DAY, 120)
    lost = {DAY - timedelta(weeks=n): 10_000 for n in range(1, 4)}
    assert judge(rows | lost) == Judgement(WEEKDAY, WEEKDAY, is_short=False)
    assert judge(rows | lost | {DAY: 20_000}).is_short


def test_with_fewer_than_four_days_to_compare_a_day_is_not_judged() -> None:
    three_weeks = usual(DAY, 28) | {DAY: 10_000}
    assert judge(three_weeks) == Judgement(10_000, None, is_short=False)
    four_weeks = usual(DAY, 29) | {DAY: 10_000}
    assert judge(four_weeks).is_short


def test_an_export_of_so_few_rows_that_chance_decides_is_not_judged() -> None:
    assert judge(dict.fromkeys(usual(DAY), 99) | {DAY: 1}) == Judgement(1, None, is_short=False)
    assert judge(dict.fromkeys(usual(DAY), 100) | {DAY: 1}).is_short


def test_a_day_without_a_row_is_short_even_where_nothing_can_be_compared() -> None:
    assert judge({DAY: 0}) == Judgement(0, None, is_short=True)
    assert judge({LAST_MIXED_DAY: 0}, LAST_MIXED_DAY).is_short


def test_days_on_the_other_side_of_the_change_are_not_compared() -> None:
    after = LAST_MIXED_DAY + timedelta(days=4)
    rows = usual(after, 60) | {after: 10_000}
    assert judge(rows, after) == Judgement(10_000, None, is_short=False)


def test_the_day_of_the_change_is_neither_judged_nor_compared_with() -> None:
    assert judge(usual(LAST_MIXED_DAY) | {LAST_MIXED_DAY: 1}, LAST_MIXED_DAY).usual is None
    before = LAST_MIXED_DAY - timedelta(days=1)
    assert judge(usual(before) | {before: 10_000}, before).is_short


def test_a_short_day_is_counted_from_the_fourteenth_day_after_it_on() -> None:
    midnight = datetime(2026, 12, 4, tzinfo=UTC)
    assert not is_read_anyway(DAY, midnight - timedelta(microseconds=1))
    assert is_read_anyway(DAY, midnight)


def test_the_rows_of_a_marked_day_are_asked_for_once_a_day_for_ninety_days() -> None:
    now = datetime(2026, 12, 10, 4, tzinfo=UTC)
    assert is_recheck_due(DAY, None, now)
    assert is_recheck_due(DAY, now - timedelta(days=1), now)
    assert not is_recheck_due(DAY, now - timedelta(hours=1), now)
    assert not is_recheck_due(DAY, None, now + timedelta(days=90))


def test_rows_have_come_back_once_there_are_a_tenth_more() -> None:
    assert not have_grown(100, 109)
    assert have_grown(100, 110)
    assert not have_grown(0, 0)
    assert have_grown(0, 1)
    assert not have_grown(None, 110)
    assert not have_grown(100, None)
