"""`chart.svg`: what a README shows of a package, in light and dark."""

from __future__ import annotations

from datetime import date, timedelta
from xml.etree import ElementTree as ET

import pytest

from winnow_dagster.core.days import Package
from winnow_dagster.core.history import NUMBERS, Day, History
from winnow_dagster.core.window import PackageState, WindowState
from winnow_dagster.site.chart_file import format_chart

LAST = date(2025, 6, 30)
SVG = "{http://www.w3.org/2000/svg}"


def stored(days: int) -> History:
    numbers = tuple(range(1234567, 1234567 + len(NUMBERS)))
    return History(
        tuple(Day(LAST - timedelta(days=n), provisional=True, numbers=numbers) for n in reversed(range(days)))
    )


def chart(days: int, source: str = "bigquery", package: str = "rich") -> bytes:
    return format_chart(Package(PackageState(package, source, (WindowState(30, None, 0),)), stored(days)))


@pytest.mark.parametrize(("days", "bars"), [(1, 1), (30, 30), (90, 90), (91, 13), (365, 52)])
def test_the_chart_is_small_and_has_a_bar_for_each_known_day_or_week(days: int, bars: int) -> None:
    content = chart(days)
    assert len(content) < 20_000
    paths = [e.get("d", "") for e in ET.fromstring(content).iter(f"{SVG}path") if e.get("class") == "c-honest"]
    assert sum(path.count("M") for path in paths) == bars


def test_the_chart_follows_the_colours_of_the_reader_and_loads_nothing() -> None:
    text = chart(90).decode()
    assert "--honest:#1668b8" in text.partition("@media")[0]
    assert "--honest:#58a6ff" in text.partition("@media(prefers-color-scheme:dark)")[2]
    assert "href" not in text
    assert "url(" not in text


def test_the_chart_says_of_what_it_is() -> None:
    assert "rich: honest downloads, by day, to 2025-06-30 (UTC)</title>" in chart(90).decode()
    assert "tools: honest downloads, average day of each week" in chart(365, package="_group/tools").decode()
    assert "Sample data: rich" in chart(90, source="sample").decode()


def test_without_a_day_the_chart_says_so() -> None:
    content = chart(0)
    assert [e.text for e in ET.fromstring(content).iter(f"{SVG}text")] == ["rich", "no day is read yet"]
