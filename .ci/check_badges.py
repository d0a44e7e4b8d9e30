"""Compare the colours and measures of Winnow's SVGs with those of badge-maker, which draws for shields.io.

.ci/checks starts this with the folder into which npm has installed badge-maker. The tests compare some of them with
tables, so they need no npm.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from winnow_dagster.core.colors import COLORS
from winnow_dagster.site.svg import draw

if TYPE_CHECKING:
    from collections.abc import Sequence

SVG = "{http://www.w3.org/2000/svg}"
CSS_NAMES = {name: COLORS[name] for name in ("blueviolet", "white", "black")}
"""Names that badge-maker leaves to the browser."""

STYLES = ("flat", "flat-square", "plastic", "for-the-badge")
LABELS = ("installs (30d)", "pip*/uv/poetry/pdm (since 2025-11-01)", "os: Linux & macOS", "x_~")
MESSAGES = ("0", "1.2k", "38.2%", "collecting 12/30d", "1.2k to 2026-11-10", "no downloads")
LOGO = "<svg/>"
MAX_DIFFERENCE = 3
"""The largest difference of a width, in pixels. Winnow rounds the widths of characters in another way."""

DRAW = """
import { makeBadge } from "badge-maker"
import { readFileSync } from "node:fs"
const badges = JSON.parse(readFileSync(0))
console.log(JSON.stringify(badges.map(badge => makeBadge(badge))))
"""


def main(folder: str) -> None:
    """Exit with a line for each badge that differs."""
    installed = json.loads((Path(folder) / "node_modules/badge-maker/package.json").read_text())["version"]
    # All greys, since text is dark from some brightness on, and a grid of other colours.
    digits = [f"{n:02x}" * 3 for n in range(256)] + [f"{n:06x}" for n in range(0, 16**6, 33331)]
    colored = [
        {"label": "a", "message": "1", "color": color, "labelColor": color, "style": style}
        for style in STYLES
        for color in (*COLORS, *digits)
    ]
    written = [
        {"label": label, "message": message, "color": "blue", "style": style, **logo}
        for style in STYLES
        for label in LABELS
        for message in MESSAGES
        for logo in ({}, {"logoSvg": LOGO})
    ]
    theirs = _draw(folder, [*colored, *written])
    drawn = [draw(badge).decode() for badge in (*colored, *written)]
    problems = [
        f"{badge}: {_colors(own, 'path')}, badge-maker {_colors(other, 'rect')}"
        for badge, own, other in zip(colored, drawn, theirs, strict=False)
        if _colors(own, "path") != _colors(other, "rect")
    ]
    rest = slice(len(colored), None)
    problems += [
        f"{badge}: {_measures(own)}, badge-maker {_measures(other)}"
        for badge, own, other in zip(written, drawn[rest], theirs[rest], strict=True)
        if not _is_alike(_measures(own), _measures(other))
    ]
    if problems:
        sys.exit("\n".join(problems))
    print(f"{len(theirs)} badges have the colours and measures of badge-maker {installed}")


def _draw(folder: str, badges: Sequence[dict[str, str]]) -> list[str]:
    logo = "data:image/svg+xml;base64," + base64.b64encode(LOGO.encode()).decode()
    asked = [{k: v for k, v in each.items() if k != "logoSvg"} for each in badges]
    for each, badge in zip(asked, badges, strict=True):
        each.update({"logoBase64": logo} if "logoSvg" in badge else {})
    command = ["node", "--input-type=module", "--eval", DRAW]
    done = subprocess.run(command, cwd=folder, input=json.dumps(asked), capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


def _colors(svg: str, shape: str) -> list[str]:
    """Return the colours of a badge's two halves, of the gradient over them, and of the texts on them."""
    root = ET.fromstring(svg)  # noqa: S314 - drawn here
    halves = [fill for element in root.iter(f"{SVG}{shape}") if (fill := element.get("fill")) is not None][:2]
    stops = [stop.get("stop-color", "black") + stop.get("stop-opacity", "") for stop in root.iter(f"{SVG}stop")]
    texts = [text.get("fill", "#fff") for text in _texts(root)]
    return [*map(_six_digits, halves), *(stop.replace("#000", "black") for stop in stops), *map(_six_digits, texts)]


def _texts(root: ET.Element) -> list[ET.Element]:
    # Shadows are translucent, or in hidden groups. badge-maker names no colour of a white text.
    hidden = {text for group in root.iter() if group.get("aria-hidden") for text in group.iter(f"{SVG}text")}
    return [text for text in root.iter(f"{SVG}text") if text not in hidden and text.get("fill-opacity") is None]


def _measures(svg: str) -> tuple[list[object], list[float]]:
    """Return what must be equal, such as the texts and their heights, and the widths, which may differ a little."""
    root = ET.fromstring(svg)  # noqa: S314 - drawn here
    parents = {child: parent for parent in root.iter() for child in parent}
    equal: list[object] = [float(root.get("height", "0"))]
    widths, scale = [float(root.get("width", "0"))], 1.0
    for text in _texts(root):
        # badge-maker draws text ten times as large.
        scale = 0.1 if "scale(.1)" in {text.get("transform"), parents[text].get("transform")} else 1.0
        equal += [text.text, text.get("font-weight"), round(scale * float(text.get("y", "0")), 2)]
        widths += [scale * float(text.get(key, "0")) for key in ("x", "textLength")]
    for element in root.iter():
        keys = ("x", "y", "width", "height") if element.tag == f"{SVG}image" else ("rx",)
        equal += [float(size) for key in keys if (size := element.get(key))]
        equal += [round(scale * float(size), 2) for key in ("font-size",) if (size := element.get(key))]
    return equal, widths


def _is_alike(own: tuple[list[object], list[float]], other: tuple[list[object], list[float]]) -> bool:
    pairs = zip(own[1], other[1], strict=True)
    return own[0] == other[0] and all(abs(mine - theirs) <= MAX_DIFFERENCE for mine, theirs in pairs)


def _six_digits(color: str) -> str:
    color = CSS_NAMES.get(color, color).lower()
    return "#" + "".join(2 * digit for digit in color[1:]) if len(color) == len("#rgb") else color


if __name__ == "__main__":
    main(sys.argv[1])
