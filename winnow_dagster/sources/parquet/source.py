"""Raw counts from Parquet files in the schema of `file_downloads`, with one row per row of the log.

The files may split the rows in any way. Winnow reads only the columns and days that it needs. A day without rows is
missing, not a day without downloads. An unusable file fails only its own days.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.coverage import ONE_DAY, Failure, Reading, Request, days_between, describe_requests
from winnow_dagster.core.definition import LAST_MIXED_DAY, needs_file_names
from winnow_dagster.core.dimensions import OPEN_DIMENSIONS, in_order
from winnow_dagster.core.names import EVERYTHING
from winnow_dagster.core.planning import contiguous
from winnow_dagster.files.disk import make_folder, replace_file
from winnow_dagster.sources.interface import SourceError
from winnow_dagster.sources.parquet.counts import Counted, add_up, count_rows
from winnow_dagster.sources.parquet.files import find_copies, find_files, translating_os_errors
from winnow_dagster.sources.parquet.repeats import find_repeats
from winnow_dagster.sources.parquet.schema import FILE_NAME
from winnow_dagster.sources.parquet.survey import (
    Survey,
    UnusableFileError,
    find_early_end,
    survey_file,
    why_unknown,
)

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import date

MAX_ROWS_AT_ONCE = 500_000
"""The maximum number of rows to break down at once. One day may have more."""

logger = logging.getLogger(__name__)

_READ = "import sys; from winnow_dagster.sources.parquet.source import read_all; read_all(sys.argv[1])"


class ParquetSource:
    """Files at one or several paths."""

    def __init__(self, path: str | Sequence[str], marker: Path | None = None, data_dir: Path | None = None) -> None:
        """Take absolute paths of files or folders, or globs. Each reading finds the files again.

        `marker`: a file that exists while Winnow reads. If Winnow finds it at the start, a process died in a reading.
        `data_dir`: a folder with files of Winnow, which the paths may contain and which are no exports.
        """
        self._paths = (path,) if isinstance(path, str) else tuple(path)
        self._marker = marker
        self._data_dir = data_dir
        self._surveys: dict[tuple[str, int, int], Survey] = {}
        self._warned: set[str] = set()

    def read(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:
        """Answer all requests, in one pass over the days. Raises SourceError, which names file and column."""
        if not requests:
            return
        wanted = _days_of(requests)
        with self._reading():
            surveys = self._survey()
            self._warn_of_early_end(surveys, wanted)
            failed = self._find_problems(surveys, wanted)
            present = {day for survey in surveys for day in survey.spans} & wanted
            unknown = self._find_unknown(surveys, requests)
        asked = list(_split(requests, present - failed.keys(), unknown))
        for days in _batches(surveys, asked):
            logger.info("Parquet files are read for %s", describe_requests(list(_split(asked, days))))
            with self._reading():
                counted, damaged = _count(surveys, list(_split(asked, days)))
            failed |= damaged
            parts = list(_split(asked, days - damaged.keys()))
            if parts:
                counts, unnamed, breakdowns = (
                    frame.filter(~pl.col("date").is_in(sorted(damaged))) for frame in counted
                )
                yield Reading(parts, counts, unnamed=unnamed, breakdowns=breakdowns)
        missing = f"{self} has no row of that day. Add the file that does"
        failed |= dict.fromkeys(wanted - present - failed.keys(), missing)
        for request in requests:
            for reason in dict.fromkeys(failed.values()):
                for part in _split([request], {day for day, why in failed.items() if why == reason}):
                    yield Failure(part, reason)

    def recover(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:  # noqa: ARG002 - the interface's
        """Yield nothing: this source is free."""
        return iter(())

    def newest_day(self, today: date) -> date | None:
        """Return the newest day before `today` for which the files have rows, or may have."""
        with self._reading():
            surveys = self._survey()
        days = {day for survey in surveys for day in survey.spans if day < today}
        refused = [survey.refused for survey in surveys if survey.refused and survey.refused[0] < today]
        return max((*days, *(min(last, today - ONE_DAY) for _, last in refused)), default=None)

    def find_unusable(self) -> list[str]:
        """Return why Winnow cannot use some of the files, a text per file. Raises SourceError."""
        with self._reading():
            return [survey.problem for survey in self._survey() if survey.problem]

    def day_rows(self, first: date, last: date) -> Mapping[date, int]:
        """Return the number of rows of each day. Days without rows, or with an unusable file, are absent."""
        with self._reading():
            surveys = self._survey()
        rows: dict[date, int] = {}
        for survey in surveys:
            for day, span in survey.spans.items():
                if first <= day <= last and not any(other.refuses(day) for other in surveys):
                    rows[day] = rows.get(day, 0) + span.rows
        return rows

    def __str__(self) -> str:
        """Return the paths."""
        return ", ".join(self._paths)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Keep a marker file while Winnow reads.

        Some damaged files crash the process inside the Parquet library. After a crash, Winnow first tries each file in
        a process of its own. Raises SourceError.
        """
        if self._marker and self._marker.exists():
            for file in find_files(self._paths, self._data_dir):
                _check_that_one_survives(file)
        if self._marker:
            make_folder(self._marker.parent)
            replace_file(self._marker, b"")
        try:
            yield
        finally:
            if self._marker:
                self._marker.unlink(missing_ok=True)

    def _survey(self) -> list[Survey]:
        """Return a survey of each file, without copies of other files. Read only files that have changed."""
        files = find_files(self._paths, self._data_dir)
        known = self._surveys
        self._surveys = {}
        with translating_os_errors():
            copies = find_copies(files)
            states = [(file, Path(file).stat()) for file in files if file not in copies]
        for file, state in states:
            key = file, state.st_size, state.st_mtime_ns
            self._surveys[key] = known.get(key) or survey_file(file)
        surveys = list(self._surveys.values())
        with_rows = {survey.file for survey in surveys if survey.spans}
        for file, original in copies.items():
            if original in with_rows:
                self._warn(f"{file}: is a copy of {original}, and its rows are not counted again. Remove one of them")
        return surveys

    def _find_problems(self, surveys: Sequence[Survey], wanted: set[date]) -> dict[date, str]:
        """Return the wanted days that Winnow cannot count, each with the reason."""
        failed: dict[date, str] = {}
        for survey in surveys:
            failed |= dict.fromkeys(filter(survey.refuses, wanted), survey.problem)
            if not survey.columns.has_file_names:
                old = {day for day in wanted & survey.spans.keys() if needs_file_names(day)}
                failed |= dict.fromkeys(old, _no_file_names(survey.file))
        failed |= find_repeats(surveys, sorted(wanted - failed.keys()))
        return failed

    def _find_unknown(self, surveys: Sequence[Survey], requests: Sequence[Request]) -> Mapping[date, AbstractSet[str]]:
        """Return the open dimensions that some file of a wanted day does not have, by day. Warn of each once."""
        unknown: dict[date, set[str]] = {}
        for name in in_order(name for request in requests for name in request.dimensions):
            wanted = _days_of(request for request in requests if name in request.dimensions)
            for survey in surveys:
                days = survey.spans.keys() & wanted
                if days and (reason := why_unknown(survey, name)):
                    message = f"{survey.file}: {reason}. Until then its days have no breakdown by {name}"
                    self._warn(message, about=name)
                    for day in days:
                        unknown.setdefault(day, set()).add(name)
        return unknown

    def _warn_of_early_end(self, surveys: Sequence[Survey], wanted: set[date]) -> None:
        end = find_early_end(surveys, max(wanted))
        if end and end.date() in wanted:
            self._warn(
                f"{self}: the rows of {end.date()} end at {end:%H:%M} UTC. If the day is cut off, export it again"
            )

    def _warn(self, message: str, about: str = "") -> None:
        """Log a warning, unless this source has logged it already, or another one about the same dimension."""
        if (about or message) not in self._warned:
            self._warned.add(about or message)
            logger.warning("%s", message)


