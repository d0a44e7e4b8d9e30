"""A spark line shows each day, or the average of several, and breaks where a day is missing."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from winnow_dagster.site.spark import HEIGHT, MAX_POINTS, WIDTH, sparkline


def points(svg: str) -> list[tuple[int, int]]:
    """Return the absolute points of a spark line."""
    found: list[tuple[int, int]] = []
    for command, x, y in re.findall(r"([Ml])(-?\d+) ?(-?\d+)", ET.fromstring(svg)[0].get("d", "")):
        before = found[-1] if command == "l" else (0, 0)
        found.append((before[0] + int(x), before[1] + int(y)))
    return found


def test_no_day_has_no_line() -> None:
    assert sparkline([]) == sparkline([None, None]) == ""


def test_a_line_is_broken_where_a_day_is_missing() -> None:
    drawn = ET.fromstring(sparkline([1, None, 3, None, None, 2, 1]))
    assert drawn[0].get("d", "").count("M") == 3
    assert drawn.get("aria-label") == "1 to 3 honest downloads a day in 4 days"


def test_a_long_window_has_the_averages_of_as_many_days_each_the_newest_last() -> None:
    drawn = points(sparkline([8] * 335 + [0] * 13))
    # Of 12 days each, without the 0 oldest ones; the last point has days of 0 only.
    assert len(drawn) == 29
    assert drawn[-1][1] == HEIGHT - 2
    assert drawn[-2][1] == HEIGHT - 2 - round(24 * 11 / 12)


@given(st.lists(st.one_of(st.none(), st.integers(0, 2**60)), max_size=400))
def test_no_point_leaves_the_picture(counts: list[int | None]) -> None:
    svg = sparkline(counts)
    drawn = points(svg) if svg else []
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in drawn)
    assert len(drawn) <= MAX_POINTS
