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


def render(template: str, root: str, *, base_url: str = "", **values: Any) -> bytes:  # noqa: ANN401 - a template takes what it names
    """Return a page.

    `root`: the path from the page to the web directory, empty or ending with `/`. `base_url`: the address of the web
    directory; empty if it is not known.
    """
    shared = {"base_url": base_url, "policy": CONTENT_POLICY, "version": __version__}
    return _templates().get_template(template).render(root=root, static=static_paths(root), **shared, **values).encode()


@cache
def static_paths(root: str) -> dict[str, str]:
    """Return the path of each shared file from a page. It changes with the file, so that no cache has an old one."""
    digests = {name: hashlib.sha256(content).hexdigest()[:8] for name, content in static_files().items()}
    return {name: f"{root}{STATIC_FOLDER}/{name}?v={digest}" for name, digest in digests.items()}


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("winnow_dagster.site"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
