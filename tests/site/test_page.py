"""The page of a package: what its tables, charts, addresses and query are of."""

from __future__ import annotations

import gzip
import re
from dataclasses import replace
from datetime import date, timedelta
from importlib import resources

import pytest

from winnow_dagster.core.badge import DEFAULT_STYLE
from winnow_dagster.core.categories import CATEGORIES
from winnow_dagster.core.days import Package
from winnow_dagster.core.definition import Definition
from winnow_dagster.core.history import NUMBERS, Day, History
from winnow_dagster.core.names import Selector
from winnow_dagster.core.reader_query import ReaderQuery
from winnow_dagster.core.window import ALL, PackageState, Window, WindowCounts, WindowState
from winnow_dagster.site.page import format_page
from winnow_dagster.site.site import SiteConfig
from winnow_dagster.site.snippets import describe
from winnow_dagster.site.template import static_files

DAY = date(2025, 6, 30)
SITE = SiteConfig(3, styles={"rich": DEFAULT_STYLE, "_group/tools": DEFAULT_STYLE})
COUNTS = dict.fromkeys(NUMBERS, 0) | {"raw": 2000, "honest": 1500, "ci": 500, "pip": 1500, "macos": 300}


def window(days: int, *, length: int = 0, **numbers: int | None) -> WindowState:
    counts = WindowCounts(Window(length or days, DAY), COUNTS | numbers, {"conda": 5, "<b>": 70})
    return WindowState(days, counts, days)


READ = PackageState("rich", "bigquery", (window(30),))
GROUP = replace(READ, package="_group/tools", members=("rich", "x-*"))


def stored(days: int) -> History:
    return History(
        tuple(
            Day(DAY - timedelta(days=n), provisional=False, numbers=(1,) * len(NUMBERS)) for n in reversed(range(days))
        )
    )


def page(state: PackageState = READ, history: History | None = None, site: SiteConfig = SITE) -> str:
    today = DAY + timedelta(days=1)
    found = format_page(Package(state, history or History.empty()), site.badges(state, today), site, today)
    return found.decode()


def table(text: str, title: str) -> dict[str, list[str]]:
    """Return the cells of each line of a table of windows, by the line's name."""
    part = text.partition(f"<h2>{title}</h2>")[2].partition("</table>")[0]
    lines = re.findall(r'<tr[^>]*><th scope="row">([^<]+).*?</th>(.*?)</tr>', part)
    return {name: re.findall(r'<td class="n">(.*?)</td>', cells) for name, cells in lines}


def test_a_link_to_the_page_has_a_preview_once_the_sites_address_is_known() -> None:
    tags = dict(re.findall(r'<meta (?:property|name)="((?:og|twitter):[^"]+)" content="([^"]*)">', page()))
    assert (tags["og:title"], tags["twitter:card"]) == ("rich: honest downloads", "summary")
    assert tags["og:description"].startswith("Honest downloads of rich from PyPI:")
    assert not {"og:image", "og:url"} & tags.keys()
    text = page(site=replace(SITE, base_url="https://a.example.com/x"))
    tags = dict(re.findall(r'<meta (?:property|name)="((?:og|twitter):[^"]+)" content="([^"]*)">', text))
    assert tags["og:image"].startswith("https://a.example.com/x/_static/preview.png?v=")
    assert (tags["og:url"], tags["twitter:card"]) == ("https://a.example.com/x/rich/", "summary_large_image")


def test_categories_have_their_share_of_all_downloads() -> None:
    found = table(page(), "By category")
    assert list(found)[:2] == ["honest", "ci"]
    assert set(found) == set(CATEGORIES)
    assert found["honest"] == ["1,500", "75.0%"]
    assert found["ci"] == ["500", "25.0%"]
    assert found["other"] == ["0", "0%"]


def test_installers_and_systems_have_their_share_of_the_honest_downloads() -> None:
    assert table(page(), "Honest, by installer")["pip"] == ["1,500", "100.0%"]
    found = table(page(), "Honest, by system")
    assert list(found) == ["macOS", "Linux", "Windows", "other or not said"]
    assert found["macOS"] == ["300", "20.0%"]


def test_tables_have_a_column_for_each_counted_window() -> None:
    state = replace(READ, windows=(window(30), WindowState(7, None, 2), window(ALL, length=9, honest=3, raw=9)))
    text = page(state)
    assert table(text, "By category")["honest"] == ["1,500", "75.0%", "3", "33.3%"]
    columns = re.findall(
        r'<th scope="col" class="n" colspan="2">([^<]+)', text.partition("By category")[2].partition("</thead>")[0]
    )
    assert columns == ["30 days", "all days"]


