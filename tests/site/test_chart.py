"""Charts: what is missing is shown as missing, what is provisional is marked, and the parts add up."""

from __future__ import annotations

import itertools
import re
from datetime import date, timedelta
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow_dagster.core.categories import CATEGORIES
from winnow_dagster.core.history import NUMBERS, Day, History
from winnow_dagster.core.window import Window, WindowCounts
from winnow_dagster.site.chart import plot, share_bar
from winnow_dagster.site.scale import BOTTOM, HEIGHT, TOP, Scale, bins_of

LAST = date(2025, 6, 30)


def history(days: dict[int, int], provisional: frozenset[int] = frozenset()) -> History:
    """Return days, so many ago, each with so many honest downloads and as many of each other category."""
    filled = (
        Day(
            LAST - timedelta(days=ago),
            ago in provisional,
            (len(CATEGORIES) * count, *[count] * (len(NUMBERS) - 1)),
        )
        for ago, count in days.items()
    )
    return History(tuple(sorted(filled)))


def bars(svg: str, style: str) -> int:
    """Return how many bars there are of a category."""
    found = [e.get("d", "") for e in ET.fromstring(svg) if e.get("class") == style]
    return sum(path.count("M") for path in found)


@given(st.sets(st.integers(1, 120)), st.sampled_from([30, 90, 365]))
def test_a_day_without_a_row_is_shown_as_missing_and_one_without_downloads_is_not(ago: set[int], days: int) -> None:
    shown = plot(history({0: 5, **dict.fromkeys(ago, 0)}), days, "x")
    known = {0, *(n for n in ago if n < days)}
    missing = days - len(known)
    assert (f"{missing} days missing" in shown.summary) == (missing > 0)
    length = 7 if days >= 120 else 1
    places = [sum(n in known for n in range(at * length, (at + 1) * length)) for at in range(days // length)]
    assert bars(shown.svg, "missing") == places.count(0)
    assert bars(shown.svg, "gap") == sum(0 < place < length for place in places)
    assert [bars(shown.svg, f"c-{category}") for category in CATEGORIES] == [1] * 7


def test_provisional_days_are_marked_and_told() -> None:
    shown = plot(history({0: 5, 1: 5, 2: 5}, frozenset({0, 1})), 30, "x")
    assert bars(shown.svg, "provisional") == 2
    assert "2 provisional" in shown.summary
    assert "2025-06-30: 5 honest of 35 raw, provisional" in shown.svg
    assert "2025-06-27: missing" in shown.svg


@given(st.lists(st.integers(0, 2**60), min_size=1, max_size=30))
def test_no_bar_leaves_the_chart_and_the_categories_stand_on_each_other(counts: list[int]) -> None:
    svg = plot(history(dict(enumerate(counts))), 30, "x").svg
    ends = []
    for category in CATEGORIES:
        path = "".join(e.get("d", "") for e in ET.fromstring(svg) if e.get("class") == f"c-{category}")
        ends.append([(float(low), float(high)) for low, high in re.findall(r"M[\d.]+ ([\d.]+)h[\d.]+V([\d.]+)", path)])
    assert all(TOP <= high <= low <= HEIGHT - BOTTOM for found in ends for low, high in found)
    for below, above in itertools.pairwise(ends):
        assert all(abs(high - low) <= 0.11 for (_, high), (low, _) in zip(below, above, strict=True))


def test_a_bar_of_a_long_chart_is_the_average_day_of_a_week_over_its_known_days() -> None:
    days = dict.fromkeys(range(365), 10)
    del days[1]
    shown = plot(history(days), 365, "x")
    assert bars(shown.svg, "c-honest") == 52
    assert "2025-06-24 to 2025-06-30: 10 honest of 70 raw a day, 1 days missing</title>" in shown.svg
    assert shown.summary.endswith("1 days missing, each bar the average day of a week")


@given(st.integers(1, 10**12))
def test_the_axis_ends_at_the_largest_value_with_whole_numbers_on_two_to_four_lines(most: int) -> None:
    scale = Scale(30, most)
    assert scale.top == most
    assert scale.step == int(scale.step)
    assert most < 4 or 1 <= most // scale.step <= 4


def test_weeks_begin_at_120_days() -> None:
    assert [len(bins_of(set(), LAST - timedelta(days=days - 1), LAST)) for days in (119, 120)] == [119, 17]


def test_the_axis_names_the_year_where_there_are_two() -> None:
    assert ">30 Jun</text>" in plot(history({0: 1}), 90, "x").svg
    assert ">30 Jun 2025</text>" in plot(history({0: 1}), 365, "x").svg


def test_short_days_releases_and_the_change_of_the_log_are_marked() -> None:
    found = history(dict.fromkeys(range(90), 5))
    found = History((*found.days[:-1], found.days[-1]._replace(is_short=True)))
    shown = plot(found, 90, "x", releases=[("1.0<", LAST - timedelta(days=50)), ("0.9", LAST - timedelta(days=300))])
    assert "1 with lost rows" in shown.summary
    assert "2025-06-30: 5 honest of 35 raw, rows lost" in shown.svg
    assert [bars(shown.svg, style) for style in ("short", "release", "event")] == [1, 1, 0]
    assert "1.0&lt;: first download 2025-05-11" in shown.svg
    later = History(tuple(day._replace(date=day.date + timedelta(days=420)) for day in found.days))
    assert bars(plot(later, 90, "x").svg, "event") == 1


def test_nothing_stored_cannot_be_plotted() -> None:
    with pytest.raises(ValueError, match="no day to plot"):
        plot(History.empty(), 30, "x")


@given(st.lists(st.integers(0, 10**12), min_size=7, max_size=7))
def test_the_parts_of_the_bar_fill_it(counts: list[int]) -> None:
    told = WindowCounts(Window(1, LAST), {"raw": sum(counts), **dict(zip(CATEGORIES, counts, strict=True))})
    if sum(counts) == 0:
        assert share_bar(told) == ""
        return
    paths = [e.get("d", "") for e in ET.fromstring(share_bar(told))]
    widths = [float(re.findall(r"h([\d.e-]+)", path)[0]) for path in paths]
    assert abs(sum(widths) - 120) < 0.1
