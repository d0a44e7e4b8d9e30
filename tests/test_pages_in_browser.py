"""The pages in a real browser, through `winnow serve`: complete without a script, better with one, for everybody."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browsing import PHONE, collect, in_all_looks, needs_chromium, opened
from winnow_dagster.core.badge import BADGE_KINDS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_chromium

# A group, a package with enough days for two charts, one whose label is an attack, one still being collected.
CONFIG = {
    "source": {"kind": "sample"},
    "service": {"stale_threshold_days": 3},
    "packages": [
        {
            "name": "sample-oat",
            "window_days": [40, 7, "all"],
            "breakdowns": ["python", "version", "country", "libc", "cpu", "file_type"],
        },
        {"name": "Sample_Rye", "label": "<script>alert(1)</script>\"&' ({days}d)"},
        {"name": "sample-wheat", "colors": {0: "red", 10: "yellow"}, "label_color": "444"},
    ],
    "groups": [{"name": "grains", "packages": ["sample-oat", "sample-rye", "sample-wheat"]}],
}
PAGES = ("", "sample-oat/", "Sample_Rye/", "_group/grains/")
WIDTHS = (390, 768, 1280, 1920)


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collect(tmp_path_factory.mktemp("site"), CONFIG)


@pytest.mark.parametrize("path", PAGES)
@in_all_looks
def test_no_page_has_an_error_a_barrier_or_anything_from_elsewhere(
    browser: Browser, site: str, path: str, viewport: dict[str, int], scheme: str
) -> None:
    with opened(browser, site + path, viewport=viewport, color_scheme=scheme) as page:
        for details in page.locator("details").all():
            details.evaluate("element => element.open = true")
        page.wait_for_load_state("networkidle")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        # Nothing is cut off: only what is marked to be scrolled is wider than the screen.
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        page.evaluate("for (const image of document.images) image.loading = 'eager'")
        page.evaluate("Promise.all([...document.images].map(image => image.decode()))")


@pytest.mark.parametrize("path", ["", "sample-oat/", "_group/grains/", "404.html"])
def test_no_page_is_wider_than_the_screen(browser: Browser, site: str, path: str) -> None:
    with opened(browser, site + path) as page:
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, width


def test_each_bar_has_its_numbers_beside_it_on_every_screen(browser: Browser, site: str, public: Path) -> None:
    counts = json.loads((public / "sample-wheat" / "counts.json").read_text())["windows"]["30"]
    with opened(browser, site + "sample-wheat/", java_script_enabled=False) as page:
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            row = page.locator("table.bars tr.honest")
            assert row.locator("td.n").first.inner_text() == f"{counts['honest']:,}"
            bar: Any = row.locator("svg.bar").bounding_box()
            share: Any = row.locator("td.n").last.bounding_box()
            assert 0 < bar["x"] < bar["x"] + bar["width"] <= share["x"] < share["x"] + share["width"] <= width
            assert abs(bar["y"] + bar["height"] / 2 - share["y"] - share["height"] / 2) <= 4


def test_a_printed_page_has_every_bar_and_no_controls(browser: Browser, site: str) -> None:
    with opened(browser, site + "sample-wheat/") as page:
        page.emulate_media(media="print")
        assert page.locator("table.bars").first.is_visible()
        assert not page.locator(
            ".controls:visible, .tabs > label:visible, nav:visible, .snippet button:visible"
        ).count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_address_without_a_file_is_answered_with_a_page_that_leads_back(
    browser: Browser,
    site: str,
    scheme: Any,
) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    answer = page.goto(f"{site}sample-oat/nothing/here.svg", wait_until="networkidle")
    assert answer
    assert answer.status == 404
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.get_by_role("link", name="All packages").first.click()
    assert page.url == site
    page.close()


def numbers(public: Path) -> dict[str, int]:
    """Return the headline's honest downloads by name."""
    everything = json.loads((public / "_packages.json").read_text())
    return {
        each["name"]: each["windows"][each["headline"]]["honest"]
        for each in [*everything["packages"], *everything["groups"]]
    }


