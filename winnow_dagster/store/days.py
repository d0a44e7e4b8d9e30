"""The store of days: one Parquet file a day, with its coverage inside, so that counts and coverage always agree.

`raw_downloads/2026-11-20.parquet` holds the raw counts of that day. The file's metadata says when each selector was
read, and has a checksum. Winnow treats a damaged file as not read, and sets it aside before it writes that day again.
Knows nothing of what counts mean.
"""

from __future__ import annotations

import contextlib
import io
import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from winnow_dagster.core.categories import HONEST_SCHEMA, RULES, stored_schema
from winnow_dagster.core.coverage import NO_FACTS, Coverage, ReadingFacts
from winnow_dagster.core.days import Days
from winnow_dagster.core.definition import Definition, needs_file_names
from winnow_dagster.core.names import Selector
from winnow_dagster.files.operations import (
    copy_ahead,
    list_names,
    local_copies,
    make_folder,
    read_if_there,
    remove_staged,
    rename,
    replace_file,
    version_of,
)
from winnow_dagster.store import old_days
from winnow_dagster.store.folders import HONEST
from winnow_dagster.store.sealed import CORRUPT_SUFFIX, UNREADABLE, DamagedError, encode, is_whole, read_metadata

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from winnow_dagster.files.operations import Version
    from winnow_dagster.files.paths import StorePath

logger = logging.getLogger(__name__)

FORMAT = 2
"""The version of the file format. Winnow reads older versions too, and sets newer ones aside."""


@dataclass(frozen=True)
class _FileState:
    """The content of one version of a day file."""

    version: Version
    coverage: Coverage | None
    damage: str | None = None


class DayStore:
    """Day files of one schema in one folder."""

    def __init__(
        self, folder: StorePath, schema: pl.Schema, rules: str = "", recovery: str = "its day is read again"
    ) -> None:
        """Use `folder`, which need not exist yet. Files that other `rules` made count as not read.

        `recovery`: what brings the content of a damaged file back.
        """
        self.folder = folder
        self.schema = schema
        self.rules = rules
        self.recovery = recovery
        self._known: dict[date, _FileState] = {}

    def path(self, day: date) -> StorePath:
        """Return the path of a day's file, which need not exist."""
        return self.folder / f"{day}.parquet"

    def stored_days(self) -> list[date]:
        """Return the days that have a file, oldest first."""
        days = []
        for name in list_names(self.folder):
            day, _, suffix = name.partition(".")
            with contextlib.suppress(ValueError):  # Such as 2025-02-30, which Winnow did not write.
                if suffix == "parquet" and len(day) == len("2025-02-28"):
                    days.append(date.fromisoformat(day))
        return sorted(days)

    def coverage(self, day: date) -> Coverage | None:
        """Return the coverage of a day; None if its file is missing or damaged."""
        known = self._inspect(day)
        return known.coverage if known else None

    def damaged(self) -> dict[str, str]:
        """Return the damaged and set-aside files, each with a message."""
        found = {str(self.path(day)): self._damage(day) for day in self._fetched(self.stored_days())}
        aside = f"was set aside, and {self.recovery}. Look at the disk that it is on, then delete the file"
        return {
            **{name: damage for name, damage in found.items() if damage},
            **{
                str(self.folder / name): aside
                for name in sorted(list_names(self.folder))
                if name.endswith(CORRUPT_SUFFIX)
            },
        }

    def clean_up(self) -> None:
        """Set damaged files aside, and remove the half-written files of dead runs. Raises StorageError."""
        remove_staged(self.folder)
        for day in self._fetched(self.stored_days()):
            self._set_aside_if_damaged(day)

    def _inspect(self, day: date) -> _FileState | None:
        """Return the content of a day's file, from the cache if the file has not changed; None without a file."""
        path = self.path(day)
        version = version_of(path)
        if version is None:
            self._known.pop(day, None)
            return None
        known = self._known.get(day)
        if known is None or known.version != version:
            content = read_if_there(*local_copies([path]))
            if content is None:
                # Another process has removed it since.
                self._known.pop(day, None)
                return None
            try:
                known = _FileState(version, _decode(content, day, self.schema, self.rules))
            except DamagedError as error:
                logger.warning("%s %s; its day counts as not read", path, error)
                known = _FileState(version, None, str(error))
            self._known[day] = known
        return known

    def _damage(self, day: date) -> str | None:
        known = self._inspect(day)
        return known.damage if known else None

    def _set_aside_if_damaged(self, day: date) -> bool:
        known = self._inspect(day)
        if known is None or known.damage is None:
            return False
        path = self.path(day)
        # Only the damaged version: another process may have written a sound file since.
        rename(path, path.name + CORRUPT_SUFFIX, known.version)
        return True

    def coverages(self, days: Collection[date]) -> dict[date, Coverage]:
        """Return the coverage of each day that has a sound file."""
        found = {day: self.coverage(day) for day in self._fetched(days)}
        return {day: coverage for day, coverage in found.items() if coverage is not None}

    def fetch_ahead(self, days: Collection[date]) -> None:
        """Download the files of these days in parallel if they are in a bucket and not cached yet."""

        def unknown() -> Iterator[StorePath]:
            yield from map(self.path, sorted(set(days) & set(self.stored_days()) - self._known.keys()))

        copy_ahead(self.folder, unknown())

    def _fetched(self, days: Collection[date]) -> Collection[date]:
        self.fetch_ahead(days)
        return days

    def load(self, days: Collection[date]) -> Days:
        """Return the stored counts of these days. A day without a sound file has no coverage and no rows."""
        coverage = self.coverages(days)
        days = sorted(coverage)
        paths = local_copies([self.path(day) for day in days])
        by_day = {day: self._scan([path]) for day, path in zip(days, paths, strict=True)}
        counts = self._scan(paths) if paths else pl.LazyFrame(schema=self.schema)
        return Days(counts, coverage, by_day)

    def _scan(self, paths: list[Path]) -> pl.LazyFrame:
        # Files of earlier releases lack later dimensions. polars inserts NULL, which means unknown.
        return pl.scan_parquet(paths, glob=False, schema=self.schema, missing_columns="insert")

    def write(self, day: date, counts: pl.DataFrame, coverage: Coverage) -> None:
        """Replace the file of a day; set a damaged one aside. Raises StorageError."""
        make_folder(self.folder)
        # The version that these counts were computed from. If the file has changed since, the write must fail.
        seen = self._known.get(day) or self._inspect(day)
        if self._set_aside_if_damaged(day):
            seen = None
        ordered = counts.lazy().select(self.schema.names()).sort(self.schema.names()).collect()
        made = replace_file(self.path(day), _encode(ordered, coverage, self.rules), seen.version if seen else None)
        self._known[day] = _FileState(made, coverage)


