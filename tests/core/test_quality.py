"""Without the number of rows, few downloads of all entries are suspicious, and no downloads count as lost rows."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from tests.conftest import NOW
from winnow_dagster.core.coverage import Coverage, ReadingFacts
from winnow_dagster.core.names import Selector
from winnow_dagster.core.quality import QuietDayFinder, QuietDays

DAY = date(2025, 6, 30)
A, B = Selector("a"), Selector("b")


def read(downloads: dict[Selector, int], rows: int | None = None, at: datetime = NOW) -> Coverage:
    facts = {selector: ReadingFacts(rows, count) for selector, count in downloads.items()}
    return Coverage(dict.fromkeys(downloads, at), facts=facts)


def quiet(today: Coverage, usual: dict[Selector, int], weeks: int = 8) -> QuietDays:
    before = {DAY - timedelta(weeks=n): read(usual) for n in range(1, weeks + 1)}
    return QuietDayFinder([A, B]).find({**before, DAY: today}, [DAY])


def test_less_than_half_of_a_thousand_is_low_and_half_is_not() -> None:
    assert quiet(read({A: 499}), {A: 1000}).low == {DAY: (499, 1000)}
    assert quiet(read({A: 500}), {A: 1000}) == QuietDays({}, {})


def test_below_a_thousand_few_downloads_say_nothing() -> None:
    assert quiet(read({A: 1}), {A: 999}) == QuietDays({}, {})


def test_none_where_a_hundred_are_usual_are_empty() -> None:
    assert quiet(read({A: 0}), {A: 100}).empty == {DAY: (0, 100)}
    assert quiet(read({A: 0}), {A: 99}) == QuietDays({}, {})


def test_all_entries_count_together() -> None:
    assert quiet(read({A: 0, B: 900}), {A: 500, B: 600}) == QuietDays({}, {})
    assert quiet(read({A: 0, B: 100}), {A: 500, B: 600}).low == {DAY: (100, 1100)}


def test_an_entry_that_was_added_later_is_compared_with_nothing() -> None:
    assert quiet(read({A: 1000, B: 0}), {A: 1000}) == QuietDays({}, {})
    assert quiet(read({A: 100, B: 5000}), {A: 1000}).low == {DAY: (5100, 1000)}


def test_with_fewer_than_four_weeks_nothing_is_judged() -> None:
    assert quiet(read({A: 0}), {A: 1000}, weeks=3) == QuietDays({}, {})
    assert quiet(read({A: 0}), {A: 1000}, weeks=4).empty


def test_a_reading_with_the_number_of_rows_is_judged_by_that() -> None:
    assert quiet(read({A: 0}, rows=10**9), {A: 1000}) == QuietDays({}, {})


def test_a_day_is_judged_again_once_it_or_a_week_before_was_read_again() -> None:
    finder = QuietDayFinder([A])
    coverage = {DAY - timedelta(weeks=n): read({A: 1000}) for n in range(5)}
    assert finder.find(coverage, [DAY]) == QuietDays({}, {})
    coverage[DAY] = read({A: 0})
    assert finder.find(coverage, [DAY]).empty == {DAY: (0, 1000)}
    del coverage[DAY - timedelta(weeks=4)]
    assert finder.find(coverage, [DAY]) == QuietDays({}, {})
