"""A badge as SVG: what shields.io's flat style looks like, drawn here so that nobody else has to be asked."""

from __future__ import annotations

import unicodedata
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

HEIGHT = 20
PADDING = 5
LABEL_COLOUR = "#555"
COLOURS = {"blue": "#007ec6", "lightgrey": "#9f9f9f"}
"""What shields.io makes of the colours that badges have."""

# How far each character of Verdana at 11 px moves on, in hundredths of a pixel, characters of one width together.
_WIDTHS = {
    " ": 388, "!": 434, '"': 506, "'": 296, "()[]/\\|:;-J": 500, ",.": 400, "?": 600, "&": 800, "%": 1184, "@": 1100,
    "#+<=>^~": 900, "$*_`0123456789": 700, "{}": 698, "AV": 752, "BXZ": 754, "C": 768, "D": 848, "E": 696, "F": 632,
    "G": 854, "H": 828, "I": 464, "K": 762, "L": 612, "M": 928, "N": 824, "OQ": 866, "P": 664, "R": 766, "S": 752,
    "TY": 678, "U": 806, "W": 1088, "a": 662, "bdgpq": 686, "cs": 574, "e": 656, "f": 388, "hnu": 696, "il": 302,
    "t": 434, "j": 380, "kvxy": 652, "m": 1070, "o": 668, "r": 470, "w": 900, "z": 578,
}  # fmt: skip
_WIDTH = {character: width for characters, width in _WIDTHS.items() for character in characters}
_OTHER, _WIDE = 700, 1100


def measure(text: str) -> int:
    """Return the width of `text` in whole pixels, odd, as a badge leaves room for it."""
    pixels = sum(map(_advance, text)) // 100
    return pixels + 1 - pixels % 2


def draw(payload: Mapping[str, object]) -> bytes:
    """Return the SVG of an endpoint payload: its label, message and colour."""
    label, message = str(payload["label"]), str(payload["message"])
    colour = COLOURS[str(payload["color"])]
    left, right = measure(label) + 2 * PADDING, measure(message) + 2 * PADDING
    width, title = left + right, escape(f"{label}: {message}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" role="img" aria-label="{title}">'
        f"<title>{title}</title>"
        f'<clipPath id="c"><rect width="{width}" height="{HEIGHT}" rx="3"/></clipPath>'
        '<linearGradient id="g" x2="0" y2="1"><stop stop-color="#fff" stop-opacity=".1"/>'
        '<stop offset="1" stop-opacity=".1"/></linearGradient>'
        f'<g clip-path="url(#c)"><path fill="{LABEL_COLOUR}" d="M0 0h{left}v{HEIGHT}H0z"/>'
        f'<path fill="{colour}" d="M{left} 0h{right}v{HEIGHT}H{left}z"/>'
        f'<path fill="url(#g)" d="M0 0h{width}v{HEIGHT}H0z"/></g>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11">'
        f"{_text(label, left / 2, left)}{_text(message, left + right / 2, right)}</g></svg>\n"
    ).encode()


def _text(text: str, middle: float, room: int) -> str:
    """Return a text with its shadow, set to the width that was left for it whatever the reader's font is."""
    where = f'x="{middle:g}" textLength="{room - 2 * PADDING}"'
    shown = escape(text)
    return f'<text {where} y="15" fill="#010101" fill-opacity=".3">{shown}</text><text {where} y="14">{shown}</text>'


def _advance(character: str) -> int:
    wide = unicodedata.east_asian_width(character) in "WF"
    return _WIDTH.get(character, _WIDE if wide else _OTHER)
