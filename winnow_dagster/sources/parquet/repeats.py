"""Find repeated rows: two Parquet files with the same export would count its rows twice.

Equal rows alone prove nothing: many machines fetch the same file within one second, and tools spread the rows of a day
over many files. So a row counts as repeated only if the other file has it equally often. If a tool spreads rows over
two files at random, at most half are repeated. If somebody made an export twice, nearly all are.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.sources.parquet.schema import leaf_columns
from winnow_dagster.sources.parquet.survey import UNREADABLE, damage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from winnow_dagster.sources.parquet.survey import Survey

MAX_REPEATED_SHARE = 0.5
"""Above this share of repeated rows on a day, Winnow refuses a file as a second export."""


MAX_HASHED = 4_000_000
"""The maximum number of rows to compare, to bound memory. Of more, Winnow takes a sample by hash."""

MIN_SAMPLED = 200
"""A sample with fewer rows of a file's day decides nothing."""


def find_repeats(surveys: Sequence[Survey], days: Iterable[date]) -> dict[date, str]:
    """Return the days of which two files have mostly the same rows, each with a sentence that names both files.

    Reads whole rows, but only of files whose rows of a day overlap in time with another file's. Also returns the days
    of an unreadable file.
    """
    found: dict[date, str] = {}
    hashes: list[pl.DataFrame] = []
    overlapping = _overlapping(surveys, days)
    every = 1 + sum(surveys[n].spans[day].rows for n, held in overlapping.items() for day in held) // MAX_HASHED
    for number, suspected in overlapping.items():
        try:
            hashes.append(_count_rows(surveys[number], suspected, every).with_columns(file=number))
        except UNREADABLE as error:
            found |= dict.fromkeys(suspected, f"{surveys[number].file}: {damage(error)}")
    if not hashes:
        return found
    keys, hashed = ["date", "row", "times"], pl.concat(hashes)
    compared = {
        (day, file): rows for day, file, rows in hashed.group_by("date", "file").agg(pl.col("times").sum()).iter_rows()
    }
    in_several = hashed.filter(pl.len().over(keys) > 1)
    pairs = (
        in_several.join(in_several, on=keys, suffix="_other")
        .filter(pl.col("file") != pl.col("file_other"))
        .group_by("date", "file", "file_other")
        .agg(rows=pl.col("times").sum())
        .sort("date", "file", "file_other", descending=True)
    )
    for day, file, other, rows in pairs.iter_rows():
        if rows > MAX_REPEATED_SHARE * compared[day, file] and (every == 1 or compared[day, file] >= MIN_SAMPLED):
            one, two = sorted((surveys[file].file, surveys[other].file))
            found[day] = (
                f"{one} and {two} hold mostly the same rows of {day}, which would count twice. Remove one of them"
            )
    return found


def _overlapping(surveys: Sequence[Survey], days: Iterable[date]) -> dict[int, set[date]]:
    """Return the days on which a file's rows overlap in time with another file's, by the file's index."""
    found: dict[int, set[date]] = defaultdict(set)
    for day in days:
        holders = [number for number, survey in enumerate(surveys) if day in survey.spans]
        for one, other in combinations(holders, 2):
            if surveys[one].spans[day].overlaps(surveys[other].spans[day]):
                found[one].add(day)
                found[other].add(day)
    return found


def _count_rows(survey: Survey, days: Iterable[date], every: int) -> pl.DataFrame:
    """Return how often each row occurs in a file: date, hash, times. Keep one hash in `every`."""
    # Neither a missing column nor a NULL changes the hash, so the two are equal.
    row = pl.lit(0, pl.UInt64)
    for name, value in leaf_columns(survey.schema):
        row ^= pl.when(value.is_null()).then(pl.lit(0, pl.UInt64)).otherwise(value.hash(zlib.crc32(name.encode())))
    return (
        survey.scan()
        .select(survey.columns.values["timestamp"].dt.date().alias("date"), row.alias("row"))
        .filter(pl.col("date").is_in(sorted(days)), pl.col("row") % every == 0)
        .group_by("date", "row")
        .agg(times=pl.len())
        .collect(engine="streaming")
    )
