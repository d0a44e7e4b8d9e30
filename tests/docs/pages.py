"""The Markdown files of the repository, as tests and tools read them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/**/*.md")],
    key=lambda page: page.relative_to(ROOT).as_posix(),
)
FENCED = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def name(page: Path) -> str:
    """Return a page's path in the repository, for the name of a test."""
    return page.relative_to(ROOT).as_posix()


def read(page: Path) -> str:
    """Return a page's text."""
    return page.read_text(encoding="utf-8")


def prose(text: str) -> str:
    """Return a page's text without its code."""
    without_blocks = re.sub(r"^    .*$", "", FENCED.sub("", text), flags=re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", without_blocks)


def blocks(page: Path, language: str) -> Iterator[str]:
    """Yield the code of a language on a page."""
    yield from (block["text"] for block in FENCED.finditer(read(page)) if block["language"] == language)


def commands(page: Path) -> Iterator[str]:
    """Yield each command of the indented blocks on a page: without comments, and in one line."""
    text = re.sub(r"\\\n\s*", "", FENCED.sub("", read(page)))
    for line in re.findall(r"^    (\S.*)$", text, re.MULTILINE):
        for command in line.split("   # ")[0].split(" # ")[0].split(" && "):
            yield command.strip()
