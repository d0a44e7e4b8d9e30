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
from winnow_dagster.site.chart import plot, share_bar, sparkline

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
    missing = days - 1 - len([n for n in ago if n < days])
    assert bars(shown.svg, "missing") == missing
    assert (f"{missing} days missing" in shown.summary) == (missing > 0)
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
    assert all(12 <= high <= low <= 230 for found in ends for low, high in found)
    for below, above in itertools.pairwise(ends):
        assert all(abs(high - low) <= 0.11 for (_, high), (low, _) in zip(below, above, strict=True))


def test_nothing_stored_cannot_be_plotted() -> None:
    with pytest.raises(ValueError, match="no day to plot"):
        plot(History.empty(), 30, "x")
    assert sparkline(History.empty(), 30) == ""


def test_a_line_is_broken_where_a_day_is_missing() -> None:
    drawn = ET.fromstring(sparkline(history({0: 1, 1: 2, 3: 3, 9: 1}), 30))
    assert drawn[0].get("d", "").count("M") == 3
    assert drawn.get("aria-label") == "1 to 3 honest downloads a day in 4 days"


@given(st.lists(st.integers(0, 10**12), min_size=7, max_size=7))
def test_the_parts_of_the_bar_fill_it(counts: list[int]) -> None:
    told = WindowCounts(Window(1, LAST), {"raw": sum(counts), **dict(zip(CATEGORIES, counts, strict=True))})
    if sum(counts) == 0:
        assert share_bar(told) == ""
        return
    paths = [e.get("d", "") for e in ET.fromstring(share_bar(told))]
    widths = [float(re.findall(r"h([\d.e-]+)", path)[0]) for path in paths]
    assert abs(sum(widths) - 120) < 0.1
