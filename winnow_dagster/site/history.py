"""History files: a package's stored days as JSON, one line a day, and as CSV. Their shapes are documented in README."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

from winnow_dagster.core.definition import Definition, needs_file_names
from winnow_dagster.core.history import NUMBERS, OTHER_SYSTEM, SYSTEM_COLUMNS, Day, History
from winnow_dagster.core.honesty import CATEGORIES, INSTALLERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from winnow_dagster.core.window import PackageState

JSON_NAME, CSV_NAME = "history.json", "history.csv"
FORMAT = 1
READINGS = {True: "provisional", False: "settled"}

_PARTS = {"categories": CATEGORIES, "by_installer": INSTALLERS, "by_system": (*SYSTEM_COLUMNS, OTHER_SYSTEM)}

_LINE = ",".join(("%s", "%s", *["%d"] * len(NUMBERS), "%s"))

# A line of JSON, to be filled with words and numbers that need no escape, in the order of NUMBERS.
_DAY = "  " + json.dumps(
    {
        "date": "%s",
        "reading": "%s",
        "raw": "%d",
        **{part: dict.fromkeys(names, "%d") for part, names in _PARTS.items()},
        "definition": "%s",
    },
    separators=(",", ":"),
).replace('"%d"', "%d")


def format_json(state: PackageState, history: History) -> bytes:
    """Return `history.json`: days oldest first, and the ranges of days that are missing between them."""
    head = {
        "format": FORMAT,
        "package": state.package,
        "source": state.source,
        "first_day": str(history.first) if history.first else None,
        "last_day": str(history.last) if history.last else None,
        "missing": [{"first_day": str(first), "last_day": str(last)} for first, last in history.missing()],
        "short_days": [str(day) for day in history.short_days()],
    }
    lines = ",\n".join([_DAY % row for row in _rows(history)])
    return f'{json.dumps(head, indent=1)[:-2]},\n "days": [\n{lines}\n]}}\n'.encode()


def parse_json(content: bytes | None) -> History:
    """Return what a `history.json` says; nothing of one that is not there, damaged, or of another format."""
    try:
        fields = json.loads(content or b"{}")
        if fields["format"] != FORMAT:
            return History.empty()
        short = frozenset(fields.get("short_days", ()))
        return History(tuple(sorted(_parse_day(day, is_short=day["date"] in short) for day in fields["days"])))
    except (ValueError, KeyError, TypeError, AttributeError):
        return History.empty()


def format_csv(history: History) -> bytes:
    """Return `history.csv`: a header, then a line a day, of numbers, days and two words only."""
    lines = [",".join(("date", "reading", *NUMBERS, "definition")), *(_LINE % row for row in _rows(history))]
    return "".join([f"{line}\r\n" for line in lines]).encode()


def _rows(history: History) -> list[tuple[object, ...]]:
    """Return the date, the reading in a word, the numbers and the definition of each day."""
    return [(day.date, READINGS[day.provisional], *day.numbers, day.definition) for day in history.days]


def _parse_day(day: Mapping[str, Any], *, is_short: bool) -> Day:
    at = date.fromisoformat(day["date"])
    # Releases that did not say so took every request for a download.
    before = Definition.REQUESTS if needs_file_names(at) else Definition.FILES
    numbers = [day["raw"], *(day[part][name] for part, names in _PARTS.items() for name in names)]
    if not all(type(number) is int for number in numbers):
        raise TypeError("a count is a whole number")
    definition = Definition(day.get("definition", before))
    return Day(at, day["reading"] == READINGS[True], tuple(numbers), definition, is_short)
