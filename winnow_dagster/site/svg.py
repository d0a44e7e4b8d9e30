"""A badge as SVG, in the styles of shields.io. Winnow draws it, so that a page needs no other server."""

from __future__ import annotations

import base64
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING

from winnow_dagster.core.colors import COLORS, LABEL_COLOR
from winnow_dagster.site.verdana import MAX_REMEMBERED, measure, measure_capitals

if TYPE_CHECKING:
    from collections.abc import Mapping

LOGO_SIZE = 14

MIN_BRIGHTNESS = 0.69
"""Above this brightness of the background, text is dark."""


@dataclass(frozen=True)
class _Style:
    """The measures of a style in pixels, and its gradient."""

    height: int = 20
    padding: int = 5
    logo_left: int = 5
    logo_top: int = 3
    logo_gap: int = 3
    """The space between a logo and the label."""

    baseline: float = 14
    radius: int = 0
    stops: str = ""
    """The gradient over the badge. A style without one is flat, without a shadow."""

    has_capitals: bool = False
    """Whether the texts are spaced capitals, and the message is bold."""

    def write(self, text: str) -> str:
        """Return a text as it is drawn."""
        return text.upper() if self.has_capitals else text

    def measure(self, text: str, *, is_message: bool) -> float:
        """Return the width of a drawn text."""
        return measure_capitals(text, is_bold=is_message) if self.has_capitals else measure(text)


_FLAT_STOPS = '<stop stop-color="#bbb" stop-opacity=".1"/><stop offset="1" stop-opacity=".1"/>'
_PLASTIC_STOPS = (
    '<stop stop-color="#fff" stop-opacity=".7"/><stop offset=".1" stop-color="#aaa" stop-opacity=".1"/>'
    '<stop offset=".9" stop-opacity=".3"/><stop offset="1" stop-opacity=".5"/>'
)
_FLAT = _Style(radius=3, stops=_FLAT_STOPS)
_STYLES = {
    "flat-square": _Style(),
    "plastic": _Style(height=18, logo_top=2, baseline=13, radius=4, stops=_PLASTIC_STOPS),
    "for-the-badge": _Style(28, 12, 9, 7, 6, 17.5, has_capitals=True),
}


@dataclass(frozen=True)
class _Drawing:
    """A payload's texts and logo with the measures of its style."""

    style: _Style
    label: str
    message: str
    logo: str

    @staticmethod
    def of(payload: Mapping[str, object]) -> _Drawing:
        style = _STYLES.get(str(payload.get("style")), _FLAT)
        label, message = (style.write(_words(payload, key)) for key in ("label", "message"))
        return _Drawing(style, label, message, str(payload.get("logoSvg") or ""))

    @property
    def text_left(self) -> float:
        """The left end of the label."""
        if not self.logo:
            return self.style.padding
        return self.style.logo_left + LOGO_SIZE + (self.style.logo_gap if self.label else 0)

    @property
    def left(self) -> float:
        """The width of the left half."""
        if not (self.label or self.logo):
            return 0
        return self.text_left + self.style.measure(self.label, is_message=False) + self.style.padding

    @property
    def right(self) -> float:
        """The width of the right half."""
        return self.style.measure(self.message, is_message=True) + 2 * self.style.padding


def size(payload: Mapping[str, object]) -> tuple[int, int]:
    """Return the width and height of a drawn badge, in whole pixels."""
    drawing = _Drawing.of(payload)
    return math.ceil(drawing.left + drawing.right), drawing.style.height


def draw(payload: Mapping[str, object]) -> bytes:
    """Return the SVG of an endpoint payload: its label, message, colours and own logo.

    Styles that Winnow does not know, from files of other programs, look flat. A `namedLogo` is left out, since only
    shields.io has its picture.
    """
    drawing = _Drawing.of(payload)
    style, left, right = drawing.style, drawing.left, drawing.right
    left_color, right_color = _hex(payload.get("labelColor", LABEL_COLOR)), _hex(payload.get("color"))
    label, message = _words(payload, "label"), _words(payload, "message")
    width, title = f"{left + right:g}", escape(f"{label}: {message}" if label else message)
    height, has_gradient = style.height, bool(style.stops)
    clip = f'<clipPath id="c"><rect width="{width}" height="{height}" rx="{style.radius}"/></clipPath>'
    gradient = f'<linearGradient id="g" x2="0" y2="1">{style.stops}</linearGradient>'
    middle = drawing.text_left + style.measure(drawing.label, is_message=False) / 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" role="img" aria-label="{title}">'
        f"<title>{title}</title>"
        + (gradient + clip)
        * has_gradient
        + f'<g{_CLIPPED * has_gradient}><path fill="{left_color}" d="M0 0h{left:g}v{height}H0z"/>'
        f'<path fill="{right_color}" d="M{left:g} 0h{right:g}v{height}H{left:g}z"/>'
        + f'<path fill="url(#g)" d="M0 0h{width}v{height}H0z"/>'
        * has_gradient
        + '</g><g text-anchor="middle" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" '
        f'font-size="{10 if style.has_capitals else 11}">'
        + (_image(drawing.logo, style) if drawing.logo else "")
        + (_text(drawing.label, middle, left_color, style) if label else "")
        + _text(drawing.message, left + right / 2, right_color, style, is_message=True)
        + "</g></svg>\n"
    ).encode()


def _words(payload: Mapping[str, object], key: str) -> str:
    """Return a text of a payload without the characters that XML does not allow."""
    text = str(payload.get(key, ""))
    # Printable characters are all allowed.
    return text if text.isprintable() else _FORBIDDEN.sub("", text)


_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_CLIPPED = ' clip-path="url(#c)"'


def _text(text: str, middle: float, behind: str, style: _Style, *, is_message: bool = False) -> str:
    """Return a text, with a shadow if the style has a gradient. `textLength` fixes its width in any font."""
    color, shadow = ("#333", "#ccc") if _brightness(behind) > MIN_BRIGHTNESS else ("#fff", "#010101")
    where = f'x="{middle:g}" textLength="{style.measure(text, is_message=is_message):g}"'
    where += ' font-weight="bold"' * (is_message and style.has_capitals)
    shown = escape(text)
    below = f'<text {where} y="{style.baseline + 1:g}" fill="{shadow}" fill-opacity=".3">{shown}</text>'
    return f'{below * bool(style.stops)}<text {where} y="{style.baseline:g}" fill="{color}">{shown}</text>'


def _image(logo: str, style: _Style) -> str:
    """Return a logo as an image element. No script runs inside it."""
    data = base64.b64encode(logo.encode()).decode()
    where = f'x="{style.logo_left}" y="{style.logo_top}" width="{LOGO_SIZE}" height="{LOGO_SIZE}"'
    return f'<image {where} href="data:image/svg+xml;base64,{data}"/>'


@lru_cache(MAX_REMEMBERED)
def _hex(color: object) -> str:
    """Return a colour as # and digits. Invalid colours, from files of other programs, become light grey."""
    text = COLORS.get(str(color), str(color)).removeprefix("#")
    return "#" + (text.lower() if re.fullmatch("(?:[0-9a-fA-F]{3}){1,2}", text) else COLORS["lightgrey"][1:])


@lru_cache(MAX_REMEMBERED)
def _brightness(color: str) -> float:
    digits = color.removeprefix("#")
    if len(digits) == len("rgb"):
        digits = "".join(2 * digit for digit in digits)
    red, green, blue = (int(digits[at : at + 2], 16) for at in (0, 2, 4))
    # Rounded as in badge-maker, so that both choose the same text colours.
    return round((red * 299 + green * 587 + blue * 114) / 255_000, 2)