def read_all(file: str) -> None:
    """Survey and count a file, as for a new file."""
    survey = survey_file(file)
    if survey.spans:
        known = [name for name in OPEN_DIMENSIONS if not why_unknown(survey, name)]
        everything = Request(EVERYTHING, min(survey.spans), max(survey.spans), dimensions=in_order(known))
        count_rows(survey, [everything], survey.spans.keys())


def _count(surveys: Sequence[Survey], requests: Sequence[Request]) -> tuple[Counted, dict[date, str]]:
    """Count all files. Return the counts, and the days of damaged files with the reason."""
    days = _days_of(requests)
    counted: list[Counted] = []
    failed: dict[date, str] = {}
    for survey in surveys:
        if survey.spans.keys() & days:
            try:
                counted.append(count_rows(survey, requests, survey.spans.keys() & days))
            except UnusableFileError as error:
                failed |= dict.fromkeys(survey.spans.keys() & days, f"{survey.file}: {error}")
    return add_up(counted), failed


def _days_of(requests: Iterable[Request]) -> set[date]:
    return {day for first, last in {(r.first, r.last) for r in requests} for day in days_between(first, last)}


def _batches(surveys: Sequence[Survey], requests: Sequence[Request]) -> Iterator[set[date]]:
    """Yield the days of requests in batches, oldest first: the breakdowns of all at once may not fit in memory."""
    is_large = any(request.dimensions for request in requests)
    batch: set[date] = set()
    rows = 0
    for day in sorted(_days_of(requests)):
        more = sum(survey.spans[day].rows for survey in surveys if day in survey.spans)
        if is_large and batch and rows + more > MAX_ROWS_AT_ONCE:
            yield batch
            batch, rows = set(), 0
        batch.add(day)
        rows += more
    if batch:
        yield batch


def _split(
    requests: Iterable[Request], days: Container[date], unknown: Mapping[date, AbstractSet[str]] = MappingProxyType({})
) -> Iterator[Request]:
    """Yield the parts of requests for contiguous days that are among `days`, without the dimensions unknown there."""
    for request in requests:
        for run in contiguous(day for day in request.days() if day in days):
            by_day = [(tuple(d for d in request.dimensions if d not in unknown.get(day, ())), day) for day in run]
            for dimensions, part in groupby(by_day, key=itemgetter(0)):
                days_of_part = [day for _, day in part]
                yield replace(request, first=days_of_part[0], last=days_of_part[-1], dimensions=dimensions)


def _no_file_names(file: str) -> str:
    return (
        f"{file}: has no column {FILE_NAME}, which tells downloads from other requests up to {LAST_MIXED_DAY}. "
        "Export it with that column"
    )


def _check_that_one_survives(file: str) -> None:
    """Raise SourceError if reading a file crashes the process. The reading itself finds other errors."""
    if subprocess.run([sys.executable, "-c", _READ, file], capture_output=True, check=False).returncode < 0:  # noqa: S603 - no shell
        raise SourceError(
            f"{file}: is damaged: reading it crashes the process. Remove it from source.path, or export it again"
        )
