"""Verdicts: each names what breaks a rule, and finds nothing bad where the rule holds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.rows import row, to_frame
from winnow_dagster.core.categories import winnow
from winnow_dagster.core.completeness import Judgement
from winnow_dagster.core.coverage import Coverage
from winnow_dagster.core.days import Days
from winnow_dagster.core.names import EVERYTHING, Selector
from winnow_dagster.core.verdicts import (
    describe_short,
    judge_as_of,
    judge_completeness,
    judge_newest_day,
    judge_quiet_days,
    judge_sums,
    judge_totals,
    judge_unlisted,
)
from winnow_dagster.core.window import PackageState, Window, WindowCounts, WindowState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.rows import Row

DAY = date(2025, 6, 30)
AT = datetime(2025, 7, 1, 4, tzinfo=UTC)
A, B = Selector("a"), Selector("b")
PREFIX = Selector("x-", is_prefix=True)


def days_of(rows: Iterable[Row], read: dict[date, list[Selector]]) -> Days:
    coverage = {day: Coverage(dict.fromkeys(selectors, AT)) for day, selectors in read.items()}
    return Days(to_frame(rows).lazy(), coverage)


def weeks(downloads: Iterable[int], package: str = "a") -> list[Row]:
    """Return rows of DAY and of the same weekday before, newest first."""
    return [row(DAY - timedelta(weeks=n), package, downloads=count) for n, count in enumerate(downloads)]


def read_weekly(count: int, *selectors: Selector) -> dict[date, list[Selector]]:
    return {DAY - timedelta(weeks=n): list(selectors) for n in range(count)}


@pytest.mark.parametrize(("ago", "is_late"), [(0, False), (1, False), (2, True)])
def test_a_source_may_be_one_day_late(ago: int, *, is_late: bool) -> None:
    newest = DAY - timedelta(days=ago)
    verdict = judge_newest_day(days_of([], {newest: [A], newest - timedelta(days=1): [A]}), DAY)
    expected = {str(newest): f"is the newest day read, and {DAY} is due"} if is_late else {}
    assert verdict.bad == expected
    assert verdict.facts == {"newest_day": str(newest), "due_day": str(DAY)}


def test_before_the_first_day_that_counts_no_day_is_late() -> None:
    assert judge_newest_day(days_of([], {}), DAY, start=DAY + timedelta(days=1)).bad == {}
    assert judge_newest_day(days_of([], {}), DAY, start=DAY).bad == {
        "no day": f"is the newest day read, and {DAY} is due"
    }


def test_a_day_whose_reading_failed_is_not_a_day_read() -> None:
    days = Days(to_frame([]).lazy(), {DAY: Coverage(failed={A: "on fire"})})
    assert judge_newest_day(days, DAY).bad == {"no day": f"is the newest day read, and {DAY} is due"}


@pytest.mark.parametrize(("downloads", "is_bad"), [(299, True), (300, False), (2700, False), (2701, True)])
def test_a_day_with_less_than_a_third_or_more_than_three_times_its_usual_total_is_bad(
    downloads: int, *, is_bad: bool
) -> None:
    verdict = judge_totals(days_of(weeks([downloads, 900, 900, 900]), read_weekly(4, A)), [A], [DAY])
    assert set(verdict.bad) == ({str(DAY)} if is_bad else set())
    assert verdict.looked_at == 1


def test_one_unusual_week_before_does_not_decide() -> None:
    assert not judge_totals(days_of(weeks([900, 1, 900, 900, 9000]), read_weekly(5, A)), [A], [DAY]).bad
    assert not judge_totals(days_of(weeks([900, 100_000, 900, 900]), read_weekly(4, A)), [A], [DAY]).bad


def test_with_two_weeks_to_compare_no_day_is_judged() -> None:
    verdict = judge_totals(days_of(weeks([1, 900, 900]), read_weekly(3, A)), [A], [DAY])
    assert (verdict.bad, verdict.looked_at) == ({}, 0)


def test_days_of_more_than_six_weeks_ago_are_not_compared() -> None:
    downloads = [1, 900, 900, *[0] * 4, 900, 900]
    read = read_weekly(3, A) | {DAY - timedelta(weeks=n): [A] for n in (7, 8)}
    assert judge_totals(days_of(weeks(downloads), read), [A], [DAY]).looked_at == 0


def test_few_downloads_say_nothing() -> None:
    assert judge_totals(days_of(weeks([0, 99, 99, 99]), read_weekly(4, A)), [A], [DAY]).looked_at == 0
    assert judge_totals(days_of(weeks([0, 100, 100, 100]), read_weekly(4, A)), [A], [DAY]).bad


def test_a_package_that_was_added_later_is_not_compared_with_the_days_before_it() -> None:
    rows = [*weeks([900, 900, 900, 900]), row(DAY, "b", downloads=100_000)]
    read = read_weekly(4, A) | {DAY: [A, B]}
    assert not judge_totals(days_of(rows, read), [A, B], [DAY]).bad
    assert judge_totals(days_of(rows, read_weekly(4, A, B)), [A, B], [DAY]).bad == {
        str(DAY): "100,900 raw downloads, 112.11 times the usual total of its weekday"
    }


def test_the_packages_of_a_prefix_are_compared_together() -> None:
    rows = [*weeks([100, 900, 900, 900], "x-a"), *weeks([800, 0, 0, 0], "x-b"), *weeks([0, 9, 9, 9], "y")]
    assert not judge_totals(days_of(rows, read_weekly(4, PREFIX)), [PREFIX], [DAY]).bad
    assert judge_totals(days_of(rows[:4], read_weekly(4, PREFIX)), [PREFIX], [DAY]).bad


def test_a_day_that_nobody_asks_about_is_not_judged() -> None:
    days = days_of(weeks([1, 900, 900, 900]), read_weekly(4, A))
    assert judge_totals(days, [A], []).looked_at == 0
    assert judge_totals(days, [A], [DAY + timedelta(days=1)]).looked_at == 0


RAW = [
    row(DAY, "a", downloads=1000),
    row(DAY, "a", installer="conda", downloads=5),
    row(DAY, "b", ci=True, downloads=7),
    row(DAY - timedelta(days=1), "a", installer=None, downloads=9),
]
READ = {DAY: [A, B], DAY - timedelta(days=1): [A, B]}


def winnowed(rows: Iterable[Row]) -> Days:
    return days_of(rows, READ).derive(winnow)


def test_the_categories_of_winnowed_counts_sum_to_the_raw_ones() -> None:
    verdict = judge_sums(days_of(RAW, READ), winnowed(RAW))
    assert (verdict.bad, verdict.looked_at) == ({}, 3)


def test_counts_that_were_lost_or_added_are_named_by_day_and_package() -> None:
    assert judge_sums(days_of(RAW, READ), winnowed(RAW[1:])).bad == {
        f"{DAY} a": "1,005 raw downloads, and 5 in the seven categories"
    }
    assert judge_sums(days_of(RAW, READ), winnowed(RAW[:3])).bad == {
        f"{DAY - timedelta(days=1)} a": "9 raw downloads, and 0 in the seven categories"
    }
    assert judge_sums(days_of(RAW[:2], READ), winnowed(RAW[:3])).bad == {
        f"{DAY} b": "0 raw downloads, and 7 in the seven categories"
    }


def test_a_day_that_only_one_of_the_stores_has_is_compared_too() -> None:
    honest = Days(winnow(to_frame(RAW).lazy()), {DAY: Coverage()})
    raw = Days(to_frame(RAW[:3]).lazy(), {DAY - timedelta(days=1): Coverage()})
    assert list(judge_sums(raw, honest).bad) == [f"{DAY - timedelta(days=1)} a"]


def test_a_reading_that_is_not_counted_yet_breaks_no_sum() -> None:
    """B's answer waits, and A is read again: the honest counts are those of A's reading before."""
    before = AT - timedelta(days=3)
    raw = Days(to_frame(RAW[:3]).lazy(), {DAY: Coverage({A: AT, B: AT})})
    honest = Days(winnow(to_frame(RAW[:1]).lazy()), {DAY: Coverage({A: before})})
    assert judge_sums(raw, honest, uncounted_since=AT).bad == {}
    # A run that has not counted a reading for long does not exist any more.
    assert set(judge_sums(raw, honest, uncounted_since=AT + timedelta(hours=1)).bad) == {f"{DAY} a", f"{DAY} b"}
    same = Days(honest.counts, {DAY: Coverage({A: AT})})
    assert set(judge_sums(raw, same, uncounted_since=AT).bad) == {f"{DAY} a"}


@pytest.mark.parametrize(("downloads", "is_bad"), [(100, False), (101, True)])
def test_an_unlisted_installer_matters_above_a_hundredth_of_a_days_downloads(downloads: int, *, is_bad: bool) -> None:
    rows = [
        row(DAY, "a", downloads=10_000 - downloads),
        row(DAY, "a", installer="new\n", downloads=downloads - 1),
        row(DAY, "b", installer="new\n", downloads=1),
    ]
    expected = {f"{DAY} new\ufffd": f"{downloads} downloads, 1.0% of the day"} if is_bad else {}
    assert judge_unlisted(winnowed(rows)).bad == expected


def test_a_listed_installer_is_never_unlisted() -> None:
    rows = [
        row(DAY, "a", installer=name, downloads=10) for name in ("pip", "bandersnatch", "Browser", "requests", None)
    ]
    verdict = judge_unlisted(winnowed([*rows, row(DAY, "a", installer="conda", ci=True, downloads=10)]))
    assert (verdict.bad, verdict.looked_at) == ({}, 2)


def state(package: str, *ago: int | None) -> PackageState:
    windows = [
        WindowState(
            30 + n, WindowCounts(Window(30 + n, DAY - timedelta(days=days)), {}) if days is not None else None, 0
        )
        for n, days in enumerate(ago)
    ]
    return PackageState(package, "parquet", tuple(windows))


def test_each_window_older_than_the_threshold_is_named() -> None:
    verdict = judge_as_of([state("a", 3, 4), state("b", None, 0)], DAY, 3)
    four_ago = DAY - timedelta(days=4)
    assert verdict.bad == {"a (31d)": f"as of {four_ago}, which is more than 3 days ago"}
    assert (verdict.looked_at, verdict.facts) == (3, {"oldest_as_of": str(four_ago)})


def test_without_a_published_number_none_is_old() -> None:
    verdict = judge_as_of([state("a", None)], DAY, 3)
    assert (verdict.bad, verdict.looked_at, verdict.facts) == ({}, 0, {"oldest_as_of": "none"})


def test_a_quiet_day_is_named_with_its_downloads_and_the_usual_ones() -> None:
    (problem,) = judge_quiet_days({DAY: (1234, 56_789)}).items()
    assert problem[0] == str(DAY)
    assert problem[1].startswith("1,234 downloads of all entries, and usually about 56,789. Winnow reads the day again")


def test_a_short_day_is_named_with_the_day_from_which_it_is_read_as_it_is() -> None:
    lost = Judgement(10, 1000, is_short=True)
    judged = {DAY: lost, DAY - timedelta(days=1): Judgement(10, None, is_short=False)}
    verdict = judge_completeness(judged, {DAY: lost})
    assert verdict.bad == {str(DAY): describe_short(DAY, lost)}
    assert f"{DAY} is short: " in verdict.bad[str(DAY)]
    assert "as it is from 2025-07-14 on" in verdict.bad[str(DAY)]
    assert (verdict.looked_at, verdict.facts) == (2, {"days_not_judged": 1})


def test_totals_of_everything_count_each_package_once() -> None:
    rows = [*weeks([100, 900, 900, 900], "x-a"), *weeks([800, 0, 0, 0], "b")]
    days = days_of(rows, read_weekly(4, EVERYTHING))
    assert judge_totals(days, [EVERYTHING], [DAY]).bad == {}
