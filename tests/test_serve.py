"""Serving: published files with their types, on loopback, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    public = tmp_path / "public"
    (public / "a").mkdir(parents=True)
    (public / "index.html").write_text("<h1>Badges</h1>")
    (public / "a" / "badge.json").write_text("{}")
    (public / "a" / ".winnow-1-aa").write_text("staged")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "winnow.yaml").write_text("packages: [{name: a}]")
    command = [sys.executable, "-m", "winnow_dagster.cli", "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
        assert found
        with httpx.Client(base_url=found[0]) as client:
            yield client
        server.terminate()


def test_files_are_served_with_their_types_and_the_page_at_the_root(client: httpx.Client) -> None:
    page, badge = client.get("/"), client.get("/a/badge.json")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (badge.status_code, badge.headers["content-type"]) == (200, "application/json")


@pytest.mark.parametrize("path", ["/a/.winnow-1-aa", "/a/", "/nothing", "/..%2fsecret.txt", "/%2e%2e/secret.txt"])
def test_nothing_that_is_not_published_is_served(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_without_anything_published_it_says_what_to_do_first(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "winnow_dagster.cli", "serve", "--port", "0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nothing is published yet. Run `winnow collect` first" in done.stderr
