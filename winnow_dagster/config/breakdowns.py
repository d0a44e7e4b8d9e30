"""Validate the breakdowns of a config, and the badges that need them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from winnow_dagster.core.badge import split_slug
from winnow_dagster.core.dimensions import OPEN_DIMENSIONS
from winnow_dagster.core.names import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from winnow_dagster.sources.interface import Kind


def find_breakdown_problems(content: Mapping[str, Any], kind: Kind) -> Iterator[str]:
    """Find breakdowns that the source does not know, and badges of breakdowns that are not asked for."""
    packages, defaults = content.get("packages"), content.get("defaults")
    by_default = _breakdowns_in(defaults)
    usual = list(kind.usual_breakdowns) if by_default is None else by_default
    sections = {"defaults": defaults}
    sections |= {f"packages[{at}]": entry for at, entry in enumerate(packages if isinstance(packages, list) else [])}
    for place, section in sections.items():
        named = _breakdowns_in(section)
        for name in named or ():
            if isinstance(name, str) and name in OPEN_DIMENSIONS and name not in kind.open_dimensions:
                yield f"{place}.breakdowns: source kind {kind.name} does not know the {name} of a download. Remove it"
        is_all = isinstance(section, dict) and section.get("name") == str(EVERYTHING)
        asked_for = usual if named is None else named
        badges = section.get("badges") if isinstance(section, dict) else None
        for slug in badges if isinstance(badges, list) else [badges]:
            parts = split_slug(slug) if isinstance(slug, str) else None
            if parts and is_all:
                yield f"{place}.badges: '*' has no badge {slug}. Remove it, or give the package an entry of its own"
            elif parts and parts[0] not in asked_for:
                yield f"{place}.badges: {slug} needs a breakdown. Write `breakdowns: [{parts[0]}]` beside it"


def _breakdowns_in(section: object) -> list[object] | None:
    """Return the breakdowns that a section names; None if it has no such key."""
    if not isinstance(section, dict) or section.get("breakdowns") is None:
        return None
    given = section["breakdowns"]
    return given if isinstance(given, list) else [given]
