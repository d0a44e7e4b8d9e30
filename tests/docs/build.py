"""Build the site of the documentation: `python -m tests.docs.build [FOLDER]`, by default into build/docs.

Fails on a link to no page or heading, on every other warning of Sphinx, and on a page that asks another host for a
picture, script, style or font.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.docs.generated import DOCS, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST = re.compile(r"<(?:script|img|link|source|iframe)\b[^>]*?(?:src|href|srcset)=\"((?:https?:)?//[^\"]+)\"")
REQUEST_OF_STYLE = re.compile(r"(?:url\(|@import )[\"']?((?:https?:)?//[^\"')]+)")


def build(folder: Path) -> None:
    """Build the site into a folder, or exit."""
    options = ["--quiet", "--fail-on-warning", "--keep-going", "--fresh-env", "--conf-dir", str(DOCS)]
    done = subprocess.run([sys.executable, "-m", "sphinx", *options, str(ROOT), str(folder)], check=False)
    if done.returncode:
        sys.exit(done.returncode)
    if found := list(find_requests(folder)):
        sys.exit("\n".join(["The site asks other hosts:", *found]))
    print(f"{folder / 'index.html'}: {len(list(folder.rglob('*.html')))} pages")


def find_requests(folder: Path) -> Iterator[str]:
    """Yield what pages and style sheets ask other hosts for."""
    for pattern, ending in ((REQUEST, ".html"), (REQUEST_OF_STYLE, ".css")):
        for path in sorted(folder.rglob(f"*{ending}")):
            for address in pattern.findall(path.read_text(encoding="utf-8")):
                yield f"{path}: {address}"


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "docs")
