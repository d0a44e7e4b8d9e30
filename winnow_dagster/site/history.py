"""History files: a package's days as JSON, one line a day, and as CSV. docs/formats.md documents their formats."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from winnow_dagster.core.categories import CATEGORIES
from winnow_dagster.core.definition import Definition, needs_file_names
from winnow_dagster.core.dimensions import DIMENSIONS
from winnow_dagster.core.history import NUMBERS, Day, History

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from winnow_dagster.core.window import PackageState, Window

JSON_NAME, CSV_NAME = "history.json", "history.csv"
FORMAT = 1
READINGS = {True: "provisional", False: "settled"}
_PROVISIONAL = {word: is_provisional for is_provisional, word in READINGS.items()}
SHORT_FORMAT = 2
"""The format for packages that only `*` selects: honest and raw downloads by day."""

_PARTS = {"categories": CATEGORIES, **{dimension.part: dimension.keys for dimension in DIMENSIONS}}

_LINE = ",".join(("%s", "%s", *["%s"] * len(NUMBERS), "%s", "%s"))

# The template of a day's line of JSON. Its values, in the order of NUMBERS, need no escape. None is unknown.
_DAY = "  " + json.dumps(
    {
        "date": "%s",
        "reading": "%r",
        "raw": "%r",
        **{part: dict.fromkeys(names, "%r") for part, names in _PARTS.items()},
        "definition": "%s",
    },
    separators=(",", ":"),
).replace('"%r"', "%s")

_SOURCE = ',"source":"%s"}'
"""The end of the line of a day from another source than the file's."""


def format_json(state: PackageState, history: History) -> bytes:
    """Return `history.json`: the days, oldest first, and the ranges of missing days between them."""
    head = {
        "format": FORMAT,
        "package": state.package,
        "source": state.source,
        "first_day": str(history.first) if history.first else None,
        "last_day": str(history.last) if history.last else None,
        "missing": [{"first_day": str(first), "last_day": str(last)} for first, last in history.missing()],
        "short_days": [str(day) for day in history.short_days()],
    }
    words = {reading: json.dumps(word) for reading, word in READINGS.items()}
    sources = [day.source for day in history.days]
    lines = ",\n".join(
        [
            _DAY % row if source in ("", state.source) else (_DAY % row)[:-1] + _SOURCE % source
            for row, source in zip(_rows(history, words), sources, strict=True)
        ]
    ).replace("None", "null")
    return f'{json.dumps(head, indent=1)[:-2]},\n "days": [\n{lines}\n]}}\n'.encode()


def parse_json(content: bytes | None) -> History:
    """Return the history in a `history.json`; empty if the file is missing, damaged or of another format."""
    try:
        fields = json.loads(content or b"{}")
        days = fields["days"]
        if fields["format"] == SHORT_FORMAT:
            days = [
                {
                    "date": day,
                    "raw": raw,
                    "categories": {"honest": honest},
                    "definition": definition_of_day(fields, day),
                }
                for day, (honest, raw) in days.items()
            ]
        elif fields["format"] != FORMAT:
            return History.empty()
        short = frozenset(fields.get("short_days", ()))
        read = (_parse_day(day, is_short=day["date"] in short) for day in days)
        return History(tuple(sorted(read, key=lambda day: day.date)))
    except (ValueError, KeyError, TypeError, AttributeError):
        return History.empty()


def parse_source(content: bytes | None) -> str:
    """Return the source in a full `history.json`; empty for other content."""
    try:
        fields = json.loads(content or b"{}")
        return str(fields["source"]) if fields["format"] == FORMAT else ""
    except (ValueError, KeyError, TypeError):
        return ""


def definition_of_day(fields: Mapping[str, Any], day: str) -> Definition:
    """Return the definition by which a SHORT_FORMAT history counts a day. Raises ValueError."""
    stated = fields.get("definitions", {}).get(day, fields.get("definition"))
    return _former_definition(date.fromisoformat(day)) if stated is None else Definition(stated)


