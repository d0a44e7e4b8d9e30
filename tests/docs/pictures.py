"""Draw the README's pictures from sample data: `python -m tests.docs.pictures`. Needs Chromium."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import ViewportSize, sync_playwright

from tests.docs.generated import DOCS

PICTURES = DOCS / "pictures"
PACKAGE = "sample-oat"
CONFIG = {
    "source": {"kind": "sample"},
    "packages": [{"name": PACKAGE, "window_days": 90, "label": "installs ({days}d)"}],
}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SIZE: ViewportSize = {"width": 900, "height": 640}


def main() -> None:
    """Collect, then photograph the page in each colour scheme, and copy the headline's badge."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "winnow.yaml").write_text(json.dumps(CONFIG), encoding="utf-8")
        subprocess.run([sys.executable, "-m", "winnow_dagster", "collect", "--quiet"], cwd=folder, check=True)
        published = folder / "public" / PACKAGE
        shutil.copy(published / "downloads-90d-non-ci.svg", PICTURES / "badge.svg")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for scheme in SCHEMES:
                page = browser.new_page(viewport=SIZE, color_scheme=scheme)
                page.goto((published / "index.html").as_uri())
                page.screenshot(path=PICTURES / f"page-{scheme}.png")
    for picture in sorted(PICTURES.iterdir()):
        print(f"{picture}: {picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
