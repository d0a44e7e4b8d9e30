"""A badge as SVG, in shields.io's flat style. Winnow draws it, so that a page needs no other server."""

from __future__ import annotations

import base64
import re
import unicodedata
from html import escape
from typing import TYPE_CHECKING

from winnow_dagster.core.colors import COLORS, LABEL_COLOR

if TYPE_CHECKING:
    from collections.abc import Mapping

HEIGHT = 20
PADDING = 5
LOGO_SIZE = 14
LOGO_ROOM = 3
"""The pixels between a logo and the label."""

MIN_BRIGHTNESS = 0.69
"""Above this brightness of the background, text is dark."""

# The widths of Verdana's characters at 11 px, in hundredths of a pixel. Characters of equal width share a key.
_WIDTHS = {
    " ": 388, "!": 434, '"': 506, "'": 296, "()[]/\\|:;-J": 500, ",.": 400, "?": 600, "&": 800, "%": 1184, "@": 1100,
    "#+<=>^~": 900, "$*_`0123456789": 700, "{}": 698, "AV": 752, "BXZ": 754, "C": 768, "D": 848, "E": 696, "F": 632,
    "G": 854, "H": 828, "I": 464, "K": 762, "L": 612, "M": 928, "N": 824, "OQ": 866, "P": 664, "R": 766, "S": 752,
    "TY": 678, "U": 806, "W": 1088, "a": 662, "bdgpq": 686, "cs": 574, "e": 656, "f": 388, "hnu": 696, "il": 302,
    "t": 434, "j": 380, "kvxy": 652, "m": 1070, "o": 668, "r": 470, "w": 900, "z": 578,
}  # fmt: skip
_WIDTH = {character: width for characters, width in _WIDTHS.items() for character in characters}
_DEFAULT_WIDTH, _EAST_ASIAN_WIDTH = 700, 1100


def measure(text: str) -> int:
    """Return the width that a badge reserves for `text`: an odd number of whole pixels."""
    pixels = sum(map(_advance, text)) // 100
    return pixels + 1 - pixels % 2


def size(payload: Mapping[str, object]) -> tuple[int, int]:
    """Return the width and height of a drawn badge, in pixels."""
    left, right, _ = _widths(payload)
    return left + right, HEIGHT


def draw(payload: Mapping[str, object]) -> bytes:
    """Return the SVG of an endpoint payload: its label, message, colours and own logo.

    All styles but flat-square look flat. A `namedLogo` is left out, since only shields.io has its picture.
    """
    label, message = _words(payload, "label"), _words(payload, "message")
    left_color, right_color = _hex(payload.get("labelColor", LABEL_COLOR)), _hex(payload.get("color"))
    logo = str(payload.get("logoSvg", ""))
    left, right, indent = _widths(payload)
    width, title = left + right, escape(f"{label}: {message}" if label else message)
    is_flat = payload.get("style") != "flat-square"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" role="img" aria-label="{title}">'
        f"<title>{title}</title>"
        + (_GRADIENT + f'<clipPath id="c"><rect width="{width}" height="{HEIGHT}" rx="3"/></clipPath>')
        * is_flat
        + f'<g{_CLIPPED * is_flat}><path fill="{left_color}" d="M0 0h{left}v{HEIGHT}H0z"/>'
        f'<path fill="{right_color}" d="M{left} 0h{right}v{HEIGHT}H{left}z"/>'
        + f'<path fill="url(#g)" d="M0 0h{width}v{HEIGHT}H0z"/>' * is_flat
        + '</g><g text-anchor="middle" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11">'
        + (_image(logo) if logo else "")
        + (_text(label, (left + indent) / 2, left_color, is_flat=is_flat) if label else "")
        + _text(message, left + right / 2, right_color, is_flat=is_flat)
        + "</g></svg>\n"
    ).encode()


def _widths(payload: Mapping[str, object]) -> tuple[int, int, int]:
    """Return the widths of a badge's two halves, and of the logo within the left one."""
    label, logo = _words(payload, "label"), payload.get("logoSvg")
    indent = LOGO_SIZE + (LOGO_ROOM if label else 0) if logo else 0
    left = measure(label) + 2 * PADDING + indent if label or logo else 0
    return left, measure(_words(payload, "message")) + 2 * PADDING, indent


def _words(payload: Mapping[str, object], key: str) -> str:
    """Return a text of a payload without the characters that XML does not allow."""
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "", str(payload.get(key, "")))


_CLIPPED = ' clip-path="url(#c)"'
_GRADIENT = (
    '<linearGradient id="g" x2="0" y2="1"><stop stop-color="#bbb" stop-opacity=".1"/>'
    '<stop offset="1" stop-opacity=".1"/></linearGradient>'
)


def _text(text: str, middle: float, behind: str, *, is_flat: bool) -> str:
    """Return a text, with a shadow if flat. `textLength` fixes its width in any font."""
    color, shadow = ("#333", "#ccc") if _brightness(behind) > MIN_BRIGHTNESS else ("#fff", "#010101")
    where = f'x="{middle:g}" textLength="{measure(text)}"'
    shown = escape(text)
    below = f'<text {where} y="15" fill="{shadow}" fill-opacity=".3">{shown}</text>' * is_flat
    return f'{below}<text {where} y="14" fill="{color}">{shown}</text>'


def _image(logo: str) -> str:
    """Return a logo as an image element. No script runs inside it."""
    data = base64.b64encode(logo.encode()).decode()
    where = f'x="{PADDING}" y="3" width="{LOGO_SIZE}" height="{LOGO_SIZE}"'
    return f'<image {where} href="data:image/svg+xml;base64,{data}"/>'


def _hex(color: object) -> str:
    """Return a colour as # and digits. Invalid colours, from files of other programs, become light grey."""
    text = COLORS.get(str(color), str(color)).removeprefix("#")
    return "#" + (text.lower() if re.fullmatch("(?:[0-9a-fA-F]{3}){1,2}", text) else COLORS["lightgrey"][1:])


def _brightness(color: str) -> float:
    digits = color.removeprefix("#")
    if len(digits) == len("rgb"):
        digits = "".join(2 * digit for digit in digits)
    red, green, blue = (int(digits[at : at + 2], 16) for at in (0, 2, 4))
    # Rounded as in badge-maker, so that both choose the same text colours.
    return round((red * 299 + green * 587 + blue * 114) / 255_000, 2)


def _advance(character: str) -> int:
    wide = unicodedata.east_asian_width(character) in "WF"
    return _WIDTH.get(character, _EAST_ASIAN_WIDTH if wide else _DEFAULT_WIDTH)
