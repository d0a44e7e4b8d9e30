"""Files at the root of the site for visitors that follow no link: search engines, browsers, and old addresses.

A file at one of these paths may be the user's own. Winnow replaces only files with its mark.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from winnow_dagster.site.all_packages import SHARDS_FOLDER
from winnow_dagster.site.template import render, static_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from winnow_dagster.site.index import Listing

ROBOTS_NAME, SITEMAP_NAME, ICON_NAME = "robots.txt", "sitemap.xml", "favicon.ico"
MISSING_NAME = "404.html"
"""GitHub Pages, `winnow serve` and most web servers answer with this page if there is no file at an address."""

ROOT_NAMES = frozenset({ROBOTS_NAME, SITEMAP_NAME, ICON_NAME, MISSING_NAME})
MARK = "Made by Winnow"
"""Each of these files contains this text."""

_REMARK = f"{MARK}. Without this line, Winnow leaves the file as it is."
MAX_ADDRESSES = 50_000
"""The largest number of addresses that a sitemap may have."""


def root_files(listing: Listing) -> dict[str, bytes]:
    """Return these files by name."""
    base_url = listing.base_url
    files = {
        ICON_NAME: static_files()[ICON_NAME],
        MISSING_NAME: _format_missing(listing, base_url),
        ROBOTS_NAME: _format_robots(base_url),
    }
    # A sitemap needs whole addresses.
    return files | ({SITEMAP_NAME: _format_sitemap(listing, base_url)} if base_url else {})


def may_replace_file(before: bytes | None) -> bool:
    """Return whether Winnow may replace one of these files. `before`: its content; None if there is no such file."""
    return before is None or MARK.encode() in before


def _format_missing(listing: Listing, base_url: str) -> bytes:
    """Return the page for addresses without a file.

    Servers answer with it at any depth. So its links start at the root of the server: at the path of the site's
    address, if the config has one.
    """
    return render(
        "missing.html",
        f"{urlsplit(base_url).path}/",
        remark=_REMARK,
        sample=listing.source == "sample",
        dataset=listing.dataset,
        remarks=listing.remarks,
        has_search=listing.everything is not None,
    )


def _format_robots(base_url: str) -> bytes:
    sitemap = f"\nSitemap: {base_url}/{SITEMAP_NAME}\n" if base_url else ""
    return f"# {_REMARK}\nUser-agent: *\nDisallow:\n{sitemap}".encode()


def _format_sitemap(listing: Listing, base_url: str) -> bytes:
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<!-- {_REMARK} -->",
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">',
        *(f"<url><loc>{escape(f'{base_url}/{path}')}</loc></url>" for path in _paths(listing)),
        "</urlset>",
    ]
    return ("\n".join(lines) + "\n").encode()


def _paths(listing: Listing) -> Iterator[str]:
    """Yield the path of each page."""
    yield ""
    if listing.everything:
        yield f"{SHARDS_FOLDER}/"
    for row in listing.rows[: MAX_ADDRESSES - 2]:
        yield f"{row.state.package}/"
