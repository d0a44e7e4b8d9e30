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
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from winnow_dagster.sources.parquet.survey import Survey

MAX_REPEATED_SHARE = 0.5
"""Above this share of repeated rows on a day, Winnow refuses a file as a second export."""


MAX_HASHED = 4_000_000
"""The maximum number of rows to compare, to bound memory. Of more, Winnow takes a sample by hash."""

MIN_SAMPLED = 200
"""A sample with fewer rows of a file's day decides nothing."""

MIN_EQUAL_ROWS = 2
"""Where files have different columns, Winnow compares less of each row, and one equal row decides nothing."""

MIN_ROWS_WITHOUT_VALUE = 10
MAX_ROWS_WITHOUT_VALUE = 10_000
"""A column counts as missing if it is NULL in the first rows: in at least and at most so many."""

Columns = frozenset[tuple[str, pl.DataType]]
"""The dotted names of columns, with the types of their values once they are converted."""


def find_repeats(surveys: Sequence[Survey], days: Iterable[date]) -> dict[date, str]:
    """Return the days of which two files have mostly the same rows, each with a sentence that names both files.

    Reads whole rows, but only of files whose rows of a day overlap in time with another file's. Also returns the days
    of an unreadable file.
    """
    found: dict[date, str] = {}
    hashes: list[pl.DataFrame] = []
    overlapping = _overlapping(surveys, days)
    every = 1 + sum(surveys[n].spans[day].rows for n, held in overlapping.items() for day in held) // MAX_HASHED
    columns: dict[int, Columns] = {}
    for number, suspected in overlapping.items():
        try:
            columns[number] = _find_columns(surveys[number])
        except UNREADABLE as error:
            found |= dict.fromkeys(suspected, f"{surveys[number].file}: {damage(error)}")
    common = _common_columns(overlapping, columns)
    for number, compared, alike in _by_columns(overlapping, columns, common):
        try:
            hashes.append(_count_rows(surveys[number], alike, compared, every).with_columns(file=number))
        except UNREADABLE as error:
            found |= dict.fromkeys(alike, f"{surveys[number].file}: {damage(error)}")
    if not hashes:
        return found
    keys, hashed = ["date", "row", "times"], pl.concat(hashes)
    totals = {
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
        is_sample_enough = every == 1 or totals[day, file] >= MIN_SAMPLED
        is_proof = rows >= MIN_EQUAL_ROWS or columns[file] == columns[other] == common[day]
        if rows > MAX_REPEATED_SHARE * totals[day, file] and is_sample_enough and is_proof:
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


def _find_columns(survey: Survey) -> Columns:
    """Return the columns that a file has, without those that are NULL in its first rows."""
    leaves = leaf_columns(survey.schema)
    # To compare too few columns is harmless, so there is no need to read the whole file.
    head = survey.scan().head(MAX_ROWS_WITHOUT_VALUE)
    found = head.select(pl.len().alias(""), *(leaf.value.is_not_null().any().alias(leaf.name) for leaf in leaves))
    number, *has_value = found.collect().row(0)
    has_all = number < MIN_ROWS_WITHOUT_VALUE
    return frozenset((leaf.name, leaf.kind) for leaf, has in zip(leaves, has_value, strict=True) if has or has_all)


def _common_columns(overlapping: Mapping[int, Iterable[date]], columns: Mapping[int, Columns]) -> dict[date, Columns]:
    """Return the columns to compare on each day: those of all files that overlap on it."""
    common: dict[date, Columns] = {}
    for number, has in columns.items():
        for day in overlapping[number]:
            common[day] = common.get(day, has) & has
    return common


def _by_columns(
    overlapping: Mapping[int, Iterable[date]], numbers: Iterable[int], common: Mapping[date, Columns]
) -> Iterator[tuple[int, Columns, list[date]]]:
    """Yield the days of each of these files, by the columns to compare."""
    for number in numbers:
        days_by_columns: dict[Columns, list[date]] = defaultdict(list)
        for day in overlapping[number]:
            days_by_columns[common[day]].append(day)
        for compared, days in days_by_columns.items():
            yield number, compared, days


def _count_rows(survey: Survey, days: Iterable[date], columns: Columns, every: int) -> pl.DataFrame:
    """Return how often each row occurs in a file: date, hash, times. Keep one hash in `every`."""
    row = pl.lit(0, pl.UInt64)
    for leaf in leaf_columns(survey.schema):
        if (leaf.name, leaf.kind) in columns:
            row ^= leaf.value.hash(zlib.crc32(leaf.name.encode()))
    return (
        survey.scan()
        .select(survey.columns.values["timestamp"].dt.date().alias("date"), row.alias("row"))
        .filter(pl.col("date").is_in(sorted(days)), pl.col("row") % every == 0)
        .group_by("date", "row")
        .agg(times=pl.len())
        .collect(engine="streaming")
    )
