"""Coverage: which (day, selector) was read when, which still has to be, and how to ask for it.

Missing is not zero (R1): everything that reads or publishes counts asks here what is covered.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.completeness import DayRows, have_grown, is_recheck_due
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from winnow_dagster.core.names import Selector

ONE_DAY = timedelta(days=1)

UNNAMED_SCHEMA = pl.Schema({"date": pl.Date, "package": pl.String, "rows": pl.Int64})
"""How many rows of a package name no file on a day."""


@dataclass(frozen=True)
class ReadingFacts:
    """What is known of one reading of a selector on a day, besides its counts."""

    source_rows: int | None = None
    """How many rows the source had of the day then, over all packages; None where it could not tell."""

    downloads: int | None = None
    """The raw downloads of the selector; None of a reading by a release that did not note them."""

    unnamed: int = 0
    """How many rows name no file, on a day on which only the name tells a download. They are not counted."""

    is_short: bool = False
    """Whether the source had lost rows of the day, and the day was counted all the same."""


NO_FACTS = ReadingFacts()


@dataclass(frozen=True)
class Coverage:
    """What one stored day holds: when each selector was last read, and why its last reading failed."""

    read: Mapping[Selector, datetime] = field(default_factory=dict)
    failed: Mapping[Selector, str] = field(default_factory=dict)
    facts: Mapping[Selector, ReadingFacts] = field(default_factory=dict)
    """What else is known of the readings in `read`."""

    legacy: Mapping[Selector, datetime] = field(default_factory=dict)
    """When selectors were read by the definition `requests`. Such counts are history only: they cover nothing (R9)."""

    @cached_property
    def _wide(self) -> list[tuple[Selector, datetime]]:
        """The selectors that may select more than one package; looked through for each of hundreds of others."""
        return [(selector, at) for selector, at in self.read.items() if selector.is_prefix]

    def last_read(self, selector: Selector) -> datetime | None:
        """Return when all that `selector` selects was last read, by itself or by a wider one; None if never."""
        times = [at for other, at in self._wide if other.covers(selector)]
        if selector in self.read:
            times.append(self.read[selector])
        return max(times, default=None)

    def covers(self, selector: Selector) -> bool:
        """Tell whether the day's raw counts of `selector` were fetched, even if there were none."""
        return self.last_read(selector) is not None

    def is_provisional(self, day: date, selector: Selector, settle_days: int) -> bool:
        """Tell whether `selector` was last read on `day` before the day had settled."""
        last_read = self.last_read(selector)
        return last_read is not None and last_read < end_of(day) + settle_days * ONE_DAY

    def failure(self, selector: Selector) -> str | None:
        """Return why the last reading of `selector`, or of a wider one, failed; None if it did not."""
        return next((why for other, why in self.failed.items() if other.covers(selector)), None)

    def holds(self, selector: Selector) -> bool:
        """Return whether the day has counts of all that `selector` selects, by whichever definition."""
        return self.covers(selector) or any(other.covers(selector) for other in self.legacy)

    def facts_of(self, selector: Selector) -> ReadingFacts:
        """Return what is known of the newest reading that covers `selector`."""
        covering = [other for other in self.read if other.covers(selector)]
        return self.facts.get(max(covering, key=self.read.__getitem__), NO_FACTS) if covering else NO_FACTS

    def within(self, other: Coverage) -> Coverage:
        """Return this without the readings that `other` does not have too."""
        return replace(
            self,
            read={selector: at for selector, at in self.read.items() if other.read.get(selector) == at},
            legacy={selector: at for selector, at in self.legacy.items() if other.legacy.get(selector) == at},
        )

    def with_reading(self, facts: Mapping[Selector, ReadingFacts], at: datetime) -> Coverage:
        """Return this after a reading of some selectors, which is the only one that their counts are of then."""
        # Two readings never have the same stamp: the honest counts of one would be taken for those of the other.
        while at in [self.read.get(selector) for selector in facts]:
            at += timedelta(microseconds=1)
        return Coverage(
            read={**self.read, **dict.fromkeys(facts, at)},
            failed={s: why for s, why in self.failed.items() if not any(new.covers(s) for new in facts)},
            facts={**self.facts, **{s: found for s, found in facts.items() if found != NO_FACTS}},
            legacy={s: read for s, read in self.legacy.items() if not any(new.covers(s) for new in facts)},
        )

    def with_failure(self, failure: Failure) -> Coverage:
        """Return this after a request failed; what is covered stays covered.

        A short day was not asked for, which is no failure: a wider selector is asked for it next time too.
        """
        if failure.is_short:
            return self
        return replace(self, failed={**self.failed, failure.request.selector: failure.reason})


