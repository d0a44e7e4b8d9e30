"""The store of raw counts: the day files, and the waiting answers that Winnow still has to merge into them.

Winnow stores each answer at once as a file of its own, and later merges all of them into the day files together.
Otherwise a first fill would rewrite each day file once for each package. Coverage includes waiting answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from threading import RLock
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import polars as pl

from winnow_dagster.core.answers import answer_from_failure, answer_from_reading
from winnow_dagster.core.categories import RAW_SCHEMA
from winnow_dagster.core.coverage import BREAKDOWN_SCHEMA, NOTHING
from winnow_dagster.core.days import Days
from winnow_dagster.core.merging import (
    ANSWER_COLUMN,
    merge_breakdown_coverage,
    merge_counts,
    merge_coverage,
)
from winnow_dagster.core.names import matches_any
from winnow_dagster.store import folders
from winnow_dagster.store.answers import AnswerStore
from winnow_dagster.store.days import DayStore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import date, datetime

    from winnow_dagster.core.answers import WaitingAnswer
    from winnow_dagster.core.coverage import Coverage, Failure, Reading, Request
    from winnow_dagster.core.merging import Replacement
    from winnow_dagster.files.paths import StorePath

MAX_MERGE_ROWS = 3_000_000
"""The maximum number of rows of waiting answers that a merge holds in memory, unless one day has more."""


_NO_COUNTS = pl.DataFrame(schema={**RAW_SCHEMA, ANSWER_COLUMN: pl.Int64})
_NO_BREAKDOWNS = pl.DataFrame(schema={**BREAKDOWN_SCHEMA, ANSWER_COLUMN: pl.Int64})

P = ParamSpec("P")
T = TypeVar("T")


def _locked(method: Callable[Concatenate[RawStore, P], T]) -> Callable[Concatenate[RawStore, P], T]:
    """Let one thread at a time use the store's caches. Dagster evaluates sensors in several threads."""

    @wraps(method)
    def locked(self: RawStore, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self.lock:
            return method(self, *args, **kwargs)

    return locked


@dataclass(frozen=True)
class _MergedDay:
    """A day with answers merged into its coverage, and what these answers replace."""

    day: date
    before: Coverage | None
    coverage: Coverage
    replacements: Sequence[Replacement]
    fresh_counts: pl.DataFrame
    fresh_breakdowns: pl.DataFrame


BACKFILL = "`winnow collect --backfill` reads its breakdowns again"


class RawStore:
    """The raw counts below one folder."""

    def __init__(self, folder: StorePath) -> None:
        """Use the store in `folder`, which need not exist yet."""
        self.files = DayStore(folder / folders.RAW, RAW_SCHEMA)
        self.breakdowns = DayStore(folder / folders.BREAKDOWNS, BREAKDOWN_SCHEMA, recovery=BACKFILL)
        """The breakdowns of each day, in a file beside that of its counts. Most days have none."""

        self._answers = AnswerStore(folder / folders.ANSWERS, RAW_SCHEMA)
        self._known: dict[date, tuple[Coverage | None, int, Coverage | None]] = {}
        self.lock = RLock()

    def path(self, day: date) -> StorePath:
        """Return the path of a day's file, which need not exist."""
        return self.files.path(day)

    @_locked
    def stored_days(self) -> list[date]:
        """Return the days that have a file or a waiting answer, oldest first."""
        # List answers before day files: another process may merge the answers in between.
        self._answers.refresh()
        return sorted({*self.files.stored_days(), *self._answers.days()})

    @_locked
    def coverage(self, day: date) -> Coverage | None:
        """Return the coverage of a day, waiting answers included; None without a sound file or an answer."""
        self._answers.refresh()
        return self._merged_coverage(day)

    @_locked
    def coverages(self, days: Collection[date]) -> dict[date, Coverage]:
        """Return the coverage of each day that has a sound file or a waiting answer."""
        self._answers.refresh()
        self.files.fetch_ahead(days)
        found = {day: self._merged_coverage(day) for day in days}
        return {day: coverage for day, coverage in found.items() if coverage is not None}

    @_locked
    def load(self, days: Collection[date]) -> Days:
        """Return the stored counts of these days, waiting answers included."""
        while True:
            self._answers.refresh()
            waiting = set(days).intersection(self._answers.days())
            try:
                merged = {each.day: (each.coverage, self._counts(each)) for each in self._merge(sorted(waiting))}
                break
            except FileNotFoundError:
                # Another process has merged an answer since. The day file has its counts.
                continue
        stored = self.files.load([day for day in days if day not in waiting])
        if not merged:
            return stored
        lazy = {day: counts for day, (_, counts) in merged.items()}
        coverage = {**stored.coverage, **{day: coverage for day, (coverage, _) in merged.items()}}
        return Days(
            pl.concat([stored.counts, *lazy.values()]),
            dict(sorted(coverage.items())),
            dict(sorted({**stored.by_day, **lazy}.items())),
        )

    @_locked
    def load_breakdowns(self, days: Collection[date]) -> Days:
        """Return the breakdowns of these days, waiting answers included. Their coverage says what they hold."""
        while True:
            known = {day: coverage for day, coverage in self.coverages(days).items() if coverage.has_dimensions}
            waiting = sorted(set(known).intersection(self._answers.days()))
            try:
                merged = {each.day: self._merge_breakdowns(each) for each in self._merge(waiting)}
                break
            except FileNotFoundError:
                # Another process has merged an answer since. The day's file has its breakdowns.
                continue
        stored = self.breakdowns.load([day for day in known if day not in waiting])
        coverage = {day: found.within(known[day]) for day, found in stored.coverage.items()}
        coverage |= {day: found for day, (found, _) in merged.items()}
        by_day = {**stored.by_day, **{day: counts.lazy() for day, (_, counts) in merged.items()}}
        return Days(
            pl.concat([stored.counts, *(counts.lazy() for _, counts in merged.values())]),
            dict(sorted(coverage.items())),
            dict(sorted(by_day.items())),
        )

    @_locked
    def without_lost_breakdowns(self, stored: Mapping[date, Coverage]) -> dict[date, Coverage]:
        """Return these coverages without the dimensions whose breakdowns are missing or damaged."""
        found = self.load_breakdowns(stored).coverage
        return {day: coverage.keep_dimensions_of(found.get(day, NOTHING)) for day, coverage in stored.items()}

    @_locked
    def damaged(self) -> dict[str, str]:
        """Return the damaged and set-aside files, each with a message."""
        self._answers.refresh()
        return {**self.files.damaged(), **self.breakdowns.damaged(), **self._answers.damaged()}

    @_locked
    def clean_up(self) -> None:
        """Set damaged files aside, and remove the half-written files of dead runs. Raises StorageError."""
        self.files.clean_up()
        self.breakdowns.clean_up()
        self._answers.clean_up()

    @_locked
    def write(self, day: date, counts: pl.DataFrame, coverage: Coverage) -> None:
        """Replace the file of a day; set a damaged one aside. Raises StorageError."""
        self.files.write(day, counts, coverage)

    @_locked
    def add_reading(self, reading: Reading, at: datetime) -> dict[date, int]:
        """Store the source's answer to some requests. Call it under the fetch lock. Raises StorageError.

        A scan for `*` goes into the day files at once: it has millions of rows, and no other answer has its days.
        Other answers wait for `merge`. Returns how many more downloads each re-read day has now (negative: fewer).
        """
        is_scan = any(request.selector.is_all for request in reading.requests)
        if is_scan:
            self.merge()
        before = self._before(reading.requests)
        answer, counts, breakdowns = answer_from_reading(reading, at, before)
        late = self._late(answer, counts, before)
        if is_scan:
            self._write_scan(answer, counts, breakdowns)
        else:
            self._answers.add(answer, counts, breakdowns)
        return late

    @_locked
    def add_failure(self, failure: Failure, at: datetime) -> None:
        """Store why a request failed. Covered selectors stay covered. Call it under the fetch lock."""
        answer = answer_from_failure(failure, at, self._before(failure.requests))
        self._answers.add(answer, RAW_SCHEMA.to_frame())

    @_locked
    def merge(self) -> None:
        """Merge the waiting answers into the day files, and remove them. Call it under the fetch lock.

        After an interrupted merge, the next one repeats it. Raises StorageError.
        """
        is_merged = False
        while not is_merged:
            self._answers.refresh()
            names = self._answers.names()
            try:
                for merged in self._merge(sorted(self._answers.days())):
                    self._write(merged)
                self._answers.remove(names)
                is_merged = True
            except FileNotFoundError:
                # A worker that has lost the lock has merged an answer meanwhile.
                continue

    def _merged_coverage(self, day: date) -> Coverage | None:
        waiting, before = self._answers.of_day(day), self.files.coverage(day)
        if not waiting:
            return before
        known, changes, merged = self._known.get(day, (None, -1, None))
        if changes != self._answers.changes or known is not before:
            merged, _ = merge_coverage(day, before or NOTHING, self._answers.get(waiting))
            self._known[day] = before, self._answers.changes, merged
        return merged

    def _merge(self, days: Sequence[date]) -> Iterator[_MergedDay]:
        """Yield each of these days with the waiting answers merged.

        Raises FileNotFoundError if another process has merged an answer meanwhile.
        """
        for some in self._batches(days):
            names = self._answers.names_of(some)
            answers, (counts, breakdowns) = self._answers.get(names), self._answers.rows(names, some[0], some[-1])
            for day in some:
                before = self.files.coverage(day)
                coverage, replacements = merge_coverage(day, before or NOTHING, answers)
                fresh = counts.get(day, _NO_COUNTS), breakdowns.get(day, _NO_BREAKDOWNS)
                yield _MergedDay(day, before, coverage, replacements, *fresh)

    def _counts(self, merged: _MergedDay) -> pl.LazyFrame:
        """Return the counts of a day after a merge.

        If no answer replaces any, the day's counts are not read: all days of `*` do not fit in memory.
        """
        stored = self.files.load([merged.day]).counts
        if not merged.replacements:
            return stored
        return merge_counts(stored.collect(), merged.replacements, merged.fresh_counts).lazy()

    def _merge_breakdowns(self, merged: _MergedDay) -> tuple[Coverage, pl.DataFrame]:
        """Return the breakdowns of a day after a merge, and the coverage of what they hold."""
        stored = self.breakdowns.load([merged.day])
        known, before = stored.coverage.get(merged.day, NOTHING), merged.before or NOTHING
        coverage = merge_breakdown_coverage(merged.coverage, merged.replacements, before, known)
        return coverage, merge_counts(stored.counts.collect(), merged.replacements, merged.fresh_breakdowns)

    def _write(self, merged: _MergedDay) -> None:
        """Write a day after a merge, unless nothing has changed.

        The breakdowns go first: after a crash in between, the counts' file still says that the answer is not merged.
        """
        if merged.coverage.has_dimensions or (merged.before or NOTHING).has_dimensions:
            coverage, breakdowns = self._merge_breakdowns(merged)
            if merged.replacements or coverage != self.breakdowns.coverage(merged.day):
                self.breakdowns.write(merged.day, breakdowns, coverage)
        if merged.replacements or merged.coverage != merged.before:
            self.files.write(merged.day, self._counts(merged).collect(), merged.coverage)

    def _batches(self, days: Sequence[date]) -> list[list[date]]:
        """Split days so that the counts of the answers for each part fit in memory."""
        total = self._answers.height(self._answers.names_of(days))
        size = max(1, len(days) * MAX_MERGE_ROWS // max(total, MAX_MERGE_ROWS))
        return [list(days[n : n + size]) for n in range(0, len(days), size)]

    def _before(self, requests: Iterable[Request]) -> dict[date, Coverage]:
        """Return the coverage of the requests' days. Only answers that overlap with their selectors are merged."""
        asked = list(requests)
        waiting = self._answers.get(self._answers.related({request.selector for request in asked}))
        found = {}
        for day in {day for request in asked for day in request.days()}:
            before = self.files.coverage(day) or NOTHING
            found[day] = merge_coverage(day, before, waiting)[0] if waiting else before
        return found

    def _late(self, answer: WaitingAnswer, counts: pl.DataFrame, before: Mapping[date, Coverage]) -> dict[date, int]:
        """Return by day how many more downloads an answer has than the readings that it replaces."""
        late: dict[date, int] = {}
        for day, facts in answer.facts.items():
            again = [selector for selector in facts if before[day].covers(selector)]
            replaced = merge_coverage(day, before[day], [answer])[1] if again else []
            again = [s for s in again if any(s in each.selectors for each in replaced)]
            if not again:
                continue
            known = [before[day].own_downloads(selector) for selector in again]
            if all(downloads is not None for downloads in known):
                late[day] = sum((facts[s].downloads or 0) - (n or 0) for s, n in zip(again, known, strict=True))
            else:
                selected = matches_any(again, "package")
                stored = self.load([day]).counts.filter(selected).collect()
                late[day] = _total(counts.filter(pl.col("date") == day, selected)) - _total(stored)
        return late

    def _write_scan(self, answer: WaitingAnswer, counts: pl.DataFrame, breakdowns: pl.DataFrame) -> None:
        position = pl.lit(0, pl.Int64).alias(ANSWER_COLUMN)
        for day in answer.facts:
            before, of_day = self.files.coverage(day), pl.col("date") == day
            coverage, replacements = merge_coverage(day, before or NOTHING, [answer])
            fresh = [rows.filter(of_day).with_columns(position) for rows in (counts, breakdowns)]
            self._write(_MergedDay(day, before, coverage, replacements, *fresh))


def _total(counts: pl.DataFrame) -> int:
    return int(counts["downloads"].sum())
