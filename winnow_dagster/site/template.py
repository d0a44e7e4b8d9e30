"""Render pages from templates, with the style sheet, scripts and content policy that all pages share."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Any

import jinja2

from winnow_dagster.version import __version__

STATIC_FOLDER = "_static"

CONTENT_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
"""The Content-Security-Policy of every page. It forbids other servers and inline code."""


@cache
def static_files() -> dict[str, bytes]:
    """Return the files that all pages share, by name."""
    folder = resources.files("winnow_dagster.site") / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def render(template: str, root: str, **values: Any) -> bytes:  # noqa: ANN401 - a template takes what it names
    """Return a page. `root`: the relative path from the page to the web directory, empty or ending with `/`."""
    static = {file: f"{root}{STATIC_FOLDER}/{file}?v={_digest(file)}" for file in static_files()}
    page = _templates().get_template(template)
    return page.render(root=root, static=static, policy=CONTENT_POLICY, version=__version__, **values).encode()


@cache
def _digest(file: str) -> str:
    return hashlib.sha256(static_files()[file]).hexdigest()[:8]


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("winnow_dagster.site"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
