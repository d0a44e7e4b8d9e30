"""Files for visitors that follow no link: robots.txt, a sitemap, an icon, and the page for missing files."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from xml.etree import ElementTree as ET

import pytest

from winnow_dagster.core.badge import DEFAULT_STYLE
from winnow_dagster.core.window import PackageState, WindowState
from winnow_dagster.site.all_packages import Summary
from winnow_dagster.site.discovery import MARK, ROOT_NAMES, may_replace_file, root_files
from winnow_dagster.site.index import Listing, list_packages
from winnow_dagster.site.site import SiteConfig
from winnow_dagster.site.template import STATIC_FOLDER, static_files

DAY = date(2025, 6, 30)
SITE = SiteConfig(3, styles={"a-a": DEFAULT_STYLE, "_group/both": DEFAULT_STYLE})
STATES = [PackageState(name, "bigquery", (WindowState(30, None, 0),)) for name in ("a-a", "_group/both")]
LISTING = Listing(
    list_packages(STATES, {"a-a": "A_a"}, SITE, through=DAY, today=DAY + timedelta(days=1)), "bigquery", DAY, 3
)
EVERYTHING = Summary("bigquery", {30: DAY}, (30,), {"aa": 3})


def text(name: str, base_url: str = "", everything: Summary | None = None) -> str:
    return root_files(replace(LISTING, base_url=base_url, everything=everything))[name].decode()


def test_the_sitemap_has_the_address_of_each_page() -> None:
    root = ET.fromstring(text("sitemap.xml", "https://badges.example.com/x", EVERYTHING))
    assert [element.text for element in root.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")] == [
        f"https://badges.example.com/x/{path}" for path in ("", "_packages/", "a-a/", "_group/both/")
    ]
    assert "Sitemap: https://badges.example.com/x/sitemap.xml\n" in text("robots.txt", "https://badges.example.com/x")


def test_without_the_sites_address_there_is_no_sitemap() -> None:
    assert root_files(LISTING).keys() == ROOT_NAMES - {"sitemap.xml"}
    assert text("robots.txt").splitlines()[1:] == ["User-agent: *", "Disallow:"]


@pytest.mark.parametrize(
    ("base_url", "root"), [("", "/"), ("https://a.example.com", "/"), ("https://owner.github.io/badges", "/badges/")]
)
def test_the_page_for_missing_files_links_from_the_root_of_the_server(base_url: str, root: str) -> None:
    page = text("404.html", base_url, EVERYTHING)
    links = re.findall(r'(?:href|src)="([^"#]+)"', page)
    own = [link for link in links if not link.startswith("https://creativecommons.org")]
    assert {link for link in own if not link.startswith(f"{root}{STATIC_FOLDER}/")} == {root, f"{root}_packages/"}
    assert 'content="noindex"' in page
    assert f"{root}_packages/" not in text("404.html", base_url)


def test_each_file_says_that_winnow_made_it_and_any_other_file_stays() -> None:
    for content in root_files(replace(LISTING, base_url="https://a.example.com")).values():
        assert may_replace_file(content)
        assert not may_replace_file(content.replace(MARK.encode(), b""))
    assert may_replace_file(None)


def test_the_shared_pictures_are_small() -> None:
    found = static_files()
    assert found["preview.png"][:8] == found["icon.png"][:8] == b"\x89PNG\r\n\x1a\n"
    assert len(found["preview.png"]) < 60_000
    assert len(found["icon.png"]) + len(found["favicon.ico"]) < 2_000
