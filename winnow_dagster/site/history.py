"""History files: a package's stored days as JSON, one line a day, and as CSV. Their shapes are documented in README."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl

from winnow_dagster.core.history import HISTORY_SCHEMA, NUMBERS, OTHER_SYSTEM, SYSTEM_COLUMNS, History
from winnow_dagster.core.honesty import CATEGORIES, INSTALLERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from winnow_dagster.core.window import PackageState

JSON_NAME, CSV_NAME = "history.json", "history.csv"
FORMAT = 1
READINGS = {True: "provisional", False: "settled"}

_READING = pl.col("provisional").replace_strict(READINGS, return_dtype=pl.String).alias("reading")

_PARTS = {"categories": CATEGORIES, "by_installer": INSTALLERS, "by_system": (*SYSTEM_COLUMNS, OTHER_SYSTEM)}

# A line of JSON, to be filled with words and numbers that need no escape, in the order of NUMBERS.
_DAY = "  " + json.dumps(
    {
        "date": "%s",
        "reading": "%s",
        "raw": "%d",
        **{part: dict.fromkeys(names, "%d") for part, names in _PARTS.items()},
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
    }
    rows = history.days.select("date", _READING, *NUMBERS).iter_rows()
    lines = ",\n".join([_DAY % row for row in rows])
    return f'{json.dumps(head, indent=1)[:-2]},\n "days": [\n{lines}\n]}}\n'.encode()


def parse_json(content: bytes | None) -> History:
    """Return what a `history.json` says; nothing of one that is not there, damaged, or of another format."""
    try:
        fields = json.loads(content or b"{}")
        if fields["format"] != FORMAT:
            return History.empty()
        if not fields["days"]:
            return History.empty()
        days = pl.DataFrame([_parse_day(day) for day in fields["days"]])
        return History(days.select(_READ).cast(HISTORY_SCHEMA))
    except (ValueError, KeyError, TypeError, AttributeError, pl.exceptions.PolarsError):
        return History.empty()


def format_csv(history: History) -> bytes:
    """Return `history.csv`: a header, then a line a day, of numbers, days and two words only."""
    return history.days.select("date", _READING, *NUMBERS).write_csv(line_terminator="\r\n").encode()


_READ = [pl.col("date").str.to_date("%Y-%m-%d"), *HISTORY_SCHEMA.names()[1:]]


def _parse_day(day: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {name: day[part][name] for part, names in _PARTS.items() for name in names}
    return {"date": day["date"], "provisional": day["reading"] == READINGS[True], "raw": day["raw"], **numbers}
