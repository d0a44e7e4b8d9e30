"""Raw counts from Parquet files in the schema of `file_downloads`: one row per download, in files split anyhow.

Reads lazily, only the columns and days needed. A day on which the files hold no row of any package is not in them,
which is something else than a day without downloads.
"""

from __future__ import annotations

import contextlib
import glob
import os
import subprocess
import sys
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.coverage import ONE_DAY, Failure, Reading, Request, contiguous, end_of
from winnow_dagster.core.honesty import RAW_SCHEMA
from winnow_dagster.core.names import matches_any
from winnow_dagster.sources.interface import SourceError
from winnow_dagster.storage.disk import make_folder, replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_READ = "import sys; from winnow_dagster.sources.parquet import read_all; read_all(sys.argv[1])"

NO_DAY_BEFORE = date(2000, 1, 1)
"""PyPI is younger."""

UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What reading a file that is no sound Parquet may raise. Some files make the library panic."""

COLUMNS = {
    "timestamp": "a timestamp in UTC",
    "project": "text",
    "details.installer.name": "text",
    "details.system.name": "text",
    "details.ci": "true or false",
}
"""The columns needed, and what each has to be."""


class ParquetSource:
    """Files at a path or a glob."""

    def __init__(self, path: str, marker: Path | None = None) -> None:
        """Take the absolute path or glob of the files; they are looked up at each reading.

        `marker`: a file that is there while files are read. One that is left tells that a process died of reading.
        """
        self._path = path
        self._marker = marker

    def read(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:
        """Answer all requests from one pass over the files. Raises SourceError that names file and column."""
        if not requests:
            return
        first, last = min(r.first for r in requests), max(r.last for r in requests)
        with self._reading(first, last) as downloads:
            days_held = set(downloads.select("date").unique().collect()["date"])
            counts = (
                downloads.filter(matches_any({r.selector for r in requests}, "package"))
                .group_by("date", "package", "installer", "system", "ci")
                .agg(downloads=pl.len().cast(pl.Int64))
                .select(RAW_SCHEMA.names())
                .collect()
            )
        held = [part for request in requests for part in _parts(request, days_held, held=True)]
        if held:
            yield Reading(held, counts)
        for request in requests:
            for part in _parts(request, days_held, held=False):
                yield Failure(part, f"{self._path} has no row of that day. Add the file that does")

    def newest_day(self, today: date) -> date | None:
        """Return the newest day before `today` of which the files hold a row."""
        with self._reading(NO_DAY_BEFORE, today - ONE_DAY) as downloads:
            newest = downloads.select(pl.col("date").max()).collect().item()
        return newest if isinstance(newest, date) else None

    def day_rows(self, first: date, last: date) -> Mapping[date, int]:
        """Return how many rows the files have of each day that they reach to."""
        del first, last
        return {}

    @contextlib.contextmanager
    def _reading(self, first: date, last: date) -> Iterator[pl.LazyFrame]:
        """Give the downloads of these days, and word what goes wrong with reading them. Raises SourceError.

        Some damage ends the whole process in the library that reads, without a word. So after such an end each file is
        first tried in a process of its own.
        """
        files = self._files()
        if self._marker and self._marker.exists():
            for file in files:
                _check_that_one_survives(file)
        if self._marker:
            make_folder(self._marker.parent)
            replace_file(self._marker, b"")
        try:
            yield pl.concat([_scan(file, first, last) for file in files])
        except UNREADABLE as error:
            raise SourceError(f"{self._path}: a file is damaged ({_reason(error)}). Export it again") from None
        finally:
            if self._marker:
                self._marker.unlink(missing_ok=True)

    def _files(self) -> list[str]:
        found = sorted(f for f in glob.glob(self._path, recursive=True) if Path(f).is_file())  # noqa: PTH207 - absolute
        # A symlink beside its file, such as latest.parquet, must not count the same rows twice.
        files = list({os.path.realpath(file): file for file in found}.values())
        if not files:
            raise SourceError(f"source.path: no file at {self._path}. Correct the path, or export the files there")
        return files


def _parts(request: Request, days_held: set[date], *, held: bool) -> Iterator[Request]:
    """Split off a request the contiguous days that the files hold, or those that they do not."""
    for run in contiguous(day for day in request.days() if (day in days_held) is held):
        yield Request(request.selector, run[0], run[-1])


def _scan(file: str, first: date, last: date) -> pl.LazyFrame:
    """Return the downloads in one file from `first` to `last`: date, package, installer, system, ci."""
    start = datetime.combine(first, time.min, tzinfo=end_of(first).tzinfo)
    _check_columns(file)
    timestamp, details = pl.col("timestamp"), pl.col("details").struct
    return (
        pl.scan_parquet(file, glob=False)
        .filter(timestamp >= start, timestamp < end_of(last))
        .select(
            date=timestamp.dt.date(),
            package=pl.col("project"),
            installer=details.field("installer").struct.field("name"),
            system=details.field("system").struct.field("name"),
            ci=details.field("ci"),
        )
        .filter(pl.col("package").is_not_null())
    )


def _check_columns(file: str) -> None:
    """Raise SourceError unless the file has every column needed, of the right type."""
    try:
        schema = pl.read_parquet_schema(file)
    except UNREADABLE as error:
        reason = _reason(error)
        raise SourceError(
            f"{file}: cannot be read as Parquet ({reason}). Remove it from source.path, or export it again"
        ) from None
    for column, expected in COLUMNS.items():
        found = _type_of(column, schema)
        if found is None:
            raise SourceError(f"{file}: has no column {column}. Export it with the schema of file_downloads")
        if not _fits(column, found):
            raise SourceError(f"{file}: column {column} is {found}, not {expected}. Export it as file_downloads has it")


def read_all(file: str) -> None:
    """Read all that is needed of a file, as one that is looked at for the first time is read."""
    downloads = _scan(file, NO_DAY_BEFORE, date.max - ONE_DAY)
    downloads.group_by(pl.all()).len().collect()


def _check_that_one_survives(file: str) -> None:
    """Raise SourceError if a process that reads a file dies of it; what it says of the file is for another to hear."""
    if subprocess.run([sys.executable, "-c", _READ, file], capture_output=True, check=False).returncode < 0:  # noqa: S603 - no shell
        raise SourceError(f"{file}: is damaged: whatever reads it dies. Remove it from source.path, or export it again")


def _reason(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _type_of(column: str, schema: pl.Schema | dict[str, pl.DataType]) -> pl.DataType | None:
    """Return the type of a column, or of a field of a struct by its dotted name; None where there is none."""
    outer, *fields = column.split(".")
    found = schema.get(outer)
    for name in fields:
        inner = found.fields if isinstance(found, pl.Struct) else []
        found = next((pl.Field(f.name, f.dtype).dtype for f in inner if f.name == name), None)  # type: ignore[assignment]
    return found


def _fits(column: str, found: pl.DataType) -> bool:
    if column == "timestamp":
        return isinstance(found, pl.Datetime) and found.time_zone == "UTC"
    return found == (pl.Boolean if column == "details.ci" else pl.String)
