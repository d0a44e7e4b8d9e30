"""Lighthouse on the index of 300 packages and on a page of 365 days, and how much both weigh."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGES, DAYS = 300, 365
MIN_SCORE = 0.95
MAX_BYTES = {"": 80_000, "sample-oat/": 60_000}
"""The largest compressed size of a page, by its path."""

LIGHTHOUSE, CHROMIUM = shutil.which("lighthouse"), shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.npm,
    pytest.mark.skipif(LIGHTHOUSE is None, reason="Lighthouse is not installed: npm install --global lighthouse"),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt install chromium"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish the site from sample data."""
    folder = tmp_path_factory.mktemp("site")
    others = [{"name": f"package-{n:03}"} for n in range(PACKAGES - 1)]
    config = {"source": {"kind": "sample"}, "packages": [{"name": "sample-oat", "window_days": DAYS}, *others]}
    (folder / "winnow.yaml").write_text(json.dumps(config))
    subprocess.run([sys.executable, "-m", "winnow_dagster.cli", "collect", "--quiet"], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[str]:
    with serving(folder) as (_, port):
        yield f"http://127.0.0.1:{port}/"


@pytest.mark.parametrize("path", MAX_BYTES, ids=["index", "page"])
def test_a_large_page_is_fast_accessible_and_light(folder: Path, site: str, path: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    options = ("--quiet", "--only-categories=performance,accessibility", "--output=json", f"--output-path={report}")
    command = [str(LIGHTHOUSE), site + path, *options, "--chrome-flags=--headless=new --no-sandbox"]
    subprocess.run(command, env={**os.environ, "CHROME_PATH": str(CHROMIUM)}, check=True, timeout=180)
    scores = {name: found["score"] for name, found in json.loads(report.read_text())["categories"].items()}
    assert min(scores.values()) >= MIN_SCORE, scores
    assert len(gzip.compress((folder / "public" / path / "index.html").read_bytes())) < MAX_BYTES[path]
