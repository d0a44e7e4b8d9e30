"""Draw the pictures that all sites share, from sample data: `python -m tests.docs.preview`. Needs Chromium.

The preview is what chats and social networks show for a link to a page. It has no numbers, so it never grows stale. The
icons are for browsers that take no SVG.
"""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from winnow_dagster.core.categories import CATEGORIES
from winnow_dagster.site.discovery import MARK

if TYPE_CHECKING:
    from playwright.sync_api import Browser

STATIC = Path(__file__).parents[2] / "winnow_dagster" / "site" / "static"
CONFIG = {"source": {"kind": "sample"}, "packages": [{"name": "sample-oat", "window_days": 42}]}
LAST_DAY = "2026-10-31"
"""A fixed day, so that the picture is always the same."""

WIDTH, HEIGHT = 1200, 630
MAX_BAR = 300
ICON_SIZE, TOUCH_ICON_SIZE = 32, 180

PREVIEW = """<!doctype html><style>{sheet}
body {{ position: relative; width: 1200px; max-width: none; height: 630px; padding: 64px 72px; }}
h1 {{ margin: 0; font-size: 76px; letter-spacing: -.02em; }}
p {{ margin: 12px 0; color: var(--quiet); font-size: 34px; line-height: 1.35; }}
svg {{ position: absolute; left: 0; bottom: 0; }}</style>
<h1>Honest downloads</h1><p>What people install from PyPI.<br>CI jobs, mirrors and bots are set apart.</p>
<svg width="1200" height="300">{bars}</svg>"""
ICON = """<!doctype html><style>* {{ margin: 0 }} svg {{ display: block; width: 100vw; height: 100vh; }}</style>{svg}"""


def main() -> None:
    """Draw the preview and the icons."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        sheet = (STATIC / "winnow.css").read_text()
        preview = PREVIEW.format(sheet=sheet, bars=_bars(_sample_days()))
        icon = ICON.format(svg=(STATIC / "winnow.svg").read_text())
        files = {
            "preview.png": _photograph(browser, preview, WIDTH, HEIGHT),
            "icon.png": _photograph(
                browser, f"<style>body {{ background: #fff }}</style>{icon}", *2 * [TOUCH_ICON_SIZE]
            ),
            "favicon.ico": _icon(_photograph(browser, icon, ICON_SIZE, ICON_SIZE)),
        }
    for name, content in files.items():
        (STATIC / name).write_bytes(content)
        print(f"{STATIC / name}: {len(content):,} bytes")


def _sample_days() -> list[dict[str, int]]:
    """Return the sample downloads of some days by category."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "winnow.yaml").write_text(json.dumps(CONFIG), encoding="utf-8")
        command = [sys.executable, "-m", "winnow_dagster", "collect", "--quiet", "--through", LAST_DAY]
        subprocess.run(command, cwd=folder, check=True)
        days = json.loads((folder / "public/sample-oat/history.json").read_text())["days"]
    return [day["categories"] for day in days]


def _bars(days: list[dict[str, int]]) -> str:
    most, room = max(sum(day.values()) for day in days), WIDTH / len(days)
    drawn = []
    for at, day in enumerate(days):
        top = MAX_BAR
        for category in CATEGORIES:
            height = round(day[category] / most * MAX_BAR)
            top -= height
            drawn.append(
                f'<path class="c-{category}" d="M{at * room:.0f} {top}h{room - 4:.0f}v{height}h{4 - room:.0f}z"/>'
            )
    return "".join(drawn)


def _photograph(browser: Browser, html: str, width: int, height: int) -> bytes:
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
    page.set_content(html)
    return page.screenshot(omit_background=True)


def _icon(png: bytes) -> bytes:
    """Return a picture as an icon file. Its text says who made it, so that Winnow knows its own file again."""
    start = png.index(b"IDAT") - 4
    text = b"tEXtSoftware\0" + MARK.encode()
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    png = png[:start] + chunk + png[start:]
    entry = struct.pack("<BBBBHHII", ICON_SIZE, ICON_SIZE, 0, 0, 1, 32, len(png), 6 + 16)
    return struct.pack("<HHH", 0, 1, 1) + entry + png


if __name__ == "__main__":
    main()