NOTHING = Coverage()


@dataclass(frozen=True, order=True)
class Request:
    """One question to the source: the counts of what `selector` selects, from `first` to `last` inclusive."""

    selector: Selector
    first: date
    last: date
    is_second: bool = False
    """Whether the days are covered already, and are read once more only because they have settled."""

    is_recount: bool = False
    """Whether counts by an older definition are stored, which stay until this is read."""

    def days(self) -> list[date]:
        """Return the days asked for, oldest first."""
        return days_between(self.first, self.last)


@dataclass(frozen=True)
class Cost:
    """What an answer cost: how many queries, and the bytes that they processed and billed."""

    queries: int = 0
    bytes_processed: int = 0
    bytes_billed: int = 0


@dataclass(frozen=True)
class Reading:
    """The source's whole answer to these requests: raw counts (RAW_SCHEMA); no row means no download."""

    requests: Sequence[Request]
    counts: pl.DataFrame
    cost: Cost = field(default_factory=Cost)
    unnamed: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=UNNAMED_SCHEMA))
    """Rows that name no file, on days on which only the name tells a download (UNNAMED_SCHEMA)."""

    source_rows: Mapping[date, int] = field(default_factory=dict)
    """How many rows the source has of each day, over all packages, where it can tell."""

    short_days: frozenset[date] = frozenset()
    """Days that are counted although the source has lost rows of them."""

    read_at: datetime | None = None
    """When the source read the rows, if an earlier run asked for them; None: just now."""


@dataclass(frozen=True)
class Failure:
    """A request that the source did not answer, and why, in a sentence that names the fix."""

    request: Request
    reason: str
    is_passing: bool = False
    """Whether asking again in some minutes may help."""

    is_short: bool = False
    """Whether the source was not asked, since it has lost rows of the day."""

    def __post_init__(self) -> None:
        """Keep the source's own words on one line, without control characters."""
        object.__setattr__(self, "reason", visible(self.reason))

    @property
    def requests(self) -> Sequence[Request]:
        """The request that failed, as the requests of an answer."""
        return (self.request,)


LOW_REREAD_DAYS = (3, 10, 30)
"""How many days after its end a day with suspiciously few downloads is read again."""

CLOCK_TOLERANCE = timedelta(minutes=5)
"""By how much the clocks of two machines may differ."""


@dataclass(frozen=True)
class Reader:
    """What decides whether a reading still has to be made: the present moment, and when a day settles.

    A day read less than `settle_days` after its end is provisional; 0 means that every day settles at once.
    """

    now: datetime
    settle_days: int = 0
    read_once: frozenset[Selector] = frozenset()
    """What is not read again to settle."""

    rows: Mapping[date, DayRows] = field(default_factory=dict)
    """The newest numbers of rows that the source gave, by day."""

    low_days: frozenset[date] = frozenset()
    """Days with suspiciously few downloads, whose numbers of rows the source cannot tell."""

    def has_to_read(self, day: date, coverage: Coverage, selector: Selector) -> bool:
        """Tell whether `selector` is not covered on `day`, or has to be read once more."""
        return not coverage.covers(selector) or self.has_to_reread(day, coverage, selector)

    def has_to_reread(self, day: date, coverage: Coverage, selector: Selector) -> bool:
        """Tell whether `selector` is covered on `day`, and has to be read once more.

        That is so once the day has settled, once lost rows have come back, and where the stamp lies in the future: by a
        clock that was ahead, a day may be read before it is over.
        """
        last_read = coverage.last_read(selector)
        if last_read is None:
            return False
        if last_read > self.now + CLOCK_TOLERANCE:
            return True
        rows, facts = self.rows.get(day), coverage.facts_of(selector)
        if rows is not None and facts.source_rows is not None and rows.rows < facts.source_rows:
            # The source has lost rows since: its answer would not replace what is stored.
            return False
        if facts.is_short and have_grown(facts.source_rows, rows.rows if rows else None):
            return True
        settles = () if selector in self.read_once else (self.settle_days,)
        moments = (*settles, *(LOW_REREAD_DAYS if day in self.low_days else ()))
        return any(last_read < end_of(day) + days * ONE_DAY <= self.now for days in moments)

    def has_to_ask_for_rows(self, day: date, coverage: Coverage, selector: Selector) -> bool:
        """Tell whether `selector` was read on a marked day, whose number of rows is to be asked for today."""
        known = self.rows.get(day)
        return coverage.facts_of(selector).is_short and is_recheck_due(day, known.asked if known else None, self.now)


