"""The parts of docs/ that come from the code: tables between two comments of a page, and the JSON Schemas."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.docs import command_options, config_keys, schemas
from winnow_dagster import causes_page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SCHEMAS = DOCS / "_static" / "schema"

BLOCK = re.compile(r"(<!-- begin (?P<name>[\w-]+) -->\n\n).*?(\n\n<!-- end (?P=name) -->)", re.DOTALL)


def renewed() -> dict[Path, tuple[str, str]]:
    """Return the text of each generated file as it is, and as it has to be."""
    found = {}
    blocks = {**dict(config_keys.tables()), **dict(command_options.tables())}
    used: set[str] = set()
    for path in sorted(DOCS.glob("*.md")):
        old = path.read_text(encoding="utf-8")
        used |= {block["name"] for block in BLOCK.finditer(old)}
        new = BLOCK.sub(lambda block: f"{block[1]}{blocks[block['name']]}{block[3]}", old)
        found[path] = (old, new)
    if lacking := blocks.keys() - used:
        raise LookupError(f"no page has the blocks {', '.join(sorted(lacking))}")
    errors = DOCS / "errors.md"
    found[errors] = (found[errors][0], causes_page.as_markdown())
    for name, schema in schemas.all_schemas().items():
        path = SCHEMAS / name
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        found[path] = (old, json.dumps(schema, indent=2, ensure_ascii=False) + "\n")
    return found