def honest_store(folder: StorePath) -> DayStore:
    """Return the store of honest counts below `folder`, which ignores counts by other rules."""
    return DayStore(folder / HONEST, HONEST_SCHEMA, RULES)


def _encode(counts: pl.DataFrame, coverage: Coverage, rules: str) -> bytes:
    """Return a day file: counts, and in its metadata the format, the coverage and a checksum."""
    about = {
        "format": FORMAT,
        "rules": rules,
        "definition": Definition.FILES,
        "read": {str(s): at.isoformat() for s, at in sorted(coverage.read.items())},
        "legacy": {str(s): at.isoformat() for s, at in sorted(coverage.legacy.items())},
        "failed": {str(s): why for s, why in sorted(coverage.failed.items())},
        "facts": {str(s): format_facts(coverage.facts[s]) for s in sorted(coverage.facts) if s in coverage.read},
    }
    return encode(counts, about)


def format_facts(facts: ReadingFacts) -> dict[str, object]:
    """Return the known facts about a reading as JSON values."""
    return {key: value for key, value in vars(facts).items() if value != getattr(NO_FACTS, key)}


def _decode(content: bytes, day: date, schema: pl.Schema, rules: str) -> Coverage | None:
    """Return the coverage of a day file; None if other rules made it. Raises DamagedError."""
    if not content:
        raise DamagedError("is empty")
    try:
        about = old_days.upgrade(read_metadata(content), schema)
        problem = _problem(content, about, schema)
        coverage = None if problem or about["rules"] != rules else _coverage(about, day)
    except UNREADABLE:
        raise DamagedError("is damaged, or was not written by Winnow") from None
    if problem:
        raise DamagedError(problem)
    return coverage


def _coverage(about: Mapping[str, Any], day: date) -> Coverage:
    read, legacy = _moments(about["read"]), _moments(about.get("legacy", {}))
    if needs_file_names(day) and about.get("definition") != Definition.FILES:
        # The release that wrote it counted every request.
        read, legacy = {}, read
    return Coverage(
        read,
        failed={Selector.parse(s): str(why) for s, why in about["failed"].items()},
        facts={Selector.parse(s): ReadingFacts(**facts) for s, facts in about.get("facts", {}).items()},
        legacy=legacy,
    )


def _moments(stamps: Mapping[str, str]) -> dict[Selector, datetime]:
    # Most selectors of a day were read at the same moment.
    moments = {at: datetime.fromisoformat(at).astimezone(UTC) for at in set(stamps.values())}
    return {Selector.parse(s): moments[at] for s, at in stamps.items()}


def _problem(content: bytes, about: Mapping[str, Any], schema: pl.Schema) -> str | None:
    """Return what is wrong with a Parquet file that some version of Winnow wrote; None if it is sound."""
    if about["format"] != FORMAT:
        return f"is of format {about['format']}, and this version of Winnow reads {FORMAT}"
    if (columns := pl.read_parquet_schema(io.BytesIO(content))) != stored_schema(columns, schema):
        return f"has the columns {', '.join(columns)}, not {', '.join(schema)}"
    return None if is_whole(content, about["crc32"]) else "is damaged: it is not what was written"
