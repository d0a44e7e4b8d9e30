"""Links lead somewhere: to a file, to a heading, or to a complete web address."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.docs.pages import PAGES, ROOT, name, prose, read

LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)|(?:src|srcset)=\"(?P<source>[^\"]+)\"")


def targets(page: Path) -> list[str]:
    return [link["target"] or link["source"] for link in LINK.finditer(prose(read(page)))]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", read(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_each_link_leads_somewhere(page: Path) -> None:
    for target in targets(page):
        parts = urlsplit(target)
        if parts.scheme:
            assert parts.scheme == "https", target
            assert "." in parts.netloc, target
            continue
        path = (page.parent / parts.path).resolve() if parts.path else page
        assert path.is_relative_to(ROOT), target
        assert path.exists(), target
        assert not parts.fragment or parts.fragment in anchors(path), target


def test_every_page_can_be_reached_from_the_first_page_of_the_documentation() -> None:
    first = ROOT / "docs" / "index.md"
    linked = {(first.parent / target).resolve() for target in targets(first)}
    assert {page for page in PAGES if name(page) != "README.md"} <= {*linked, first}