def test_without_a_script_the_days_can_be_chosen_and_read(browser: Browser, site: str, public: Path) -> None:
    days = json.loads((public / "sample-oat" / "history.json").read_text())["days"]
    with opened(browser, site + "sample-oat/", java_script_enabled=False) as page:
        labels = page.get_by_role("group", name="Days shown").locator("> label").all()
        assert [label.inner_text() for label in labels] == ["30 days", "90 days"]
        assert page.locator(".panel30 svg.chart").is_visible()
        page.locator("label[for=range90]").click()
        assert page.locator(".panel90 svg.chart").is_visible()
        assert not page.locator(".panel30 svg.chart").is_visible()
        page.get_by_text("Each day as a table").click()
        rows = page.locator("table.days tbody tr").all()
        assert len(rows) == len(days) == 40
        assert rows[0].inner_text().split("\t")[:3] == [days[-1]["date"], f"{days[-1]['raw']:,}", str(
            f"{days[-1]['categories']['honest']:,}"
        )]  # fmt: skip
        assert f"{numbers(public)['sample-oat']:,}" in page.locator(".headline").inner_text()


@pytest.fixture(scope="module")
def days(public: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((public / "sample-oat" / "history.json").read_text())["days"]
    return found


def told_of(day: dict[str, Any]) -> list[str]:
    """Return the beginning and end of what the crosshair tells of a day."""
    return [day["date"], f"honest {day['categories']['honest']:,}", f"raw {day['raw']:,}"]


def tip_of(page: Page) -> list[str]:
    lines = page.locator(".tip span").all_inner_texts()
    return [*lines[:2], *(line for line in lines if line.startswith("raw "))]


def test_the_chart_tells_the_numbers_of_a_day_at_the_mouse(browser: Browser, site: str, days: list[Any]) -> None:
    with opened(browser, site + "sample-oat/") as page:
        box: Any = page.locator(".stage svg").bounding_box()
        assert not page.locator(".tip").is_visible()
        page.mouse.move(box["x"] + box["width"] - 12, box["y"] + 150)
        assert tip_of(page) == told_of(days[-1])
        page.mouse.move(box["x"] + 60, box["y"] + 150)
        assert tip_of(page) == told_of(days[-30])
        page.mouse.move(5, 5)
        assert not page.locator(".tip").is_visible()


def test_the_chart_tells_the_numbers_of_a_day_at_a_touch(browser: Browser, site: str, days: list[Any]) -> None:
    with opened(browser, site + "sample-oat/", viewport=PHONE, has_touch=True, is_mobile=True) as page:
        page.locator(".stage").scroll_into_view_if_needed()
        box: Any = page.locator(".stage svg").bounding_box()
        page.touchscreen.tap(box["x"] + box["width"] - 11, box["y"] + 100)
        assert tip_of(page) == told_of(days[-1])
        tip: Any = page.locator(".tip").bounding_box()
        assert tip["x"] >= 0
        assert tip["x"] + tip["width"] <= PHONE["width"]


def test_the_chart_tells_the_numbers_of_a_day_to_the_arrow_keys(browser: Browser, site: str, days: list[Any]) -> None:
    with opened(browser, site + "sample-oat/") as page:
        page.locator(".stage").focus()
        for key, day in (("ArrowLeft", -1), ("ArrowLeft", -2), ("ArrowRight", -1), ("Home", -30), ("End", -1)):
            page.keyboard.press(key)
            assert tip_of(page) == told_of(days[day])
        assert Axe().run(page).violations_count == 0
        page.keyboard.press("Escape")
        assert not page.locator(".tip").is_visible()


def test_the_switches_of_the_chart_survive_a_reload(browser: Browser, site: str, days: list[Any]) -> None:
    with opened(browser, site + "sample-oat/") as page:
        page.get_by_text("90 days", exact=True).click()
        page.get_by_role("button", name="7-day mean").click()
        page.get_by_role("button", name="mirror", exact=True).click()
        for _ in range(2):
            assert page.url.endswith("/sample-oat/#90,mean,-mirror")
            svg = page.locator(".stage svg")
            assert svg.locator(".c-mirror").count() == 0
            assert svg.locator(".c-ci").count() == svg.locator(".mean").count() == 1
            drawn = svg.locator(".c-honest").get_attribute("d") or ""
            assert drawn.count("M") == len(days) == 40
            assert (svg.locator(".missing").get_attribute("d") or "").count("M") == 90 - 40
            page.reload()
        page.get_by_role("button", name="Honest only").click()
        assert page.locator(".stage svg .c-ci").count() == 0
        page.get_by_role("button", name="Weeks").click()
        assert page.url.endswith("#90,weeks,mean,honest,-mirror")
        assert (page.locator(".stage svg .c-honest").get_attribute("d") or "").count("M") == 6
        page.locator(".stage").focus()
        page.keyboard.press("End")
        week = days[-7:]
        mean = round(sum(day["categories"]["honest"] for day in week) / 7 + 1e-9)
        assert page.locator(".tip span").all_inner_texts()[:2] == [
            f"{week[0]['date']} to {week[-1]['date']}, a day",
            f"honest {mean:,}",
        ]
        page.goto(site + "sample-oat/#days")
        page.reload()
        assert page.locator("#range30").is_checked()


def test_the_chart_can_be_saved_with_its_colours(browser: Browser, site: str) -> None:
    with opened(browser, site + "sample-oat/#90") as page:
        with page.expect_download() as download:
            page.get_by_role("button", name="Save as SVG").click()
        assert download.value.suggested_filename == "sample-oat-90-days.svg"
        root = ET.fromstring(download.value.path().read_text())
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "rgb(22, 104, 184)" in {element.get("fill") for element in root.iter()}


def test_without_a_script_each_breakdown_is_there_with_its_bars_and_its_table(
    browser: Browser, site: str, public: Path
) -> None:
    windows = json.loads((public / "sample-oat" / "breakdowns.json").read_text())["windows"]
    with opened(browser, site + "sample-oat/", java_script_enabled=False) as page:
        for name, counts in windows["40"].items():
            if name in {"first_day", "as_of"}:
                continue
            section = page.locator(f"section:has(#by-{name})")
            bars = section.locator("table.pairs svg.pair").all()
            assert bars
            assert all((box := bar.bounding_box()) and box["width"] > 100 for bar in bars)
            section.locator("summary").click()
            cells = section.locator("details td:nth-child(2)").all()
            shown = sum(int(cell.inner_text().replace(",", "")) for cell in cells)
            assert shown == sum(counts["honest"].values()) == numbers(public)["sample-oat"]


def test_without_a_script_pythons_over_time_can_be_those_of_people_or_of_ci(browser: Browser, site: str) -> None:
    with opened(browser, site + "sample-oat/", java_script_enabled=False) as page:
        section = page.locator("section:has(#by-python)")
        for label, title in (("all", "Honest and CI"), ("CI", "CI downloads"), ("honest", "Honest downloads")):
            section.get_by_text(label, exact=True).locator("visible=true").and_(page.locator("label")).click()
            charts = [chart for chart in section.locator("svg.chart").all() if chart.is_visible()]
            assert len(charts) == 1
            assert title in (charts[0].locator("title").text_content() or "")
        assert "Dropping 3.9 and older would affect" in section.inner_text()


def copied(context: BrowserContext, page: Page) -> str:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


def test_a_copied_snippet_names_the_site_that_the_reader_sees(browser: Browser, site: str) -> None:
    home = site.rstrip("/")
    with opened(browser, site + "sample-oat/", permissions=["clipboard-read", "clipboard-write"]) as page:
        page.get_by_role("button", name="Copy Markdown, drawn here").click()
        page.get_by_text("Copied").wait_for()
        assert copied(page.context, page) == (
            f"[![installs in 40 days]({home}/sample-oat/downloads-40d-non-ci.svg)]({home}/sample-oat/)"
        )
        page.get_by_role("button", name="Copy HTML, drawn by shields.io").click()
        page.get_by_role("button", name="Copied HTML, drawn by shields.io").wait_for()
        assert "endpoint?url=http%3A%2F%2F127.0.0.1" in copied(page.context, page)
        page.get_by_role("button", name="Copy HTML, drawn by shields.io").wait_for()


def test_each_badge_can_be_picked_for_its_snippets(browser: Browser, site: str) -> None:
    home = site.rstrip("/")
    with opened(browser, site + "sample-oat/", permissions=["clipboard-read", "clipboard-write"]) as page:
        badges = page.locator("[data-badges]").get_by_role("button")
        assert badges.count() == len(BADGE_KINDS) * 3 + 3
        picked = badges.and_(page.get_by_role("button", pressed=True))
        assert picked.get_by_role("img").get_attribute("src") == "downloads-40d-non-ci.svg"
        page.locator("[data-stem=installer-uv-7d-non-ci]").get_by_role("button").click()
        assert picked.get_by_role("img").get_attribute("src") == "installer-uv-7d-non-ci.svg"
        page.get_by_role("button", name="Copy reStructuredText, drawn here").click()
        page.get_by_role("button", name="Copied reStructuredText, drawn here").wait_for()
        lines = copied(page.context, page).split("\n   ")
        picture = f"{home}/sample-oat/installer-uv-7d-non-ci.svg"
        target = f":target: {home}/sample-oat/"
        assert lines == [f".. image:: {picture}", ":alt: installs with uv in 7 days", target]
        shown = page.locator(".snippet code").all_inner_texts()[:8]
        assert all("installer-uv-7d-non-ci" in text and "installs with uv in 7 days" in text for text in shown)


def test_a_reader_whose_clock_is_far_ahead_is_told_that_nothing_renews_the_numbers(browser: Browser, site: str) -> None:
    for path in ("", "sample-oat/"):
        with opened(browser, site + path) as page:
            assert not page.get_by_role("alert").is_visible()
            page.clock.set_fixed_time(datetime.now(UTC) + timedelta(days=9))
            page.reload()
            told = page.get_by_role("alert").inner_text()
            assert "Out of date. By your clock" in told
            assert "are 10 days old" in told or "is 10 days old" in told


@pytest.mark.parametrize(("scheme", "color"), [("light", "rgb(22, 104, 184)"), ("dark", "rgb(88, 166, 255)")])
def test_the_chart_for_readmes_has_the_colours_of_the_reader(
    browser: Browser, site: str, scheme: str, color: str
) -> None:
    with opened(browser, site + "sample-oat/chart.svg", color_scheme=scheme) as page:
        assert page.evaluate("getComputedStyle(document.querySelector('.c-honest')).fill") == color


def test_a_hostile_label_is_shown_and_does_nothing(browser: Browser, site: str) -> None:
    with opened(browser, site + "Sample_Rye/") as page:
        label = page.locator(".badges img").first.get_attribute("alt") or ""
        assert label.startswith("sample: <script>alert(1)</script>\"&' (30d): ")
    with opened(browser, site + "Sample_Rye/downloads-30d-non-ci.svg") as page:
        assert "<script>alert(1)</script>\"&' (30d)" in (page.locator("svg > title").text_content() or "")


def test_the_page_can_be_printed(browser: Browser, site: str) -> None:
    with opened(browser, site + "sample-oat/") as page:
        page.emulate_media(media="print")
        assert page.locator(".stage .chart").is_visible()
        assert page.get_by_role("button", name="Copy").count() == 0
        assert not page.locator(".controls").is_visible()
