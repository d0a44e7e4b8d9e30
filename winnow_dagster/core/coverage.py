"""Coverage: which (day, selector) was read when, which still has to be, and how to ask for it.

Missing is not zero (R1): everything that reads or publishes counts asks here what is covered.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from winnow_dagster.core.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import polars as pl

    from winnow_dagster.core.names import Selector

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Coverage:
    """What one stored day holds: when each selector was last read, and why its last reading failed."""

    read: Mapping[Selector, datetime] = field(default_factory=dict)
    failed: Mapping[Selector, str] = field(default_factory=dict)

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

    def is_later_than(self, other: Coverage) -> bool:
        """Tell whether this holds a later reading of some selector than `other` does."""
        never = datetime.min.replace(tzinfo=UTC)
        return any(at > other.read.get(selector, never) for selector, at in self.read.items())


NOTHING = Coverage()


@dataclass(frozen=True, order=True)
class Request:
    """One question to the source: the counts of what `selector` selects, from `first` to `last` inclusive."""

    selector: Selector
    first: date
    last: date
    is_second: bool = False
    """Whether the days are covered already, and are read once more only because they have settled."""

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


@dataclass(frozen=True)
class Failure:
    """A request that the source did not answer, and why, in a sentence that names the fix."""

    request: Request
    reason: str
    is_passing: bool = False
    """Whether asking again in some minutes may help."""

    def __post_init__(self) -> None:
        """Keep the source's own words on one line, without control characters."""
        object.__setattr__(self, "reason", visible(self.reason))


@dataclass(frozen=True)
class Reader:
    """What decides whether a reading still has to be made: the present moment, and when a day settles.

    A day read less than `settle_days` after its end is provisional; 0 means that every day settles at once.
    """

    now: datetime
    settle_days: int = 0
    read_once: frozenset[Selector] = frozenset()
    """What is not read again to settle."""

    def has_to_read(self, day: date, coverage: Coverage, selector: Selector) -> bool:
        """Tell whether `selector` is not covered on `day`, or provisional although the day has settled."""
        return not coverage.covers(selector) or self.has_to_settle(day, coverage, selector)

    def has_to_settle(self, day: date, coverage: Coverage, selector: Selector) -> bool:
        """Tell whether `selector` was read on `day` before the day settled, and the day has settled since."""
        if selector in self.read_once:
            return False
        has_settled = end_of(day) + self.settle_days * ONE_DAY <= self.now
        return has_settled and coverage.is_provisional(day, selector, self.settle_days)


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

    Days that were never read come before those that are only to be settled: where money is short, they go first.
    """
    first = max(start, through - (max(longest.values(), default=0) - 1) * ONE_DAY)
    missing: dict[date, tuple[Selector, ...]] = {}
    settling: dict[date, tuple[Selector, ...]] = {}
    for day in days_between(first, through):
        coverage = stored.get(day, NOTHING)
        wanted = [s for s, days in longest.items() if (through - day).days < days]
        missing[day] = tuple(s for s in wanted if not coverage.covers(s))
        settling[day] = tuple(s for s in wanted if reader.has_to_settle(day, coverage, s))
    return [*_group(missing), *_group(settling)]


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

    What was never read and what is read for a second time are requests apart. A selector is not asked for on a day for
    which a wider one is. With `refetch` all is asked for again. A day that is not over is never asked for.
    """
    chosen = list(selectors)
    wanted: dict[tuple[Selector, bool], list[date]] = defaultdict(list)
    for day in sorted(d for d in days if end_of(d) <= reader.now):
        coverage = stored.get(day, NOTHING)
        missing = [s for s in chosen if refetch or reader.has_to_read(day, coverage, s)]
        # A prefix that fails must not take the packages down that have an entry of their own.
        wider = [s for s in missing if s.is_prefix and s not in coverage.failed]
        for selector in missing:
            if not any(w != selector and w.covers(selector) for w in wider):
                settles = not refetch and coverage.covers(selector)
                wanted[selector, settles].append(day)
    return [
        Request(selector, run[0], run[-1], is_second)
        for (selector, is_second), days_wanted in wanted.items()
        for run in contiguous(days_wanted)
    ]


def contiguous(days: Iterable[date]) -> list[list[date]]:
    """Split days, oldest first, into runs without a missing day."""
    runs: list[list[date]] = []
    for day in days:
        if runs and runs[-1][-1] == day - ONE_DAY:
            runs[-1].append(day)
        else:
            runs.append([day])
    return runs
