"""The check of the documentation's site finds what a browser would ask another host for, and no plain link."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.build import find_requests

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<script async src="https://cdn.example.com/a.js"></script>'),
        ("a.html", '<link rel="stylesheet" href="//fonts.example.com/a.css">'),
        ("a.html", '<img alt="a" src="https://example.com/a.png">'),
        ("a.css", "@font-face { src: url('https://fonts.example.com/a.woff2') }"),
        ("a.css", '@import "https://example.com/a.css";'),
    ],
)
def test_a_request_to_another_host_is_found(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    (found,) = find_requests(tmp_path)
    assert "example.com" in found


def test_links_and_own_files_are_no_requests(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="https://example.com/">a</a> <img src="_static/a.png"><link href="a.css">'
    )
    (tmp_path / "a.css").write_text("a { background: url(a.svg) }")
    assert list(find_requests(tmp_path)) == []