def test_what_was_not_counted_is_a_dash_without_a_share() -> None:
    found = table(page(replace(READ, windows=(window(30, linux=None),))), "Honest, by system")
    assert found["Linux"] == ["–", ""]  # noqa: RUF001 - a dash


def test_a_name_that_somebody_made_up_is_text_and_the_most_used_comes_first() -> None:
    text = page()
    assert "<q>&lt;b&gt;</q> 70, <q>conda</q> 5" in text
    assert "<b>" not in text


@pytest.mark.parametrize(
    ("days", "ranges"), [(1, []), (30, []), (31, ["30", "90"]), (90, ["30", "90"]), (91, ["30", "90", "365"])]
)
def test_a_longer_chart_is_there_once_more_days_are_stored_than_the_shorter_one_shows(
    days: int, ranges: list[str]
) -> None:
    text = page(history=stored(days))
    assert re.findall(r'id="range(\d+)"', text) == ranges
    assert text.count("<figure") == max(len(ranges), 1)
    assert text.partition('<table class="days">')[2].partition("</table>")[0].count('<th scope="row">') == days


def test_without_a_stored_day_there_is_no_chart() -> None:
    assert "<figure" not in page()


def test_the_table_behind_a_chart_has_the_newest_day_first_and_says_how_each_was_read() -> None:
    numbers = (1234, *[0] * (len(NUMBERS) - 2), None)
    unknown: tuple[int | None, ...] = (5, None, *[0] * (len(NUMBERS) - 2))
    history = History(
        (
            Day(DAY - timedelta(days=3), provisional=None, numbers=unknown),
            Day(DAY - timedelta(days=2), provisional=False, numbers=numbers, definition=Definition.REQUESTS),
            Day(DAY - timedelta(days=1), provisional=False, numbers=numbers, is_short=True),
            Day(DAY, provisional=True, numbers=numbers),
        )
    )
    body = page(history=history).partition('<table class="days">')[2].partition("</table>")[0].partition("<tbody>")[2]
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line) for line in body.splitlines() if "<tr>" in line]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("2025-06-30", "1,234", "provisional"),
        ("2025-06-29", "1,234", "settled, rows lost"),
        ("2025-06-28", "1,234", "settled, requests"),
        ("2025-06-27", "5", "–"),  # noqa: RUF001 - a dash
    ]
    assert rows[-1][2] == "–"  # noqa: RUF001 - a dash
    assert {len(row) for row in rows} == {1 + 1 + len(CATEGORIES) + 1}


def growing(*weeks: int) -> History:
    """Return whole weeks of days, the newest first, with so many honest downloads each day."""
    counts = [count for count in weeks for _ in range(7)]
    days = [
        Day(
            DAY - timedelta(days=ago),
            provisional=False,
            numbers=tuple(count if name == "honest" else 99 for name in NUMBERS),
        )
        for ago, count in enumerate(counts)
    ]
    return History(tuple(reversed(days)))


def headline(history: History, honest: int) -> str:
    state = replace(READ, windows=(window(7, honest=honest),))
    return page(state, history).partition('class="headline">')[2].partition("</p>")[0]


def test_the_headline_says_the_change_against_the_window_before() -> None:
    assert "<strong>70</strong> installs in 7 days, ▼ 50% on the 7 days before<br>" in headline(growing(10, 20), 70)
    assert "<strong>70</strong> installs in 7 days, ▲ 25% on the 7 days before<br>" in headline(growing(10, 8), 70)


def test_a_change_within_the_usual_noise_is_about_the_same() -> None:
    assert "about the same as the 7 days before" in headline(growing(11, 10, 12, 10, 12), 77)


def test_a_change_that_cannot_be_told_is_not() -> None:
    assert "<strong>70</strong> installs in 7 days<br>" in headline(growing(10), 70)
    # The days are not those of the window.
    assert "<strong>71</strong> installs in 7 days<br>" in headline(growing(10, 8), 71)
    assert "<strong>70</strong> installs in 7 days<br>" in headline(growing(10, 0), 70)


