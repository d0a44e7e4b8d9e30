"""Snippets that show a badge in a README, in four markups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from winnow_dagster.core.badge import PYTHONS, SLUGS, split_slug
from winnow_dagster.core.window import ALL

if TYPE_CHECKING:
    from winnow_dagster.core.badge import Badge

SHIELDS = "https://img.shields.io/endpoint?url="
ROOT_PLACEHOLDER = "https://badges.example.com"
"""Stands for the web directory's address if the config does not have it. The page's script replaces it."""

_SUBJECTS = {"downloads": "installs", "honest-share": "honest share of downloads", PYTHONS: "Pythons in use"}


@dataclass(frozen=True)
class Snippet:
    """The text that shows a badge in one markup."""

    markup: str
    text: str


def own_picture(root: str, folder: str, stem: str) -> str:
    """Return the address of a badge's own SVG below `root`."""
    return f"{root}/{folder}/{stem}.svg"


def shields_picture(root: str, folder: str, stem: str) -> str:
    """Return the address at which shields.io draws the badge below `root`."""
    return SHIELDS + quote(f"{root}/{folder}/{stem}.json", safe="")


def describe(slug: str, days: int) -> str:
    """Return what a badge shows, as its alternative text: `installs with uv in 30 days`.

    Unlike a configured label, it has no character with a meaning in a markup. It has no number either, since nobody
    updates a README each day.
    """
    length = "all days" if days == ALL else "1 day" if days == 1 else f"{days} days"
    kind, _, value = slug.partition("-")
    broken_down = split_slug(slug)
    if slug in _SUBJECTS:
        what = _SUBJECTS[slug]
    elif broken_down and slug not in SLUGS:
        what = f"installs by {broken_down[0].replace('_', ' ')} {broken_down[1]}"
    else:
        what = f"installs {'on' if kind == 'os' else 'with'} {value.replace('-', ' ')}"
    return f"{what} in {length}"


def snippets(picture: str, page: str, alt: str, height: int) -> list[Snippet]:
    """Return a snippet in each markup: a picture of this height that links to a page."""
    return [
        Snippet("Markdown", f"[![{alt}]({picture})]({page})"),
        Snippet("reStructuredText", f".. image:: {picture}\n   :alt: {alt}\n   :target: {page}"),
        Snippet("HTML", f'<a href="{page}"><img src="{picture}" alt="{alt}" height="{height}"></a>'),
        Snippet("AsciiDoc", f'image:{picture}[{alt},link="{page}"]'),
    ]


def snippets_by_source(root: str, folder: str, badge: Badge, page: str, height: int) -> dict[str, list[Snippet]]:
    """Return the snippets of a badge for each picture of it: Winnow's own, and that of shields.io."""
    alt = describe(badge.slug, badge.days)
    return {
        "drawn here": snippets(own_picture(root, folder, badge.stem), page, alt, height),
        "drawn by shields.io": snippets(shields_picture(root, folder, badge.stem), page, alt, height),
    }
