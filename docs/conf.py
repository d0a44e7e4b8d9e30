"""Sphinx's configuration. `python -m tests.docs.build` builds the site from the Markdown files of the repository.

The source folder is the repository, so that one link works on GitHub and in the site. The site needs no other host.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "Winnow"
copyright = "The Winnow maintainers"  # noqa: A001 - Sphinx's name
root_doc = "docs/index"
include_patterns = [
    "docs/*.md",
    "deploy/README.md",
    "deploy/*/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
]
# Sphinx would walk through all of them.
exclude_patterns = [".*", "build", "data", "public", "tests", "winnow_dagster"]
extensions = ["myst_parser"]
myst_heading_anchors = 3
highlight_language = "text"
templates_path = ["_templates"]

html_theme = "furo"
html_title = "Winnow"
html_favicon = "../winnow_dagster/site/static/winnow.svg"
html_static_path = ["_static"]
html_additional_pages = {"index": "redirect.html"}
html_copy_source = False
html_show_copyright = False

LINK = re.compile(r"^- \[[^]]+\]\((?P<page>[^)]+)\.md\)", re.MULTILINE)


def _add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Add the table of contents to the first page: GitHub would show the directive as text."""
    del app
    if page == root_doc:
        pages = "\n".join(f"{link['page']}.md" for link in LINK.finditer(source[0]))
        source[0] += f"\n```{{toctree}}\n:hidden:\n\n{pages}\n```\n"


def setup(app: Sphinx) -> None:
    """Register the hook."""
    app.connect("source-read", _add_contents)
