"""`<dimension>.csv`: the days of a breakdown, a line for each day and value. See docs/formats.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.breakdowns import Breakdown
from winnow_dagster.core.escaping import visible
from winnow_dagster.core.values import NOT_SAID

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import date

    from winnow_dagster.core.breakdowns import PackageBreakdowns

DATE_LENGTH = len("2026-01-01")
PLAIN_CHARACTERS = "A-Za-z0-9._+ -"
"""The characters of most values, as in a regular expression. Others may need quotes or an escape."""


def csv_name(dimension: str) -> str:
    """Return the name of the file with the days of a dimension."""
    return f"{dimension}.csv"


def merge_days(dimension: str, published: bytes | None, computed: PackageBreakdowns, days: Collection[date]) -> bytes:
    """Return a file with the computed lines of `days`, and the published lines of all other days."""
    first_line = header(dimension)
    if published is None or not is_whole(dimension, published):
        published = first_line
    if not days:
        return published
    mine = _lines(dimension, computed, days)
    # Most of the file is older than every computed day, so only the rest is parsed.
    start = _position(published, str(min(days)).encode(), len(first_line))
    is_contiguous = (max(days) - min(days)).days + 1 == len(set(days))
    if is_contiguous and published[published.rfind(b"\n", 0, -1) + 1 :][:DATE_LENGTH] <= str(max(days)).encode():
        return published[:start] + mine
    replaced = {str(day).encode() for day in days}
    blocks = {day: lines for day, lines in _blocks(published, start) if day not in replaced} | dict(_blocks(mine, 0))
    return b"".join([published[:start], *(blocks[day] for day in sorted(blocks))])


def read_days(dimension: str, content: bytes | None, since: date | None = None) -> pl.DataFrame:
    """Return the date, value, honest and CI downloads of each line of a file, from the day `since` on."""
    schema = pl.Schema({"date": pl.Date, "value": pl.String, "honest": pl.Int64, "ci": pl.Int64})
    first_line = header(dimension)
    if content is None or not content.startswith(first_line):
        return pl.DataFrame(schema=schema)
    start = len(first_line) if since is None else _position(content, str(since).encode(), len(first_line))
    if start == len(content):
        return pl.DataFrame(schema=schema)
    rows = pl.read_csv(content[start:], has_header=False, schema=schema)
    return rows.with_columns(pl.col("value").fill_null(NOT_SAID))


def sum_days(rows: pl.DataFrame, dimension: str, first: date, last: date) -> Breakdown:
    """Return the breakdown of the lines from `first` to `last`."""
    summed = rows.filter(pl.col("date").is_between(first, last)).group_by("value").agg(pl.col("honest", "ci").sum())
    honest, ci = (
        {value: count for value, count in summed.select("value", kind).iter_rows() if count}
        for kind in ("honest", "ci")
    )
    return Breakdown(dimension, first, last, honest, ci)


def is_whole(dimension: str, content: bytes | None) -> bool:
    """Return whether this is a file of a dimension with its last line."""
    return content is not None and content.startswith(header(dimension)) and content.endswith(b"\n")


def header(dimension: str) -> bytes:
    """Return the first line of a file, which is all of it while no day is known."""
    return f"date,{dimension},honest,ci\n".encode()


def _lines(dimension: str, computed: PackageBreakdowns, days: Collection[date]) -> bytes:
    """Return the lines of these days, oldest first, values in the dimension's order."""
    rows = computed.of(dimension)
    if len(days) < len(computed.known.get(dimension, ())):
        rows = rows.filter(pl.col("date").is_in(list(days)))
    if rows.is_empty():
        return b""
    line = pl.concat_str(pl.col("date").cast(pl.String), "value", "honest", "ci", separator=",").str.join("\n")
    is_plain = ~pl.col("value").str.contains(f"[^{PLAIN_CHARACTERS}]").any()
    text, plain = rows.select(line, plain=is_plain).row(0)
    if not plain:
        cells = pl.col("value").map_elements(_cell, pl.String)
        text = rows.with_columns(cells).select(line).item()
    return f"{text}\n".encode()


def _cell(value: str) -> str:
    """Return a value as a CSV cell on one line. Clients send the values, so one may contain a line end."""
    text = visible(value)
    return '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text


def _position(content: bytes, day: bytes, low: int) -> int:
    """Return the position of the first line at or after `low` that is not older than `day`, by bisection."""
    high = len(content)
    while low < high:
        middle = (low + high) // 2
        start = max(low, content.rfind(b"\n", low, middle) + 1)
        if content[start : start + DATE_LENGTH] < day:
            low = content.index(b"\n", middle) + 1
        else:
            high = start
    return low


def _blocks(content: bytes, start: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield each day from a position on, and its lines."""
    while start < len(content):
        day = content[start : start + DATE_LENGTH]
        end = _position(content, day + b"~", start)
        yield day, content[start:end]
        start = end
