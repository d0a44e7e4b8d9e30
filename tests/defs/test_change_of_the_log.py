"""Days up to 2026-08-24 that an earlier release read without looking at file names: history, never part of a number."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import FixedClock, House
from tests.rows import row, to_frame
from winnow_dagster.config.settings import GroupSettings
from winnow_dagster.core.categories import winnow
from winnow_dagster.core.coverage import Coverage, end_of
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.names import Group, Selector, normalise
from winnow_dagster.core.window import ALL

if TYPE_CHECKING:
    from tests.conftest import MakeHouse, RowSource

A = Selector("a")
TODAY = LAST_MIXED_DAY + timedelta(days=3)
REQUESTS, FILES = 100, 60


def before(days: int) -> date:
    return TODAY - timedelta(days=days)


@pytest.fixture
def old(make_house: MakeHouse, source: RowSource) -> House:
    """A house whose last release read ten days and published them; the present one has read nothing yet."""
    source.rows = [row(before(n), "a", downloads=FILES) for n in range(60)]
    house = make_house({"a": (5, ALL)}, FixedClock.after(TODAY))
    for n in range(10):
        day = before(n)
        raw = to_frame([row(day, "a", downloads=REQUESTS)])
        read = {A: end_of(day) + timedelta(hours=1)}
        coverage = Coverage(legacy=read) if day <= LAST_MIXED_DAY else Coverage(read)
        house.winnow.raw.write(day, raw, coverage)
        house.winnow.honest.write(day, winnow(raw.lazy()).collect(), coverage)
    return house


def content(house: House, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((house.output_dir / "a" / name).read_bytes())
    return found


def definitions(house: House) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for day in content(house, "history.json")["days"]:
        found.setdefault(day["definition"], []).append((TODAY - date.fromisoformat(day["date"])).days)
    return found


def test_no_number_has_days_of_both_definitions_and_no_day_disappears(old: House) -> None:
    old.publish()
    assert content(old, "counts.json")["windows"]["5"] == {"collected_days": 3}
    assert definitions(old) == {"requests": [9, 8, 7, 6, 5, 4, 3], "files": [2, 1, 0]}


def test_the_window_over_all_days_does_not_start_again(old: House) -> None:
    old.publish()
    assert "as_of" not in content(old, "counts.json")["windows"]["all"]


def test_days_of_the_old_definition_are_read_again_those_of_a_window_first(old: House, source: RowSource) -> None:
    gaps = [(gap.first, gap.last) for gap in old.winnow.gaps()]
    # The window over all days asks for thirty.
    assert gaps == [(before(29), before(3))]
    for first, last in gaps:
        old.count(first, last)
    old.publish()
    windows = content(old, "counts.json")["windows"]
    assert windows["5"]["honest"] == 2 * FILES + 3 * REQUESTS
    assert (windows["all"]["first_day"], windows["all"]["honest"]) == (str(before(29)), 27 * FILES + 3 * REQUESTS)
    assert definitions(old)["files"] == list(range(29, -1, -1))
    assert "requests" not in definitions(old)
    assert {request.selector for request in source.asked} == {A}


def test_days_beyond_the_longest_window_come_last(old: House) -> None:
    later = FixedClock.after(TODAY + timedelta(days=40))
    house = type(old)(type(old.winnow)(old.winnow.settings, later, given_source=old.winnow.source), old.opened)
    gaps = [(gap.first, gap.last) for gap in house.winnow.gaps()]
    assert gaps[0][0] > TODAY
    assert gaps[-1] == (before(9), LAST_MIXED_DAY)


def test_a_group_has_no_day_on_which_its_members_are_counted_by_two_definitions(
    old: House, make_house: MakeHouse
) -> None:
    house = make_house({"a": (5,), "b": (5,)}, FixedClock.after(TODAY))
    house.count(before(9), TODAY)
    covered = house.winnow.raw.coverage(before(5))
    assert covered is not None
    assert covered.covers(A)
    assert not covered.legacy
    assert old.winnow.raw.coverage(before(5)) == covered


def test_a_group_has_no_day_of_a_prefix_of_which_one_package_is_counted_by_another_definition(
    make_house: MakeHouse,
) -> None:
    house = make_house({"a-*": (5,), "a-b": (5,)}, FixedClock.after(TODAY))
    groups = (GroupSettings(Group(normalise("g"), (Selector.parse("a-*"),)), (5,)),)
    grouped = House(replace(house.winnow, settings=replace(house.winnow.settings, groups=groups)), house.opened).winnow
    day, read = before(5), {Selector.parse("a-*"): end_of(before(5))}
    rows = [row(day, "a-b", downloads=FILES), row(day, "a-c", downloads=REQUESTS)]
    raw = to_frame(rows)
    for coverage, is_told in (
        (Coverage(legacy=read), True),
        (Coverage({Selector("a-b"): end_of(day)}, legacy=read), False),
    ):
        grouped.raw.write(day, raw, coverage)
        grouped.honest.write(day, winnow(raw.lazy()).collect(), coverage)
        described = grouped.packages(["_group/g"])["_group/g"]
        assert isinstance(described, list)
        (found,) = described
        assert [told.date for told in found.history.days] == ([day] if is_told else [])
