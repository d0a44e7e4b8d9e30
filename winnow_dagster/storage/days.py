"""The store of days: one Parquet file a day, its coverage inside it, so that the two can never disagree.

`raw_downloads/2026-11-20.parquet` holds the raw counts of that day and, in the file's metadata, which selectors
were read when. Knows nothing of what counts mean.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
from datetime import date, datetime
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.coverage import Coverage
from winnow_dagster.core.days import Days
from winnow_dagster.core.honesty import HONEST_SCHEMA, RAW_SCHEMA, RULES
from winnow_dagster.core.names import Selector, matches_any
from winnow_dagster.storage.files import make_folder, remove_staged, replace_file

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from winnow_dagster.core.coverage import Failure, Reading

logger = logging.getLogger(__name__)

FORMAT = "1"
METADATA_KEY = "winnow"


class DayStore:
    """Day files of one schema in one folder."""

    def __init__(self, folder: Path, schema: pl.Schema, version: str = FORMAT) -> None:
        """Use `folder`, which need not exist yet. Files of another `version` count as not read."""
        self.folder = folder
        self.schema = schema
        self.version = version
        self._coverage: dict[date, tuple[tuple[int, int], Coverage]] = {}

    def path(self, day: date) -> Path:
        """Return where the file of a day is, whether or not there is one."""
        return self.folder / f"{day}.parquet"

    def stored_days(self) -> list[date]:
        """Return the days that have a file, oldest first."""
        days = []
        for path in self.folder.glob("????-??-??.parquet"):
            with contextlib.suppress(ValueError):  # 2025-02-30 is nothing of ours.
                days.append(date.fromisoformat(path.stem))
        return sorted(days)

    def coverage(self, day: date) -> Coverage | None:
        """Return what the file of a day covers; None where there is no file."""
        try:
            stat = self.path(day).stat()
        except FileNotFoundError:
            return None
        version = (stat.st_mtime_ns, stat.st_ino)
        if self._coverage.get(day, (None,))[0] != version:
            try:
                metadata = pl.read_parquet_metadata(self.path(day))
                self._coverage[day] = (version, _parse_coverage(metadata[METADATA_KEY], self.version))
            except (pl.exceptions.PolarsError, KeyError, ValueError):
                logger.warning("%s is damaged or not of this version; its day counts as not read", self.path(day))
                return None
        return self._coverage[day][1]

    def coverages(self, days: Collection[date]) -> dict[date, Coverage]:
        """Return the coverage of each of these days that has a file."""
        found = {day: self.coverage(day) for day in days}
        return {day: coverage for day, coverage in found.items() if coverage is not None}

    def load(self, days: Collection[date]) -> Days:
        """Return what is stored of these days; a day without a file has no coverage and no rows."""
        coverage = self.coverages(days)
        paths = [self.path(day) for day in sorted(coverage)]
        counts = pl.scan_parquet(paths) if paths else pl.LazyFrame(schema=self.schema)
        return Days(counts, coverage)

    def write(self, day: date, counts: pl.DataFrame, coverage: Coverage) -> None:
        """Replace the file of a day."""
        make_folder(self.folder)
        remove_staged(self.folder)
        buffer = io.BytesIO()
        ordered = counts.select(self.schema.names()).sort(self.schema.names())
        ordered.write_parquet(buffer, metadata={METADATA_KEY: _format_coverage(coverage, self.version)})
        replace_file(self.path(day), buffer.getvalue())

    def write_unless_older(self, day: date, counts: pl.DataFrame, coverage: Coverage) -> None:
        """Replace the file of a day unless it holds a later reading than `coverage` does."""
        before = self.coverage(day)
        if before is None or not before.is_later_than(coverage):
            self.write(day, counts, coverage)

    def add_reading(self, reading: Reading, at: datetime) -> dict[date, int]:
        """Store the source's answer to some requests on each of their days, in place of what was stored of it.

        Returns, for each day that was read before, how many downloads more the source has now (less is negative).
        """
        late: dict[date, int] = {}
        for day in sorted({day for request in reading.requests for day in request.days()}):
            selectors = [r.selector for r in reading.requests if r.first <= day <= r.last]
            before = self.coverage(day) or Coverage()
            stored = self.load([day]).counts.collect()
            fresh = reading.counts.filter(pl.col("date") == day, matches_any(selectors, "package"))
            if again := [s for s in selectors if before.covers(s)]:
                reread = matches_any(again, "package")
                late[day] = _total(fresh.filter(reread)) - _total(stored.filter(reread))
            self.write(
                day,
                pl.concat([stored.filter(~matches_any(selectors, "package")), fresh]),
                Coverage(
                    read={**before.read, **dict.fromkeys(selectors, at)},
                    failed={s: why for s, why in before.failed.items() if not any(new.covers(s) for new in selectors)},
                ),
            )
        return late

    def add_failure(self, failure: Failure) -> None:
        """Store on each of its days why a request failed; what is covered stays covered."""
        for day in failure.request.days():
            before = self.coverage(day) or Coverage()
            failed = {**before.failed, failure.request.selector: failure.reason}
            self.write(day, self.load([day]).counts.collect(), Coverage(before.read, failed))


def raw_store(folder: Path) -> DayStore:
    """Return the store of raw counts below `folder`."""
    return DayStore(folder / "raw_downloads", RAW_SCHEMA)


def honest_store(folder: Path) -> DayStore:
    """Return the store of honest counts below `folder`: those made by the present rules only."""
    return DayStore(folder / "honest_downloads", HONEST_SCHEMA, f"{FORMAT}/{RULES}")


def _total(counts: pl.DataFrame) -> int:
    return int(counts["downloads"].sum())


def _format_coverage(coverage: Coverage, version: str) -> str:
    return json.dumps(
        {
            "format": version,
            "read": {str(s): at.isoformat() for s, at in sorted(coverage.read.items())},
            "failed": {str(s): why for s, why in sorted(coverage.failed.items())},
        }
    )


def _parse_coverage(text: str, version: str) -> Coverage:
    content = json.loads(text)
    if content["format"] != version:
        raise ValueError(content["format"])
    return Coverage(
        read={Selector.parse(s): datetime.fromisoformat(at) for s, at in content["read"].items()},
        failed={Selector.parse(s): why for s, why in content["failed"].items()},
    )
