"""Snippets: a badge as a README shows it, in four markups."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

SHIELDS = "https://img.shields.io/endpoint?url="
ALT = "downloads"
ROOT_PLACEHOLDER = "https://badges.example.com"
"""Stands for the address of the web directory where the config does not say it; a script fills it in."""


@dataclass(frozen=True)
class Snippet:
    """One way to show a badge."""

    markup: str
    text: str


def own_picture(root: str, folder: str, stem: str) -> str:
    """Return the address of a badge's own SVG below `root`."""
    return f"{root}/{folder}/{stem}.svg"


def shields_picture(root: str, folder: str, stem: str) -> str:
    """Return the address at which shields.io draws a badge below `root`."""
    return SHIELDS + quote(f"{root}/{folder}/{stem}.json", safe="")


def snippets(picture: str, page: str) -> list[Snippet]:
    """Return a picture that links to a page, in each markup."""
    return [
        Snippet("Markdown", f"[![{ALT}]({picture})]({page})"),
        Snippet("reStructuredText", f".. image:: {picture}\n   :alt: {ALT}\n   :target: {page}"),
        Snippet("HTML", f'<a href="{page}"><img src="{picture}" alt="{ALT}" height="20"></a>'),
        Snippet("AsciiDoc", f'image:{picture}[{ALT},link="{page}"]'),
    ]