@dataclass(frozen=True)
class Gap:
    """Contiguous days that the same selectors miss."""

    first: date
    last: date
    selectors: tuple[Selector, ...]

    @property
    def days(self) -> int:
        """The number of days."""
        return (self.last - self.first).days + 1


def end_of(day: date) -> datetime:
    """Return the moment at which a UTC day is over."""
    return datetime.combine(day + ONE_DAY, time.min, tzinfo=UTC)


def days_between(first: date, last: date) -> list[date]:
    """Return the days from `first` to `last` inclusive, oldest first; none if `last` lies before `first`."""
    return [first + n * ONE_DAY for n in range((last - first).days + 1)]


def find_gaps(
    longest: Mapping[Selector, int],
    stored: Mapping[date, Coverage],
    reader: Reader,
    *,
    start: date,
    through: date,
) -> list[Gap]:
    """Return what has to be read so that each selector has its longest window (in days) up to `through`.

    Where money is short, days that cover nothing go first, then those to read once more, and then days beyond the
    longest window that were counted by another definition.
    """
    first = max(start, through - (max(longest.values(), default=0) - 1) * ONE_DAY)
    missing: dict[date, tuple[Selector, ...]] = {}
    again: dict[date, tuple[Selector, ...]] = {}
    for day in days_between(first, through):
        coverage = stored.get(day, NOTHING)
        wanted = [s for s, days in longest.items() if (through - day).days < days]
        missing[day] = tuple(s for s in wanted if not coverage.covers(s))
        again[day] = tuple(
            s for s in wanted if reader.has_to_reread(day, coverage, s) or reader.has_to_ask_for_rows(day, coverage, s)
        )
    legacy = {
        day: tuple(
            s
            for s, days in longest.items()
            if (through - day).days >= days and stored[day].holds(s) and not stored[day].covers(s)
        )
        for day in sorted(stored)
        if start <= day <= min(through, LAST_MIXED_DAY)
    }
    return [*_group(missing), *_group(again), *_group(legacy)]


def _group(wanted: Mapping[date, tuple[Selector, ...]]) -> list[Gap]:
    """Join contiguous days, oldest first, that the same selectors want."""
    gaps: list[Gap] = []
    for day, selectors in wanted.items():
        if gaps and gaps[-1].last == day - ONE_DAY and gaps[-1].selectors == selectors:
            gaps[-1] = Gap(gaps[-1].first, day, selectors)
        elif selectors:
            gaps.append(Gap(day, day, selectors))
    return gaps


def plan_requests(
    days: Iterable[date],
    selectors: Iterable[Selector],
    stored: Mapping[date, Coverage],
    reader: Reader,
    *,
    refetch: bool = False,
) -> list[Request]:
    """Return the requests that top these days up: one per selector and contiguous range of days.

    What was never read, what is read for a second time and what an older definition counted are requests apart. A
    selector is not asked for on a day for which a wider one is. With `refetch` all is asked for again. A day that is
    not over is never asked for.
    """
    chosen = list(selectors)
    wanted: dict[tuple[Selector, bool, bool], list[date]] = defaultdict(list)
    for day in sorted(d for d in days if end_of(d) <= reader.now):
        coverage = stored.get(day, NOTHING)
        missing = [s for s in chosen if refetch or reader.has_to_read(day, coverage, s)]
        # A prefix that fails must not take the packages down that have an entry of their own.
        wider = [s for s in missing if s.is_prefix and s not in coverage.failed]
        for selector in missing:
            if not any(w != selector and w.covers(selector) for w in wider):
                covered, held = coverage.covers(selector), coverage.holds(selector)
                wanted[selector, not refetch and covered, not refetch and held and not covered].append(day)
    return [
        Request(selector, run[0], run[-1], is_second, is_recount)
        for (selector, is_second, is_recount), days_wanted in wanted.items()
        for run in contiguous(days_wanted)
    ]


def contiguous(days: Iterable[date]) -> list[list[date]]:
    """Split days, oldest first, into runs without a missing day, none of them across the change of the log."""
    runs: list[list[date]] = []
    for day in days:
        if runs and runs[-1][-1] == day - ONE_DAY != LAST_MIXED_DAY:
            runs[-1].append(day)
        else:
            runs.append([day])
    return runs
