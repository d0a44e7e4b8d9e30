"""Open published pages in a real browser, and check that nothing goes wrong in them."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import sync_playwright

from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt install chromium")
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 800}


in_all_looks = pytest.mark.parametrize(
    ("scheme", "viewport"),
    [
        pytest.param("light", DESKTOP, id="light-desktop"),
        pytest.param("dark", PHONE, id="dark-phone"),
        pytest.param("light", PHONE, id="light-phone", marks=pytest.mark.release),
        pytest.param("dark", DESKTOP, id="dark-desktop", marks=pytest.mark.release),
    ],
)


@contextlib.contextmanager
def launched() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


def collect(folder: Path, config: Mapping[str, Any], *options: str) -> Path:
    """Collect with this config, and return the published directory."""
    (folder / "winnow.yaml").write_text(json.dumps(config))
    subprocess.run([sys.executable, "-m", "winnow_dagster.cli", "collect", *options], cwd=folder, check=True)
    return folder / "public"


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    with serving(folder) as (_, port):
        yield f"http://127.0.0.1:{port}/"


@contextlib.contextmanager
def opened(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    """Open a page; hold that it loads nothing from elsewhere, and that nothing goes wrong in it."""
    context = browser.new_context(**{"viewport": DESKTOP, **options})
    page = context.new_page()
    wrong: list[str] = []

    def note(what: str, *, unless: bool) -> None:
        if not unless:
            wrong.append(what)

    page.on("console", lambda m: note(m.text, unless=m.type not in {"error", "warning"}))
    page.on("pageerror", lambda error: note(str(error), unless=False))
    page.on("dialog", lambda dialog: note(f"a dialog: {dialog.message}", unless=False))
    page.on("request", lambda request: note(f"asked {request.url}", unless=_ours(request.url, address)))
    page.on("response", lambda answer: note(f"{answer.status} {answer.url}", unless=answer.status < 400))
    try:
        page.goto(address, wait_until="networkidle")
        yield page
        assert wrong == []
    finally:
        context.close()


def _ours(url: str, address: str) -> bool:
    return url.startswith(("data:", "/".join(address.split("/", 3)[:3]) + "/"))
