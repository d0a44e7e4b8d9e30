"""Short days, of which the source has lost rows: not read at first, then read and marked, then re-read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import DAY, FixedClock, House
from tests.rows import Row, row
from winnow_dagster.core.coverage import Coverage, Failure, Request
from winnow_dagster.core.names import EVERYTHING, Selector
from winnow_dagster.defs.checks import CHECKS
from winnow_dagster.sources.interface import IncompleteDaysError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conftest import MakeHouse, RowSource

USUAL, FEW = 1_000_000, 10_000
WINDOW = 3


def after(days: int) -> date:
    return DAY + timedelta(days=days)


@pytest.fixture(autouse=True)
def _rows(source: RowSource) -> None:
    source.rows = [row(after(n), "a", downloads=100) for n in range(-80, 120)]
    source.rows_of_day = {after(n): USUAL for n in range(-80, 120)}


def with_downloads(rows: Sequence[Row], downloads: int, day: date) -> list[Row]:
    return [row(day, "a", downloads=downloads) if r["date"] == day else r for r in rows]


def lose_rows(source: RowSource, day: date, left: int = FEW) -> None:
    source.rows = with_downloads(source.rows, 1, day)
    source.rows_of_day[day] = left


def bring_back(source: RowSource, day: date, rows: int = USUAL) -> None:
    source.rows = with_downloads(source.rows, 100, day)
    source.rows_of_day[day] = rows


def impatient(make_house: MakeHouse, days: int, day: date) -> House:
    """Return a house on the morning after a day, which does not wait for days that are short."""
    house = make_house({"a": (days,)}, FixedClock.after(day))
    return House(replace(house.winnow, waits=False), house.opened)


def on(make_house: MakeHouse, day: date) -> House:
    """Return the house on the morning after a day, once it has filled its gaps and published."""
    house = impatient(make_house, WINDOW, day)
    for gap in house.winnow.gaps():
        house.store(gap.first, gap.last)
    house.show()
    return house


def record(house: House) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((house.output_dir / "a" / "counts.json").read_bytes())
    return found


def window(house: House) -> dict[str, Any]:
    found: dict[str, Any] = record(house)["windows"][str(WINDOW)]
    return found


def why(house: House, name: str = "source_days_are_whole") -> dict[str, str]:
    (check,) = [check for check in CHECKS if check.name == name]
    return dict(check.judge(house.winnow).bad)


def test_what_an_interrupted_run_paid_for_is_fetched_before_anything_new_is_sent(
    make_house: MakeHouse, source: RowSource
) -> None:
    source.paid = [Request(Selector.parse("a"), after(-1), after(-1))]
    on(make_house, DAY)
    assert source.calls[:3] == ["recover", "day_rows", "read"]
    assert [(request.first, request.last) for request in source.asked] == [(after(-2), after(-2)), (DAY, DAY)]


def test_a_paid_answer_for_a_short_day_is_stored_as_short(make_house: MakeHouse, source: RowSource) -> None:
    lose_rows(source, DAY)
    house = impatient(make_house, WINDOW, DAY)
    house.store(after(-2), DAY)
    source.paid = [Request(Selector.parse("a"), DAY, DAY)]
    house.store(after(-2), DAY)
    coverage = house.winnow.raw.coverages([DAY])[DAY]
    assert coverage.covers(Selector.parse("a"))
    assert coverage.facts_of(Selector.parse("a")).is_short


def test_a_short_day_is_not_read_and_is_named_and_the_number_stays(make_house: MakeHouse, source: RowSource) -> None:
    on(make_house, DAY)
    lose_rows(source, after(1))
    source.asked.clear()
    house = on(make_house, after(1))
    assert source.asked == []
    assert window(house)["as_of"] == str(DAY)
    assert record(house)["problem"] == f"PyPI's log lacks rows of {after(1)}"
    assert why(house) == {
        str(after(1)): f"{after(1)} is short: the source has 10,000 rows of all packages, and usually about 1,000,000 "
        f"on this weekday. Winnow reads it once its rows are back, or as it is from {after(15)} on"
    }
    assert "is short" in why(house, "every_package_covered")["a"]


def test_a_run_of_the_daemon_waits_where_all_days_are_short(make_house: MakeHouse, source: RowSource) -> None:
    lose_rows(source, DAY)
    house = make_house({"a": (WINDOW,)})
    with pytest.raises(IncompleteDaysError, match="is short"):
        list(house.winnow.fetch([DAY], [], refetch=False))


def test_a_day_is_read_once_its_rows_are_back(make_house: MakeHouse, source: RowSource) -> None:
    lose_rows(source, after(1))
    on(make_house, after(1))
    bring_back(source, after(1))
    house = on(make_house, after(2))
    assert (window(house)["as_of"], window(house)["honest"]) == (str(after(2)), 300)
    assert "short_days" not in window(house)
    assert why(house) == {}


def test_days_around_a_short_day_are_read(make_house: MakeHouse, source: RowSource) -> None:
    lose_rows(source, after(-1))
    on(make_house, DAY)
    assert source.asked == [Request(Selector("a"), after(-2), after(-2)), Request(Selector("a"), DAY, DAY)]


def test_after_fourteen_days_a_short_day_is_counted_and_marked_everywhere(
    make_house: MakeHouse, source: RowSource
) -> None:
    lose_rows(source, DAY)
    waiting = impatient(make_house, 15, after(12))
    waiting.store(after(-2), after(12))
    waiting.show()
    assert record(waiting)["windows"]["15"] == {"collected_days": 14}
    house = impatient(make_house, 15, after(13))
    for gap in house.winnow.gaps():
        house.store(gap.first, gap.last)
    house.show()
    found = record(house)["windows"]["15"]
    assert (found["honest"], found["short_days"]) == (14 * 100 + 1, [str(DAY)])
    history = json.loads((house.output_dir / "a" / "history.json").read_bytes())
    assert history["short_days"] == [str(DAY)]
    health = json.loads((house.output_dir / "_health.json").read_bytes())
    assert health["packages"]["a"]["windows"]["15"]["short_days"] == [str(DAY)]
    page = (house.output_dir / "a" / "index.html").read_text()
    assert f'has lost rows of <time datetime="{DAY}">' in page
    assert why(house, "published_equals_store") == {}


def test_a_marked_day_is_read_again_once_a_tenth_of_its_rows_are_back_for_ninety_days(
    make_house: MakeHouse, source: RowSource
) -> None:
    lose_rows(source, DAY)

    def ask_on(day: date) -> list[Request]:
        source.asked.clear()
        house = impatient(make_house, 100, day)
        house.store(DAY, DAY)
        return list(source.asked)

    assert ask_on(after(13)) == [Request(Selector("a"), DAY, DAY)]
    assert ask_on(after(20)) == []
    source.rows_of_day[DAY] = int(1.09 * FEW)
    assert ask_on(after(21)) == []
    source.rows_of_day[DAY] = int(1.2 * FEW)
    assert ask_on(after(22)) == [Request(Selector("a"), DAY, DAY, is_reread=True)]
    source.rows_of_day[DAY] = 2 * FEW
    assert ask_on(after(91)) == []


def test_a_marked_day_is_a_gap_once_a_day_so_that_somebody_asks_for_its_rows(
    make_house: MakeHouse, source: RowSource
) -> None:
    lose_rows(source, DAY)
    on(make_house, after(13))
    house = impatient(make_house, 20, after(14))
    house.store(after(-5), after(14))
    assert house.winnow.gaps() == []
    tomorrow = impatient(make_house, 20, after(15))
    assert (DAY, DAY) in [(gap.first, gap.last) for gap in tomorrow.winnow.gaps()]


def test_a_marked_day_is_a_gap_beyond_the_longest_window_too(make_house: MakeHouse, source: RowSource) -> None:
    lose_rows(source, DAY)
    on(make_house, after(2))
    impatient(make_house, 20, after(13)).store(DAY, DAY)

    def has_gap(day: date) -> bool:
        return (DAY, DAY) in [(gap.first, gap.last) for gap in impatient(make_house, WINDOW, day).winnow.gaps()]

    assert has_gap(after(40))
    bring_back(source, DAY)
    house = on(make_house, after(40))
    history = json.loads((house.output_dir / "a" / "history.json").read_bytes())
    assert history["short_days"] == []
    assert not has_gap(after(41))


def test_a_marked_day_is_no_gap_after_ninety_days(make_house: MakeHouse, source: RowSource) -> None:
    lose_rows(source, DAY)
    impatient(make_house, 20, after(13)).store(DAY, DAY)
    bring_back(source, DAY)
    # What decides about other days tells the rows of this one too.
    house = impatient(make_house, 100, after(91))
    house.store(after(50), after(50))
    source.asked.clear()
    house.store(DAY, DAY)
    assert source.asked == []


def test_a_scan_tells_its_own_number_of_rows_at_each_reading(make_house: MakeHouse, source: RowSource) -> None:
    source.rows_of_day = {}
    whole = source.rows = [row(after(n), "a", downloads=1000) for n in range(-80, 120)]

    def scan(first: date, last: date, day: date) -> dict[Selector, bool]:
        house = make_house({"*": (3,)}, FixedClock.after(day))
        House(replace(house.winnow, waits=False), house.opened).store(first, last)
        coverage = house.winnow.raw.coverage(last) or Coverage()
        return {selector: coverage.facts_of(selector).is_short for selector in coverage.read}

    scan(after(-60), after(-1), after(-1))
    source.rows = with_downloads(whole, 1, DAY)
    assert scan(DAY, DAY, DAY) == {}
    source.rows = whole
    assert scan(DAY, DAY, after(13)) == {EVERYTHING: False}


def test_a_day_that_loses_rows_after_it_was_read_keeps_its_counts(make_house: MakeHouse, source: RowSource) -> None:
    house = on(make_house, DAY)
    lose_rows(source, DAY, USUAL - 1)
    source.asked.clear()
    house.store(DAY, DAY, refetch=True)
    house.show()
    # The answer would not be stored, so that nobody has to pay for it.
    assert source.asked == []
    assert window(house)["honest"] == 300
    assert why(house) == {}


def test_without_a_number_of_rows_a_day_of_few_downloads_is_read_again_after_3_10_and_30_days(
    make_house: MakeHouse, source: RowSource
) -> None:
    source.rows_of_day = {}
    source.rows = [row(after(n), "a", downloads=400 if after(n) == DAY else 1000) for n in range(-80, 120)]
    first = impatient(make_house, 60, DAY)
    first.store(after(-59), DAY)
    assert "400 downloads of all entries, and usually about 1,000" in why(first, "day_totals_are_usual")[str(DAY)]
    read = []
    for n in (1, 2, 3, 4, 9, 10, 11, 29, 30, 31, 39):
        source.asked.clear()
        house = impatient(make_house, 60, after(n))
        house.store(DAY, DAY)
        read += [n for request in source.asked if request.first == DAY]
    assert read == [3, 10, 30]


def test_without_a_number_of_rows_a_day_without_downloads_is_treated_as_short(
    make_house: MakeHouse, source: RowSource
) -> None:
    source.rows_of_day = {}
    impatient(make_house, 70, DAY).store(after(-69), DAY)
    source.rows = [r for r in source.rows if r["date"] != after(1)]
    house = on(make_house, after(1))
    assert window(house)["as_of"] == str(DAY)
    line = f"{after(1)} is short: the source has 0 downloads of all entries, and usually about 100 on this weekday"
    assert why(house)[str(after(1))].startswith(line)
    assert record(house)["problem"] == f"PyPI's log lacks rows of {after(1)}"
    assert house.winnow.gaps() == []
    source.asked.clear()
    house.store(after(1), after(1))
    assert source.asked == []
    tomorrow = impatient(make_house, WINDOW, after(2))
    assert (after(1), after(1)) in [(gap.first, gap.last) for gap in tomorrow.winnow.gaps(through=after(1))]
    for n in (2, 7, 14, 15):
        house = on(make_house, after(n))
    assert (window(house)["as_of"], window(house)["honest"]) == (str(after(15)), 300)
    fortnight = impatient(make_house, 16, after(15))
    fortnight.show()
    assert record(fortnight)["windows"]["16"]["short_days"] == [str(after(1))]


def test_after_a_short_day_a_prefix_is_asked_for_once_and_its_members_are_not(
    make_house: MakeHouse, source: RowSource
) -> None:
    lose_rows(source, DAY)
    winnow = replace(make_house({"a": (1,), "a-*": (1,), "a-b": (1,)}).winnow, waits=False)
    for _ in range(2):
        for failure in winnow.fetch([DAY], [], refetch=False):
            assert isinstance(failure, Failure)
            winnow.raw.add_failure(failure, winnow.clock.now())
    bring_back(source, DAY)
    list(winnow.fetch([DAY], [], refetch=False))
    assert [str(request.selector) for request in source.asked] == ["a", "a-*"]