def test_a_package_links_to_its_pages_elsewhere_and_a_group_or_a_made_up_package_does_not() -> None:
    site = replace(SITE, repositories={"rich": "https://code.test/rich?a=1&b"})
    assert '<a href="https://pypi.org/project/rich/">PyPI</a>' in page()
    assert '<a href="https://code.test/rich?a=1&amp;b">Repository</a>' in page(site=site)
    elsewhere = r'<p class="links"><a href="([^"]+)"'
    assert re.findall(elsewhere, page(GROUP, site=site)) == ["../../compare.html#_group/tools"]
    assert re.findall(elsewhere, page(replace(READ, source="sample"))) == ["../compare.html#rich"]


def test_the_bar_at_the_top_names_each_category_that_has_downloads() -> None:
    found = re.findall(r"</svg>([a-z]+ [\d.]+%)</li>", page())
    assert found == ["honest 75%", "ci 25%"]


def test_the_address_of_the_site_stands_in_every_snippet() -> None:
    text = page(site=replace(SITE, base_url="https://b.test/x"))
    assert '<link rel="canonical" href="https://b.test/x/rich/">' in text
    assert "[![installs in 30 days](https://b.test/x/rich/downloads-30d-non-ci.svg)](https://b.test/x/rich/)" in text
    assert "https%3A%2F%2Fb.test%2Fx%2Frich%2Fdownloads-30d-non-ci.json" in text
    assert "badges.example.com" not in text


def test_without_an_address_there_is_one_to_fill_in() -> None:
    text = page()
    assert 'rel="canonical"' not in text
    assert 'data-fill="https://badges.example.com"' in text
    assert "https://badges.example.com/rich/downloads-30d-non-ci.svg" in text


def test_the_page_of_a_group_lies_one_folder_deeper_and_leads_to_its_members() -> None:
    text = page(GROUP)
    assert '<a href="../../rich/">rich</a>, x-*.' in text
    assert '<link rel="stylesheet" href="../../_static/' in text
    assert '<a href="../">All packages</a>' in page()


def test_the_query_counts_the_window_of_the_headline() -> None:
    asked: list[object] = []

    def query(selectors: object, first: date, last: date) -> str:
        asked.append((selectors, first, last))
        return "SELECT <1>"

    site = replace(SITE, reader_queries={"bigquery": ReaderQuery("a.b", "In a console", query)})
    state = replace(READ, windows=(window(7), window(30)))
    assert "<code>SELECT &lt;1&gt;</code>" in page(state, site=site)
    page(replace(GROUP, windows=(window(ALL, length=9),)), site=site)
    assert asked == [
        ([Selector("rich")], DAY - timedelta(days=6), DAY),
        ([Selector("rich"), Selector("x-", is_prefix=True)], DAY - timedelta(days=8), DAY),
    ]
    page(replace(READ, source="parquet"), site=site)
    assert len(asked) == 2


def test_the_headline_and_the_share_are_at_the_top_and_all_badges_with_their_words_below() -> None:
    top, _, below = page().partition('<h2 id="show">')
    assert re.findall(r'<img src="([^"]+)"', top) == ["downloads-30d-non-ci.svg", "honest-share-30d-non-ci.svg"]
    found = dict(re.findall(r'<li data-stem="([^"]+)" data-alt="([^"]+)"><img src="', below))
    assert len(found) == 12
    assert found["downloads-30d-non-ci"] == "installs in 30 days"
    assert found["installer-pip-family-30d-non-ci"] == "installs with pip family in 30 days"
    assert found["os-macos-30d-non-ci"] == "installs on macos in 30 days"
    assert found["honest-share-30d-non-ci"] == "honest share of downloads in 30 days"


def test_the_words_of_badges_of_breakdowns_and_of_all_days() -> None:
    assert describe("pythons", ALL) == "Pythons in use in all days"
    assert describe("python-3.12", 1) == "installs by python 3.12 in 1 day"
    assert describe("file_type-sdist", 7) == "installs by file type sdist in 7 days"


@pytest.mark.parametrize("template", ["package.html", "index.html", "compare.html", "everything.html"])
def test_style_and_scripts_of_a_page_are_at_most_20_kilobytes_compressed(template: str) -> None:
    folder = resources.files("winnow_dagster.site") / "templates"
    parts = [(folder / name).read_text() for name in ("base.html", template)]
    names = {name for part in parts for name in re.findall(r"static\['([^']+\.(?:css|js))'\]", part)}
    assert {"winnow.css", "winnow.js"} < names
    assert sum(len(gzip.compress(static_files()[name])) for name in names) <= 20_000
