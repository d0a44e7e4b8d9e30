"""The list, the comparison and the search of `*` in a real browser: what a reader chose is in the address."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect

from tests.browsing import DESKTOP, PHONE, collect, needs_chromium, opened

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_chromium

# Two windows that all have, one with enough days for a trend, a group, and packages that only `*` selects.
CONFIG = {
    "source": {"kind": "sample"},
    "service": {"stale_threshold_days": 3},
    "packages": [
        {"name": "sample-oat", "window_days": [30, 7, 60]},
        {"name": "Sample_Rye", "window_days": [30, 7]},
        {"name": "sample-wheat", "window_days": [30, 7]},
        {"name": "*", "window_days": [7, 30]},
    ],
    "groups": [{"name": "grains", "packages": ["sample-oat", "sample-rye"], "window_days": [30, 7]}],
}
PAGES = (
    "",
    "compare.html#sample-oat,sample-rye,_group/grains;90",
    "_packages/#search=sample",
    "_packages/?sample-barley",
)
LOOKS = ((390, "light"), (768, "dark"), (1280, "light"), (1920, "dark"))


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collect(tmp_path_factory.mktemp("lists"), CONFIG)


@pytest.fixture(scope="module")
def rows(public: Path) -> dict[str, Any]:
    """The windows of each package and group of the list, by name."""
    listed = json.loads((public / "_packages.json").read_text())
    return {each["name"]: each["windows"] for each in [*listed["packages"], *listed["groups"]]}


def days_of(public: Path, folder: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((public / folder / "history.json").read_text())["days"]
    return found


@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_an_error_a_barrier_or_a_part_beyond_the_screen(browser: Browser, site: str, path: str) -> None:
    with opened(browser, site + path) as page:
        for width, scheme in LOOKS:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()


def shown(page: Page, label: str) -> list[str]:
    return page.locator(f"tbody td[data-label='{label}']").all_inner_texts()


def names(page: Page) -> list[str]:
    return page.locator("tbody tr:visible th a").all_inner_texts()


def test_without_a_script_every_number_is_there_over_each_window(browser: Browser, site: str, rows: Any) -> None:
    with opened(browser, site, java_script_enabled=False) as page:
        ordered = sorted(rows, key=lambda name: -rows[name]["30"]["honest"])
        assert names(page) == ordered
        for days in ("30", "7"):
            page.get_by_text(f"{days} days", exact=True).click()
            assert shown(page, "Honest") == [f"{rows[name][days]['honest']:,}" for name in ordered]
            assert shown(page, "Of raw") == [f"{rows[name][days]['raw']:,}" for name in ordered]
            shares = [rows[name][days]["honest"] / rows[name][days]["raw"] for name in ordered]
            assert [float(text.rstrip("%")) / 100 for text in shown(page, "Share")] == pytest.approx(shares, abs=0.0006)
            # 60 days of one package are stored, and 14 of all.
            assert sum(text != "–" for text in shown(page, "Trend")) == (1 if days == "30" else len(rows))  # noqa: RUF001
            assert page.locator("td[data-label='By day'] svg:visible").count() == len(rows)
        assert not page.locator("#search").is_visible()


@pytest.mark.parametrize("width", [390, 768])
def test_on_a_narrow_screen_each_number_has_its_label(browser: Browser, site: str, width: int) -> None:
    with opened(browser, site, viewport={"width": width, "height": 900}) as page:
        for row in page.locator("tbody tr").all():
            labels = [
                cell.evaluate("cell => getComputedStyle(cell, '::before').content").strip('"')
                for cell in row.locator("td:nth-child(n + 3)").all()
            ]
            assert labels == ["Honest", "Trend", "Share", "Of raw", "By day"]


def test_order_search_window_and_choice_are_in_the_address_and_survive_a_reload(
    browser: Browser, site: str, rows: Any
) -> None:
    with opened(browser, site) as page:
        page.get_by_text("7 days", exact=True).click()
        page.get_by_role("button", name="Honest").focus()
        page.keyboard.press("Enter")
        page.get_by_label("Search").fill("SAMPLE")
        page.get_by_label("Compare sample-oat").check()
        expected = sorted(rows.keys() - {"grains"}, key=lambda name: rows[name]["7"]["honest"])
        for _ in range(2):
            assert page.url == site + "#window=7&sort=honest&search=SAMPLE&compare=sample-oat"
            assert names(page) == expected
            assert page.get_by_role("status").first.inner_text() == "3 of 4"
            assert page.get_by_role("columnheader", name="Honest").get_attribute("aria-sort") == "ascending"
            assert page.get_by_label("Compare sample-oat").is_checked()
            page.reload()
        page.get_by_label("Search").fill("")
        for key, column in (("package", "Package"), ("-package", "Package"), ("-trend", "Trend"), ("-share", "Share")):
            page.get_by_role("button", name=column).click()
            assert f"sort={key}" in page.url
            found = names(page) if column == "Package" else [number_in(text) for text in shown(page, column)]
            assert found == sorted(found, reverse=key.startswith("-"))
        page.get_by_label("Search").fill("rye")
        page.get_by_label("Search").press("Enter")
        page.wait_for_url(site + "Sample_Rye/")


def number_in(text: str) -> float:
    if text == "about the same":
        return 0.0
    return float(text.strip("▲▼ %")) * (-1 if "▼" in text else 1)


def test_what_the_list_does_not_have_is_searched_among_all_packages(browser: Browser, site: str) -> None:
    with opened(browser, site) as page:
        page.get_by_label("Search").fill("sample-b")
        page.get_by_label("Search").press("Enter")
        page.wait_for_url(site + "_packages/#search=sample-b")
        expect(page.get_by_role("link", name="sample-barley")).to_be_visible()


def test_packages_that_were_ticked_are_compared(browser: Browser, site: str) -> None:
    with opened(browser, site) as page:
        page.get_by_label("Compare grains").check()
        page.get_by_label("Compare Sample_Rye").check()
        page.get_by_role("link", name="Compare 2 packages").click()
        page.wait_for_url(site + "compare.html#_group/grains,sample-rye")
        expect(page).to_have_title("grains, Sample_Rye: honest downloads")
    with opened(browser, site + "sample-oat/") as page:
        page.get_by_role("link", name="Compare with other packages").click()
        page.wait_for_url(site + "compare.html#sample-oat")


def compared(page: Page) -> list[str]:
    return page.locator("[data-legend] a").all_inner_texts()


def told(page: Page) -> set[str]:
    return set(page.locator(".tip > span").all_inner_texts())


def told_of(public: Path, at: int) -> set[str]:
    oat, rye = (days_of(public, folder)[at] for folder in ("sample-oat", "sample-rye"))
    notes = " (provisional)" if oat["reading"] == "provisional" else ""
    lines = (
        f"{name} {day['categories']['honest']:,}{notes}" for name, day in (("sample-oat", oat), ("Sample_Rye", rye))
    )
    return {oat["date"], *lines}


def test_a_comparison_tells_the_numbers_of_a_day_at_the_mouse_and_to_the_arrow_keys(
    browser: Browser, site: str, public: Path
) -> None:
    with opened(browser, site + "compare.html#sample-oat,sample-rye") as page:
        box: Any = page.locator(".stage svg").bounding_box()
        page.mouse.move(box["x"] + box["width"] - 12, box["y"] + 150)
        assert told(page) == told_of(public, -1)
        page.mouse.move(5, 5)
        assert not page.locator(".tip").is_visible()
        page.locator(".stage").focus()
        for key, day in (("ArrowLeft", -1), ("ArrowLeft", -2), ("Home", -30), ("ArrowRight", -29), ("End", -1)):
            page.keyboard.press(key)
            assert told(page) == told_of(public, day)


def test_a_comparison_tells_the_numbers_of_a_day_at_a_touch(browser: Browser, site: str, public: Path) -> None:
    address = site + "compare.html#sample-oat,sample-rye"
    with opened(browser, address, viewport=PHONE, has_touch=True, is_mobile=True) as page:
        page.locator(".stage").scroll_into_view_if_needed()
        box: Any = page.locator(".stage svg").bounding_box()
        page.touchscreen.tap(box["x"] + box["width"] - 11, box["y"] + 100)
        assert told(page) == told_of(public, -1)
        tip: Any = page.locator(".tip").bounding_box()
        assert tip["x"] >= 0
        assert tip["x"] + tip["width"] <= PHONE["width"]


def test_a_comparison_survives_a_reload_with_its_range_and_its_tables(
    browser: Browser, site: str, public: Path, rows: Any
) -> None:
    with opened(browser, site + "compare.html#sample-oat,_group/grains") as page:
        sums = page.locator(".sums tbody tr")
        for row, name in zip(sums.all(), ("sample-oat", "grains"), strict=True):
            window = rows[name]["30"]
            share = f"{100 * window['honest'] / window['raw']:.1f}%"
            cells = [f"{window['honest']:,}", f"{window['honest'] / 30:,.0f}", share, f"{window['raw']:,}", "30 of 30"]
            assert row.locator("td").all_inner_texts() == cells
        page.get_by_text("90 days", exact=True).click()
        page.get_by_role("button", name="7-day mean").click()
        page.get_by_role("button", name="All downloads").click()
        for _ in range(2):
            assert page.url == site + "compare.html#sample-oat,_group/grains;90,mean,all"
            expect(page.locator("[data-legend] a")).to_have_text(["sample-oat", "grains"])
            assert page.get_by_role("radio", name="90 days").is_checked()
            # A sum needs every day, and the group has 30 of them.
            assert sums.nth(1).locator("td").last.inner_text() == "30 of 90"
            assert sums.nth(1).locator("td").first.inner_text() == "–"  # noqa: RUF001
            page.locator("summary").click()
            newest = page.locator(".days tbody tr").first.locator("th, td").all_inner_texts()
            days = [days_of(public, folder)[-1] for folder in ("sample-oat", "_group/grains")]
            assert newest == [days[0]["date"], *(f"{day['raw']:,}" for day in days)]
            # The mean of a group's days begins with the seventh.
            lines = [page.locator(f".stage .l-{n}").get_attribute("d") or "" for n in (1, 2)]
            assert [line.count("L") for line in lines] == [60 - 7, 30 - 7]
            page.reload()


def test_the_axis_of_a_comparison_names_the_years_where_there_are_two(browser: Browser, site: str) -> None:
    def add_year(route: Route) -> None:
        history = route.fetch().json()
        newest = history["days"][-1]
        history["days"].append({**newest, "date": f"{int(newest['date'][:4]) - 1}{newest['date'][4:]}"})
        route.fulfill(json=history)

    with opened(browser, site) as page:
        page.route("**/sample-oat/history.json", add_year)
        page.goto(site + "compare.html#sample-oat;365")
        labels = page.locator(".stage text").filter(has_text=re.compile(r"[A-Z]"))
        expect(labels.last).to_be_visible()
        assert len({text[-4:] for text in labels.all_text_contents()}) == 2
        expect(page.get_by_role("button", name="Weeks", pressed=True)).to_be_visible()


def test_what_cannot_be_compared_is_said_in_words(browser: Browser, site: str) -> None:
    message = "[data-told]"
    with opened(browser, site + "compare.html") as page:
        expect(page.locator(message)).to_contain_text("Choose up to six packages or groups")
        assert not page.locator(".stage").is_visible()
        page.get_by_label("Package or group").fill("Sample.Oat")
        page.keyboard.press("Enter")
        expect(page.locator("[data-legend] a")).to_have_text(["sample-oat"])
        page.get_by_label("Package or group").fill("sample-barley")
        page.get_by_role("button", name="Add").click()
        expect(page.locator("[data-legend] a")).to_have_text(["sample-oat", "sample-barley"])
        assert page.url.endswith("#sample-oat,sample-barley")
        page.get_by_role("button", name="Remove sample-oat").click()
        expect(page.locator("[data-legend] a")).to_have_text(["sample-barley"])
    with opened(browser, site + "compare.html#sample-oat,constructor,%zz") as page:
        expect(page.locator(message)).to_contain_text("Choose up to six")
    with opened(browser, site + "compare.html#sample-oat,constructor") as page:
        expect(page.locator(message)).to_have_text("Not published here: constructor.")
        assert compared(page) == ["sample-oat"]
    six = ["sample-oat", "sample-rye", "sample-wheat", "_group/grains", "sample-barley", "sample-buckwheat"]
    with opened(browser, f"{site}compare.html#{','.join(six)},sample-rice") as page:
        expect(page.locator(message)).to_have_text("Six at most: sample-rice is left out.")
        assert len(compared(page)) == 6


def test_without_a_script_the_comparison_says_what_it_needs_and_links_to_the_list(browser: Browser, site: str) -> None:
    with opened(browser, site + "compare.html#sample-oat", java_script_enabled=False) as page:
        assert "this page needs its script" in page.locator("main").inner_text()
        page.get_by_role("link", name="The list of all packages").click()
        page.wait_for_url(site)


def test_one_search_finds_packages_of_everything_named_ones_and_groups_and_enter_opens_the_first(
    browser: Browser, site: str, rows: Any
) -> None:
    with opened(browser, site + "_packages/") as page:
        search = page.get_by_label("Search all packages")
        search.fill("s")
        expect(page.get_by_text("Two letters at least to search all packages.")).to_be_visible()
        search.fill("Sample_B")
        expect(page.locator("[data-status]")).to_have_text("2 found")
        assert sorted(page.locator("[data-names] a").all_inner_texts()) == ["sample-barley", "sample-buckwheat"]
        search.fill("grains")
        group = f"grains (group) {rows['grains']['30']['honest']:,} in 30 days"
        expect(page.locator("[data-names] li")).to_have_text([group])
        search.fill("sample.rye")
        search.press("Enter")
        page.wait_for_url(site + "sample-rye/")
        page.goto(site + "_packages/#search=sample-bar")
        page.reload()
        expect(search).to_have_value("sample-bar")
        search.press("Enter")
        page.wait_for_url(site + "_packages/?sample-barley")


def test_a_package_that_only_everything_selects_has_an_address_with_its_chart_and_snippets(
    browser: Browser, site: str, public: Path
) -> None:
    days = json.loads((public / "sample-barley" / "history.json").read_text())["days"]
    week = sorted(days)[-7:]
    honest, raw = (sum(days[day][at] for day in week) for at in (0, 1))
    with opened(browser, site + "_packages/?sample-barley") as page:
        expect(page).to_have_title("Sample data: sample-barley: honest downloads")
        assert page.get_by_role("heading", level=1).inner_text() == "sample-barley"
        assert f"{honest:,} installs in 7 days" in page.locator(".headline").inner_text()
        assert f"{100 * honest / raw:.1f}% of {raw:,} raw downloads" in page.locator("[data-share]").inner_text()
        page.locator(".stage").focus()
        page.keyboard.press("End")
        last = days[week[-1]]
        lines = [week[-1], f"honest {last[0]:,}", f"winnowed {last[1] - last[0]:,}", f"raw {last[1]:,}"]
        assert page.locator(".tip span").all_inner_texts() == lines
        page.get_by_role("button", name="Weeks").click()
        assert page.url == site + "_packages/?sample-barley#30,weeks"
        assert (page.locator(".stage .c-honest").get_attribute("d") or "").count("M") == 4
        address = (
            f"[![installs in 30 days]({site}sample-barley/downloads-30d-non-ci.svg)]({site}_packages/?sample-barley)"
        )
        page.locator("[data-stem=downloads-30d-non-ci]").get_by_role("button").click()
        assert page.locator(".snippet code").first.inner_text() == address
        assert all(
            image.evaluate("image => image.naturalWidth > 0") for image in page.locator("[data-badges] img").all()
        )


def test_old_addresses_lead_on_and_a_name_that_nobody_publishes_is_said_not_to_be_there(
    browser: Browser, site: str
) -> None:
    for path, url in (("#sample-barley", "_packages/?sample-barley"), ("?sample-oat", "sample-oat/")):
        with opened(browser, site + "_packages/" + path) as page:
            page.wait_for_url(site + url)
    for name in ("sample-nothing", "constructor"):
        with opened(browser, f"{site}_packages/?{name}") as page:
            expect(page.get_by_text(f"No package {name} is published here.")).to_be_visible()
            assert not page.locator(".headline").is_visible()


def test_days_that_no_window_has_are_missing_and_those_without_downloads_are_0(browser: Browser, site: str) -> None:
    def answer(route: Route) -> None:
        shard = route.fetch().json()
        last, other = shard["windows"][0]["as_of"], shard["windows"][1]["first_day"]
        shard["windows"] = [
            {"days": 7, "first_day": last, "as_of": last},
            {"days": 30, "first_day": other, "as_of": other},
        ]
        route.fulfill(json=shard)

    with opened(browser, site, viewport=DESKTOP) as page:
        page.route("**/_packages/sa.json", answer)
        page.route(
            "**/sample-barley/history.json", lambda route: route.fulfill(json={**route.fetch().json(), "days": {}})
        )
        page.goto(site + "_packages/?sample-barley")
        expect(page.locator("table.days tbody tr")).to_have_count(2)
        assert page.locator("table.days tbody td:nth-child(2)").all_text_contents() == ["0", "0"]
        assert (page.locator(".stage .missing").get_attribute("d") or "").count("M") == 30 - 2