def _former_definition(day: date) -> Definition:
    """Return the definition of a day in files of releases that did not publish it."""
    return Definition.REQUESTS if needs_file_names(day) else Definition.FILES


def format_csv(source: str, history: History) -> bytes:
    """Return `history.csv`: a header, then a line for each day. No value needs quotes. `source`: the package's."""
    header = ",".join(("date", "reading", *NUMBERS, "definition", "source"))
    rows = zip(_rows(history, READINGS), history.days, strict=True)
    lines = [header, *(_LINE % (*row, day.source or source) for row, day in rows)]
    return "".join([f"{line}\r\n" for line in lines]).replace("None", "").encode()


def _rows(history: History, words: Mapping[bool, str]) -> list[tuple[object, ...]]:
    """Return the date, reading, numbers and definition of each day. None is unknown."""
    return [
        (day.date, None if day.provisional is None else words[day.provisional], *day.numbers, day.definition)
        for day in history.days
    ]


def _parse_day(day: Mapping[str, Any], *, is_short: bool) -> Day:
    """Return a day. Numbers that its file lacks are unknown."""
    at = date.fromisoformat(day["date"])
    numbers = [day.get("raw")]
    for part, names in _PARTS.items():
        found = day.get(part, {})
        numbers += [found.get(name) for name in names]
    if not {int, type(None)}.issuperset(map(type, numbers)):
        raise TypeError("a count is a whole number")
    definition = Definition(day["definition"]) if "definition" in day else _former_definition(at)
    provisional = _PROVISIONAL.get(day.get("reading", ""))
    return Day(at, provisional, tuple(numbers), definition, is_short, day.get("source", ""))


@dataclass(frozen=True)
class ShortHistory:
    """The days of a package that only `*` selects, with honest and raw downloads only."""

    days: str
    """The downloads of each day, as the members of a JSON object: `"2025-06-30":[honest,raw],...`"""

    requests: Sequence[str] = ()
    """The days that an older release counted by Definition.REQUESTS (R9)."""


def format_short_json(source: str, package: str, history: ShortHistory) -> bytes:
    """Return the `history.json` of a package that only `*` selects."""
    head = f'"format": {SHORT_FORMAT}, "package": "{package}", "source": "{source}", "definition": "{Definition.FILES}"'
    exceptions = ", ".join(f'"{day}": "{Definition.REQUESTS}"' for day in history.requests)
    others = f', "definitions": {{{exceptions}}}' if exceptions else ""
    return f'{{{head}{others}, "days": {{{history.days}}}}}\n'.encode()


def merge_short_histories(
    computed: str, published: bytes | None, counted: Sequence[Window], shown: Sequence[Window]
) -> ShortHistory:
    """Return the days of the `shown` windows, and keep every published day among them (R5).

    `computed`: the days of the `counted` windows. Days outside of these stay as published.
    """
    try:
        history = json.loads(published or b"{}")
        before = {day: (honest, raw) for day, (honest, raw) in history.get("days", {}).items()}
        requests = {day for day in before if definition_of_day(history, day) is Definition.REQUESTS}
    except (ValueError, TypeError, AttributeError):
        before, requests = {}, set()
    kept = {day: f"[{honest},{raw}]" for day, (honest, raw) in before.items() if not _is_in(day, counted)}
    found = {d: f"[{honest},{raw}]" for d, (honest, raw) in json.loads(f"{{{computed}}}").items()}
    days = sorted(d for d in {**kept, **found} if _is_in(d, shown))
    text = ",".join(f'"{d}":{found.get(d) or kept[d]}' for d in days)
    return ShortHistory(text, [day for day in days if day not in found and day in requests])


def _is_in(day: str, windows: Sequence[Window]) -> bool:
    return any(str(window.first_day) <= day <= str(window.as_of) for window in windows)
