"""The sections of a page by open dimensions: bars, tables, cuts, charts and upgrades."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.site.broken_down import DAY, ago, believable, breakdowns
from winnow_dagster.core.badge import BadgeStyle
from winnow_dagster.core.breakdowns import Breakdown, PackageBreakdowns
from winnow_dagster.core.days import Package
from winnow_dagster.core.history import NUMBERS, History
from winnow_dagster.core.window import PackageState, Window, WindowCounts, WindowState
from winnow_dagster.site.breakdown_days import read_days
from winnow_dagster.site.breakdown_files import renew
from winnow_dagster.site.breakdown_sections import MAX_BARS, MAX_LINES, Section, format_sections
from winnow_dagster.site.folder import format_folder
from winnow_dagster.site.pythons import list_cuts, plot_pythons
from winnow_dagster.site.scale import TOP
from winnow_dagster.site.site import SiteConfig
from winnow_dagster.site.upgrades import list_upgrades

if TYPE_CHECKING:
    from collections.abc import Mapping

Counts = tuple[int, int]


def state(length: int = 1) -> PackageState:
    counts = WindowCounts(Window(length, DAY), dict.fromkeys(NUMBERS, 9))
    return PackageState("a", "bigquery", (WindowState(length, counts, length),))


def sections(computed: PackageBreakdowns, length: int = 1) -> dict[str, Section]:
    renewed = renew(Package(state(length), History.empty(), computed), lambda _: None)
    assert renewed
    found, files = renewed
    return {section.name: section for section in format_sections(state(length), found, files.get)}


def section(dimension: str, values: Mapping[str, Counts]) -> Section:
    return sections(breakdowns((dimension,), {DAY: {dimension: values}}))[dimension]


def names(found: Section) -> list[str]:
    return [line.name for line in found.bars]


def page(computed: PackageBreakdowns, length: int = 1) -> str:
    site = SiteConfig(3, styles={"a": BadgeStyle(slugs=("downloads",))})
    package = Package(state(length), History.empty(), computed)
    return format_folder(site, package, DAY + timedelta(days=1), lambda _: None)["index.html"].decode()


def test_pythons_are_in_version_order_and_not_said_is_last() -> None:
    found = section("python", {"3.9": (90, 1), "3.10": (10, 1), "": (99, 1), "3.13": (1, 9)})
    assert names(found) == ["3.13", "3.10", "3.9", "not said"]


def test_versions_are_the_ten_newest_and_the_sum_of_the_older_ones() -> None:
    found = section("version", {f"1.{n}": (n, 0) for n in range(1, 15)} | {"garbage": (7, 0)})
    assert names(found) == [*(f"1.{n}" for n in range(14, 4, -1)), "older"]
    assert found.bars[-1].honest == 1 + 2 + 3 + 4 + 7


def test_other_dimensions_are_ordered_by_honest_downloads_and_small_values_are_others() -> None:
    found = section("country", {f"C{n}": (100 - n, n) for n in range(20)} | {"": (50, 0)})
    assert names(found) == [*(f"C{n}" for n in range(MAX_BARS)), "others", "not said"]
    assert found.bars[-2][1:3] == (sum(100 - n for n in range(12, 20)), sum(range(12, 20)))


def test_values_have_the_names_that_people_use() -> None:
    assert names(section("country", {"DE": (9, 0), "XK": (1, 0)})) == ["Germany", "XK"]
    assert names(section("file_type", {"sdist": (9, 0), "bdist_wheel": (1, 0)})) == ["source (sdist)", "wheel"]


def test_a_value_has_its_share_of_the_honest_downloads_and_of_ci() -> None:
    lines = section("libc", {"glibc": (60, 1), "musl": (30, 0), "": (10, 99)}).bars
    assert [(line.honest_share, line.ci_share) for line in lines] == [
        ("60.0%", "1.0%"),
        ("30.0%", "0%"),
        ("10.0%", "99.0%"),
    ]
    widths = [re.findall(r"h([\d.]+)v", line.bar) for line in lines]
    assert [[round(float(width)) for width in pair] for pair in widths] == [[61, 1], [30, 0], [10, 100]]


values = st.dictionaries(
    st.sampled_from(["", *(f"3.{n}" for n in range(30))]), st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=1
)


@given(values, st.sampled_from(["python", "version", "country", "cpu"]))
def test_the_lines_of_a_section_sum_to_all_downloads(counts: dict[str, Counts], dimension: str) -> None:
    found = sections(breakdowns((dimension,), {DAY: {dimension: counts}})).get(dimension)
    honest, ci = (sum(each) for each in zip(*counts.values(), strict=True))
    if not honest and not ci:
        assert found is None
        return
    assert found
    for lines in (found.bars, found.table):
        assert (sum(line.honest for line in lines), sum(line.ci for line in lines)) == (honest, ci)


@given(values, st.integers(1, 9**9))
def test_one_more_ci_download_changes_no_honest_share(counts: dict[str, Counts], more: int) -> None:
    first = next(iter(counts))
    counts |= {first: (counts[first][0] + 30, counts[first][1])}
    grown = counts | {first: (counts[first][0], counts[first][1] + more)}
    one, other = (section("python", each) for each in (counts, grown))
    assert {line.name: line.honest_share for line in one.table} == {
        line.name: line.honest_share for line in other.table
    }


def test_a_table_has_a_limit_and_says_how_many_values_it_leaves_out() -> None:
    found = section("version", {f"1.{n}": (1, 1) for n in range(MAX_LINES + 50)})
    assert (len(found.table), found.left_out) == (MAX_LINES + 1, 50)
    assert found.table[-1][:3] == ("older", 50, 50)


def test_below_thirty_honest_downloads_a_section_shows_counts() -> None:
    few = breakdowns(("python",), {DAY: {"python": {"3.9": (9, 40), "3.12": (20, 60)}}})
    text = page(few)
    assert '<td class="n">9</td><td class="n">40</td>' in text
    assert "would affect <strong>9 of 29</strong> honest installs (49 of 129 all downloads)" in text
    part = text.partition('id="by-python"')[2].partition("</section>")[0]
    assert "%" not in part
    enough = breakdowns(("python",), {DAY: {"python": {"3.9": (10, 40), "3.12": (20, 60)}}})
    assert "would affect <strong>33.3%</strong> of honest installs (38.5% of all downloads)" in page(enough)


def test_a_section_that_is_known_for_a_part_of_the_window_says_since_when() -> None:
    known = {ago(n): {"python": {"3.12": (40, 1)}} for n in range(3)}
    found = sections(breakdowns(("python",), known), length=7)["python"]
    assert found.note == "Known since 2025-06-28, 3 of 7 days."
    assert found.length == "3 days, 2025-06-28 to 2025-06-30"
    assert found.bars[0].honest == 120


def test_a_section_whose_newest_days_are_unknown_says_from_when_to_when() -> None:
    known = {ago(n): {"python": {"3.12": (40, 1)}} for n in (2, 3, 5)}
    found = sections(breakdowns(("python",), known), length=7)["python"]
    assert found.note == "Known from 2025-06-27 to 2025-06-28, 2 of 7 days."


def test_a_whole_window_needs_no_note() -> None:
    assert section("python", {"3.12": (40, 1)}).note == ""


def test_without_a_known_day_in_the_window_there_is_no_section() -> None:
    assert sections(breakdowns(("python",), {ago(9): {"python": {"3.12": (40, 1)}}}), length=7) == {}


def test_each_cut_counts_a_python_and_all_older_ones_of_those_that_name_one() -> None:
    counts = {"3.8": 1, "3.9": 9, "3.10": 40, "3.12": 50, "": 900}
    found = list_cuts(Breakdown("python", DAY, DAY, counts, {"3.8": 100, "3.12": 100, "": 3}))
    assert [tuple(cut) for cut in found] == [
        ("3.8", True, "1%", "33.7%", True),
        ("3.9", False, "10%", "36.7%", True),
        ("3.10", False, "50%", "50%", True),
    ]


def test_without_an_honest_install_that_names_a_python_there_is_no_cut() -> None:
    assert list_cuts(Breakdown("python", DAY, DAY, {"": 99}, {"3.8": 100, "3.9": 1})) == []


def test_the_page_names_each_cut() -> None:
    text = page(breakdowns(("python",), {DAY: {"python": {"3.8": (1, 0), "3.9": (1, 0), "3.12": (98, 0)}}}))
    assert "Dropping 3.8 would affect <strong>1%</strong> of honest installs" in text
    assert "Dropping 3.9 and older would affect <strong>2%</strong> of honest installs" in text


def test_pythons_over_time_are_charts_of_honest_ci_and_all_downloads() -> None:
    found = sections(believable(40), length=30)["python"].chart
    assert found
    assert [name for name, _ in found.charts] == ["honest", "CI", "all"]
    assert [name for _, name in found.legend] == [
        "3.14", "3.13", "3.12", "3.11", "3.10", "3.9", "3.8", "3.7", "2.7", "not said"
    ]  # fmt: skip
    assert found.summary == "2025-05-22 to 2025-06-30, by day"
    assert all("<title" in svg for _, svg in found.charts)


@pytest.mark.parametrize("missing", [set(), {3, 4, 20}])
def test_a_day_that_is_not_known_is_missing_in_the_chart_and_no_zero(missing: set[int]) -> None:
    known = {ago(n): {"python": {"3.12": (40, 1)}} for n in range(30) if n not in missing}
    found = sections(breakdowns(("python",), known), length=3)["python"].chart
    assert found
    assert found.has_gaps == bool(missing)
    assert all(('class="missing"' in svg) == bool(missing) for _, svg in found.charts)
    assert (f"{len(missing)} days missing" in found.summary) == bool(missing)


def test_a_year_is_shown_by_week_so_that_the_page_stays_small() -> None:
    content = sections_of_a_year()
    assert len(content) < 150_000
    assert "average day of each week" in content


def sections_of_a_year() -> str:
    return page(believable(400), length=30)


def test_no_bar_of_the_weeks_of_a_small_package_leaves_the_picture() -> None:
    known = {ago(n) for n in range(140)}
    rows = pl.DataFrame(
        [(ago(n), "3.12", 17 * (n % 7 == 0), 0) for n in range(140)],
        {"date": pl.Date, "value": pl.String, "honest": pl.Int64, "ci": pl.Int64},
        orient="row",
    )
    chart = plot_pythons(rows, known)
    assert chart
    tops = [float(y) for _, svg in chart.charts for y in re.findall(r"V(-?[0-9.]+)h-", svg)]
    assert tops
    assert all(y >= TOP for y in tops)


def test_a_single_day_has_no_chart() -> None:
    assert section("python", {"3.12": (40, 1)}).chart is None
    assert plot_pythons(read_days("python", None), set()) is None


def releases(first_days: Mapping[str, int], *, days: int = 40, unknown: set[int] | None = None) -> PackageBreakdowns:
    """Return days on which each release has 30 honest downloads from so many days ago on."""
    return breakdowns(
        ("version",),
        {
            ago(n): {"version": {version: (30, 5) for version, first in first_days.items() if n <= first}}
            for n in reversed(range(days))
            if n not in (unknown or set())
        },
    )


def test_a_release_has_its_share_by_days_since_its_first_download() -> None:
    found = sections(releases({"1.0": 99, "1.1": 20, "1.2": 5}))["version"].upgrades
    assert found
    assert found.offsets == [0, 1, 7, 14]
    assert [tuple(release) for release in found.releases] == [
        ("1.2", ago(5), ["33.3%", "33.3%", "", ""]),
        ("1.1", ago(20), ["50.0%", "50.0%", "50.0%", "50.0%"]),
    ]


def test_a_release_of_before_the_stored_days_is_left_out_and_so_is_one_after_a_gap() -> None:
    assert sections(releases({"1.0": 99, "1.1": 39}))["version"].upgrades is None
    assert sections(releases({"1.0": 99, "1.1": 20}, unknown={21}))["version"].upgrades is None


def test_a_pre_release_and_other_text_are_no_release() -> None:
    assert sections(releases({"1.0": 99, "1.1rc1": 20, "main": 20}))["version"].upgrades is None


def test_an_unknown_day_has_no_share_and_a_small_one_has_counts() -> None:
    known = {ago(n) for n in range(20)}
    computed = breakdowns(
        ("version",),
        {day: {"version": {"1.0": (9, 0)} | ({"1.1": (3, 0)} if day >= ago(18) else {})} for day in known - {ago(11)}},
    )
    found = list_upgrades(computed.values.drop("dimension"), known - {ago(11)})
    assert found
    assert found.releases[0].shares == ["3 of 12", "3 of 12", "–", "3 of 12"]  # noqa: RUF001


def test_a_name_that_a_stranger_chose_is_text_on_the_page() -> None:
    text = page(breakdowns(("cpu",), {DAY: {"cpu": {"<script>": (40, 1), "a\x00b": (1, 0)}}}))
    assert "<script>" not in text.partition('id="by-cpu"')[2].partition("</section>")[0]
    assert "<script>" in unescape(text)
