"""The record of a package: `counts.json`, with the exact numbers of its badges.

Winnow reads it back before it publishes anything newer, so that no number goes back to an older day (R5).
"""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING

from winnow_dagster.core.categories import CATEGORIES
from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.dimensions import DIMENSIONS
from winnow_dagster.core.window import ALL, PackageState, Window, WindowCounts, WindowState, sum_counts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

RECORD_NAME = "counts.json"
FORMAT = 1

_dumps = json.JSONEncoder().encode


def to_json(content: Mapping[str, object]) -> bytes:
    """Return published JSON: indented, keys in the given order, a newline at the end."""
    return (_indented(content, "\n") + "\n").encode()


def _indented(value: object, newline: str) -> str:
    """Return json.dumps(value, indent=2), ten times as fast: with `indent`, json does not use its C code."""
    if type(value) is int:
        return str(value)
    if not value or not isinstance(value, dict | list):
        return _dumps(value)
    inner = newline + "  "
    if isinstance(value, list):
        return "[" + ",".join([inner + _indented(item, inner) for item in value]) + newline + "]"
    items = [f"{inner}{_dumps(key)}: {_indented(item, inner)}" for key, item in value.items()]
    return "{" + ",".join(items) + newline + "}"


def parse_payload(content: bytes | None) -> Mapping[str, object]:
    """Return the endpoint payload in a badge's file; an empty one if the file is missing or damaged."""
    try:
        payload = json.loads(content or b"{}")
    except ValueError:
        return {}
    return payload if isinstance(payload, dict) else {}


def format_record(state: PackageState) -> bytes:
    """Return the content of a package's `counts.json`."""
    return to_json(
        {
            "format": FORMAT,
            "package": state.package,
            **({"members": list(state.members)} if state.members else {}),
            "source": state.source,
            "problem": state.problem,
            "windows": {window_key(w.days): _format_window(w) for w in state.windows},
            **(
                {"former_windows": {window_key(w.days): _format_window(w) for w in state.former}}
                if state.former
                else {}
            ),
        }
    )


def parse_record(content: bytes) -> PackageState | None:
    """Return the state in a `counts.json`; None if it has another format or Winnow did not write it."""
    try:
        fields = json.loads(content)
        if fields["format"] != FORMAT:
            return None
        return PackageState(
            package=fields["package"],
            source=fields["source"],
            windows=tuple(_parse_window(key, window) for key, window in fields["windows"].items()),
            problem=fields["problem"],
            members=tuple(fields.get("members", ())),
            former=tuple(_parse_window(key, window) for key, window in fields.get("former_windows", {}).items()),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def window_key(days: int) -> str:
    """Return a window's key in published JSON: its days, or `all`."""
    return "all" if days == ALL else str(days)


def parse_window_key(key: str) -> int:
    """Return a window's days from its key in published JSON. Raises ValueError."""
    return ALL if key == "all" else int(key)


def format_counts(counts: WindowCounts) -> dict[str, object]:
    """Return one window's days and numbers as JSON values."""
    return {
        "first_day": str(counts.window.first_day),
        "as_of": str(counts.window.as_of),
        "raw": counts.raw,
        "honest": counts.honest,
        "categories": counts.categories,
        **{dimension.part: counts.by(dimension) for dimension in DIMENSIONS},
        "unlisted_installers": None if counts.unlisted is None else dict(counts.unlisted),
        **({"short_days": [str(day) for day in counts.short_days]} if counts.short_days else {}),
        **({"source": counts.source} if counts.source else {}),
    }


def _format_window(state: WindowState) -> dict[str, object]:
    counts = format_counts(state.counts) if state.counts else {}
    return {"collected_days": state.covered_days, **counts}


def _parse_window(key: str, fields: Mapping[str, Any]) -> WindowState:
    days = parse_window_key(key)
    if "as_of" not in fields:
        return WindowState(days, None, fields["collected_days"])
    first, as_of = date.fromisoformat(fields["first_day"]), date.fromisoformat(fields["as_of"])
    counts = WindowCounts(
        Window((as_of - first) // ONE_DAY + 1, as_of),
        numbers=_parse_numbers(fields),
        unlisted=fields.get("unlisted_installers"),
        short_days=tuple(map(date.fromisoformat, fields.get("short_days", ()))),
        source=fields.get("source", ""),
    )
    if not isinstance(counts.numbers["honest"], int):
        raise TypeError("a record has honest counts")
    return WindowState(days, counts, fields["collected_days"])


def _parse_numbers(fields: Mapping[str, Any]) -> dict[str, int | None]:
    """Return the numbers of a window. Those that an older release did not publish are unknown, not 0."""
    categories = {category: fields["categories"].get(category) for category in CATEGORIES}
    numbers = {"raw": sum(count for count in categories.values() if count is not None), **categories}
    for dimension in DIMENSIONS:
        counted = fields.get(dimension.part, {})
        named = {dimension.number(key): counted.get(name) for key, name in dimension.values.items()}
        numbers |= named
        if dimension.rest:
            named_sum = sum_counts(named.values())
            numbers[dimension.number(dimension.rest)] = None if named_sum is None else categories["honest"] - named_sum
    return numbers
