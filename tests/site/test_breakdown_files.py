"""The files of breakdowns: computed days replace published ones, and all other published days stay."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.site.broken_down import DAY, READ_AT, ago, breakdowns
from winnow_dagster.core.breakdowns import PackageBreakdowns
from winnow_dagster.core.days import Package
from winnow_dagster.core.history import NUMBERS, History
from winnow_dagster.core.window import ALL, PackageState, Window, WindowCounts, WindowState
from winnow_dagster.site.breakdown_days import merge_days, read_days, sum_days
from winnow_dagster.site.breakdown_files import (
    BREAKDOWN_FILES,
    BadgeNumber,
    PublishedBreakdowns,
    format_breakdowns,
    parse_breakdowns,
    renew,
)

Files = dict[str, bytes]


def state(length: int = 3, as_of: date = DAY, *, source: str = "bigquery", days: int | None = None) -> PackageState:
    counts = WindowCounts(Window(length, as_of), dict.fromkeys(NUMBERS, 0))
    return PackageState("a", source, (WindowState(length if days is None else days, counts, length),))


def published(files: Files, found: PackageState, computed: PackageBreakdowns) -> Files:
    """Return the files after one more publication."""
    renewed = renew(Package(found, History.empty(), computed), files.get)
    assert renewed
    return {**files, **renewed[1], "breakdowns.json": format_breakdowns("a", renewed[0])}


def pythons(*days: date, honest: int = 2, ci: int = 1, value: str = "3.12") -> PackageBreakdowns:
    return breakdowns(("python",), {day: {"python": {value: (honest, ci)}} for day in days})


def lines(files: Files, dimension: str = "python") -> list[str]:
    return files[f"{dimension}.csv"].decode().splitlines()


def test_a_package_without_breakdowns_has_no_file_of_them() -> None:
    assert renew(Package(state(), History.empty()), lambda _: None) is None


def test_days_are_lines_of_values_oldest_first_and_versions_in_order() -> None:
    counts = {"3.9": (1, 5), "3.12": (4, 0), "": (0, 2), "2.7": (1, 1), "nonsense": (1, 0)}
    files = published(
        {}, state(), breakdowns(("python",), {ago(1): {"python": {"3.12": (7, 7)}}, DAY: {"python": counts}})
    )
    assert lines(files) == [
        "date,python,honest,ci",
        "2025-06-29,3.12,7,7",
        "2025-06-30,nonsense,1,0",
        "2025-06-30,2.7,1,1",
        "2025-06-30,3.9,1,5",
        "2025-06-30,3.12,4,0",
        "2025-06-30,,0,2",
    ]


def test_other_dimensions_are_sorted_by_text() -> None:
    countries = {"US": (1, 0), "": (1, 0), "DE": (1, 0)}
    files = published({}, state(), breakdowns(("country",), {DAY: {"country": countries}}))
    assert [line.split(",")[1] for line in lines(files, "country")[1:]] == ["DE", "US", ""]


@given(st.dictionaries(st.text(max_size=8), st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=5))
def test_a_value_of_any_text_stays_in_its_line(values: dict[str, tuple[int, int]]) -> None:
    computed = breakdowns(("cpu",), {ago(1): {"cpu": {"x": (1, 1)}}, DAY: {"cpu": values}})
    content = merge_days("cpu", None, computed, {ago(1), DAY})
    rows = list(csv.reader(io.StringIO(content.decode())))
    assert len(rows) == 2 + len(values)
    assert all(len(row) == 4 for row in rows)
    assert content.count(b"\n") == len(rows)
    total = sum_days(read_days("cpu", content), "cpu", DAY, DAY)
    assert sum(total.honest.values()) == sum(honest for honest, _ in values.values())
    # Read back and written again, the file is the same.
    assert merge_days("cpu", content, computed, {DAY}) == content


def test_a_value_cannot_forge_a_line() -> None:
    files = published({}, state(), pythons(DAY, value='x"\n2020-01-01,3.12,9,9'))
    assert lines(files)[1:] == ['2025-06-30,"x""\\n2020-01-01,3.12,9,9",2,1']


days = st.sets(st.integers(0, 40), max_size=12)


@given(days, days)
def test_computed_days_replace_published_ones_and_all_others_stay(before: set[int], now: set[int]) -> None:
    first = published({}, state(), pythons(*map(ago, before), honest=5))
    files = published(first, state(), pythons(*map(ago, now), honest=7))
    expected = {ago(n): 5 for n in before} | {ago(n): 7 for n in now}
    assert lines(files)[1:] == [f"{day},3.12,{count},1" for day, count in sorted(expected.items())]
    ranges = parse_breakdowns(files["breakdowns.json"]).days["python"]
    assert {first + timedelta(n) for first, last in ranges for n in range((last - first).days + 1)} == set(expected)


def test_a_day_whose_dimension_is_no_longer_known_keeps_its_lines() -> None:
    files = published({}, state(), pythons(ago(1), DAY))
    assert published(files, state(), breakdowns(("python",), {DAY: {}})) == files


def test_a_known_day_without_downloads_loses_its_lines_and_stays_known() -> None:
    files = published({}, state(), pythons(ago(1), DAY))
    files = published(files, state(), breakdowns(("python",), {DAY: {"python": {}}}))
    assert lines(files)[1:] == ["2025-06-29,3.12,2,1"]
    assert parse_breakdowns(files["breakdowns.json"]).days["python"] == [(ago(1), DAY)]


def test_a_damaged_file_of_days_is_written_again() -> None:
    files = published({}, state(), pythons(DAY))
    assert published({**files, "python.csv": b"<html>"}, state(), pythons(DAY)) == files


@pytest.mark.parametrize("content", [None, b"<html>"])
def test_days_whose_lines_are_lost_are_not_known_any_more(content: bytes | None) -> None:
    files = published({}, state(), pythons(ago(2), ago(1), DAY))
    lost = {"breakdowns.json": files["breakdowns.json"]} | ({"python.csv": content} if content else {})
    files = published(lost, state(), pythons(DAY))
    assert lines(files)[1:] == ["2025-06-30,3.12,2,1"]
    assert parse_breakdowns(files["breakdowns.json"]).days["python"] == [(DAY, DAY)]


def test_a_window_has_a_breakdown_only_where_every_day_is_known() -> None:
    files = published({}, state(3), pythons(ago(1), DAY))
    assert json.loads(files["breakdowns.json"])["windows"] == {}
    files = published(files, state(3), pythons(ago(2), ago(1), DAY))
    assert json.loads(files["breakdowns.json"])["windows"] == {
        "3": {
            "first_day": "2025-06-28",
            "as_of": "2025-06-30",
            "python": {"honest": {"3.12": 6}, "ci": {"3.12": 3}},
        }
    }


def test_all_days_have_a_window_too() -> None:
    files = published({}, state(2, days=ALL), pythons(ago(1), DAY))
    assert json.loads(files["breakdowns.json"])["windows"]["all"]["first_day"] == "2025-06-29"
    assert parse_breakdowns(files["breakdowns.json"]).windows[ALL]["python"].honest == {"3.12": 4}


def test_a_newer_published_window_keeps_its_breakdown_and_no_other_one() -> None:
    files = published({}, state(2), pythons(ago(1), DAY))
    kept = published(files, state(2), pythons(ago(2), ago(1), honest=9))
    assert parse_breakdowns(kept["breakdowns.json"]).windows[2]["python"].honest == {"3.12": 4}
    moved = published(files, state(2, DAY + timedelta(1)), pythons(DAY))
    assert parse_breakdowns(moved["breakdowns.json"]).windows == {}


def test_the_newest_reading_is_kept() -> None:
    later = READ_AT + timedelta(hours=5)
    files = published({}, state(), replace(pythons(DAY), read_until=later))
    files = published(files, state(), pythons(DAY))
    assert parse_breakdowns(files["breakdowns.json"]).read_until == later


def test_a_dimension_that_nobody_asks_for_any_more_stays_as_it_is() -> None:
    both = breakdowns(("python", "cpu"), {DAY: {"python": {"3.12": (1, 1)}, "cpu": {"arm64": (1, 1)}}})
    files = published({}, state(1), both)
    assert published(files, state(1), pythons(DAY, honest=1)) == files
    assert published(files, state(1), PackageBreakdowns()) == files


def test_real_days_replace_sample_days_and_never_mix_with_them() -> None:
    both = breakdowns(("python", "cpu"), {ago(1): {"python": {"3.12": (1, 1)}, "cpu": {"arm64": (1, 1)}}})
    sample = published({}, state(1, source="sample"), both)
    files = published(sample, state(1), pythons(DAY))
    assert json.loads(files["breakdowns.json"])["source"] == "bigquery"
    assert parse_breakdowns(files["breakdowns.json"]).days == {"python": [(DAY, DAY)]}
    assert lines(files)[1:] == ["2025-06-30,3.12,2,1"]
    assert lines(files, "cpu") == ["date,cpu,honest,ci"]


def test_breakdowns_are_read_back_as_written() -> None:
    found = renew(Package(state(2), History.empty(), pythons(ago(1), DAY)), lambda _: None)
    assert found
    written = replace(found[0], badges={"pythons-30d-non-ci": BadgeNumber("3.12", 9, DAY)})
    assert parse_breakdowns(format_breakdowns("a", written)) == written


@pytest.mark.parametrize(
    "content", [None, b"", b"[]", b"{", b'{"format": 2}', b'{"format": 1}', b'{"format": 1, "days": 5}']
)
def test_a_missing_damaged_or_foreign_file_has_no_breakdown(content: bytes | None) -> None:
    assert parse_breakdowns(content) == PublishedBreakdowns()


@given(st.integers(2, 90), st.integers(1, 20), st.integers(0, 60))
def test_a_window_is_the_sum_of_the_lines_of_its_days(stored: int, length: int, shift: int) -> None:
    found = {ago(n): {"python": {f"3.{n % 4}": (n + 1, 2 * n), "": (1, 0)}} for n in range(stored)}
    window = Window(length, ago(shift))
    files = published({}, state(length, window.as_of), breakdowns(("python",), found))
    by_length = parse_breakdowns(files["breakdowns.json"]).windows
    if window.first_day not in found or window.as_of not in found:
        assert by_length == {}
        return
    honest: Counter[str] = Counter()
    for line in lines(files)[1:]:
        day, value, mine, _ = line.split(",")
        honest[value] += int(mine) * (str(window.first_day) <= day <= str(window.as_of))
    assert by_length[length]["python"].honest == {value: count for value, count in honest.items() if count}


def test_only_the_files_of_breakdowns_are_written() -> None:
    every = breakdowns(tuple(name.removesuffix(".csv") for name in BREAKDOWN_FILES[1:]), {DAY: {}})
    assert set(published({}, state(), every)) == set(BREAKDOWN_FILES)
