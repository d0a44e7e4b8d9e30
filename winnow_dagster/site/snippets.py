"""Snippets that show a badge in a README, in four markups."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

SHIELDS = "https://img.shields.io/endpoint?url="
ALT = "downloads"
ROOT_PLACEHOLDER = "https://badges.example.com"
"""Stands for the web directory's address if the config does not have it. The page's script replaces it."""


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


def snippets(picture: str, page: str) -> list[Snippet]:
    """Return a snippet in each markup: a picture that links to a page."""
    return [
        Snippet("Markdown", f"[![{ALT}]({picture})]({page})"),
        Snippet("reStructuredText", f".. image:: {picture}\n   :alt: {ALT}\n   :target: {page}"),
        Snippet("HTML", f'<a href="{page}"><img src="{picture}" alt="{ALT}" height="20"></a>'),
        Snippet("AsciiDoc", f'image:{picture}[{ALT},link="{page}"]'),
    ]
