"""Compare the colours of Winnow's SVGs with those of badge-maker, which draws for shields.io.

.ci/checks starts this with the folder into which npm has installed badge-maker. The tests compare the same colours with
a table, so they need no npm.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from winnow_dagster.core.colors import COLORS
from winnow_dagster.site.svg import draw

SVG = "{http://www.w3.org/2000/svg}"
CSS_NAMES = {name: COLORS[name] for name in ("blueviolet", "white", "black")}
"""Names that badge-maker leaves to the browser."""

DRAW = """
import { makeBadge } from "badge-maker"
import { readFileSync } from "node:fs"
const badges = JSON.parse(readFileSync(0))
console.log(JSON.stringify(badges.map(badge => makeBadge(badge))))
"""


def main(folder: str) -> None:
    """Exit with a line for each badge whose colours differ."""
    # All greys, since text is dark from some brightness on, and a grid of other colours.
    digits = [f"{n:02x}" * 3 for n in range(256)] + [f"{n:06x}" for n in range(0, 16**6, 33331)]
    badges = [{"label": "a", "message": "1", "color": color, "labelColor": color} for color in (*COLORS, *digits)]
    installed = json.loads((Path(folder) / "node_modules/badge-maker/package.json").read_text())["version"]
    command = ["node", "--input-type=module", "--eval", DRAW]
    asked = json.dumps(badges)
    done = subprocess.run(command, cwd=folder, input=asked, capture_output=True, text=True, check=True)
    theirs = [_colors(svg, "rect") for svg in json.loads(done.stdout)]
    ours = [_colors(draw(badge).decode(), "path") for badge in badges]
    differing = [
        f"{badge['color']}: {own}, badge-maker {other}"
        for badge, own, other in zip(badges, ours, theirs, strict=True)
        if own != other
    ]
    if differing:
        sys.exit("\n".join(differing))
    print(f"{len(badges)} badges have the colours of badge-maker {installed}")


def _colors(svg: str, shape: str) -> list[str]:
    """Return the colours of a badge's two halves, of the gradient over them, and of the texts on them."""
    root = ET.fromstring(svg)  # noqa: S314 - drawn here
    halves = [fill for element in root.iter(f"{SVG}{shape}") if (fill := element.get("fill")) is not None][:2]
    gradient = [stop.get("stop-color", "black") for stop in root.iter(f"{SVG}stop")]
    # Shadows are translucent, or in hidden groups. badge-maker names no colour of a white text.
    hidden = {text for group in root.iter() if group.get("aria-hidden") for text in group.iter(f"{SVG}text")}
    texts = [text for text in root.iter(f"{SVG}text") if text not in hidden and text.get("fill-opacity") is None]
    return [_six_digits(color) for color in (*halves, *gradient, *(text.get("fill", "#fff") for text in texts))]


def _six_digits(color: str) -> str:
    color = CSS_NAMES.get(color, color).lower()
    return "#" + "".join(2 * digit for digit in color[1:]) if len(color) == len("#rgb") else color


if __name__ == "__main__":
    main(sys.argv[1])
