"""Coverage: when each selector was read on each day, the requests to the source, and its answers.

Missing is not zero (R1): all code that reads or publishes counts uses this module to know what is covered.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from winnow_dagster.core.names import Selector

ONE_DAY = timedelta(days=1)
DAYS_OF_WEEK = 7

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How much the clocks of two machines may differ."""

UNNAMED_SCHEMA = pl.Schema({"date": pl.Date, "package": pl.String, "rows": pl.Int64})
"""The number of rows without a file name, by package and day."""

BREAKDOWN_SCHEMA = pl.Schema(
    {
        "date": pl.Date,
        "package": pl.String,
        "dimension": pl.String,
        "value": pl.String,
        "installer": pl.String,
        "ci": pl.Boolean,
        "downloads": pl.Int64,
    }
)
"""A raw count by one value of one open dimension.

The value "" stands for NULL: not said (R10). The counts of each dimension sum to those without it.
"""


MAX_NAMED = 3
"""The maximum number of selectors that a log message names."""


@lru_cache(maxsize=1000)
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return one and the same object for equal names."""
    return names


@dataclass(frozen=True)
class ReadingFacts:
    """Facts about one reading of a selector on a day, besides its counts."""

    source_rows: int | None = None
    """The rows that the source had of the day, over all packages; None if it does not know."""

    downloads: int | None = None
    """The raw downloads of the selector; None if the release that read them did not record them."""

    unnamed: int = 0
    """Rows without a file name, on a day on which only the name identifies a download. They are not counted."""

    is_short: bool = False
    """Whether the source had lost rows of the day, and Winnow counted the day anyway."""

    dimensions: tuple[str, ...] = ()
    """The names of the open dimensions that were read with the counts."""

    def __post_init__(self) -> None:
        """Accept a list of dimensions: stored files contain lists. All readings share the names, to save memory."""
        object.__setattr__(self, "dimensions", _shared(tuple(self.dimensions)))


NO_FACTS = ReadingFacts()


@dataclass(frozen=True)
class Coverage:
    """What one stored day holds: when each selector was last read, and why its last reading failed."""

    read: Mapping[Selector, datetime] = field(default_factory=dict)
    failed: Mapping[Selector, str] = field(default_factory=dict)
    facts: Mapping[Selector, ReadingFacts] = field(default_factory=dict)
    """Other facts about the readings in `read`."""

    legacy: Mapping[Selector, datetime] = field(default_factory=dict)
    """When selectors were read by the definition `requests`. Such counts are for the history only (R9)."""

    @cached_property
    def _wide(self) -> list[tuple[Selector, datetime]]:
        """The selectors that may select more than one package. A cache, since there are hundreds of other selectors."""
        return [(selector, at) for selector, at in self.read.items() if selector.is_prefix]

    @cached_property
    def newest(self) -> datetime | None:
        """The time of the newest reading; None without one."""
        return max(self.read.values(), default=None)

    def last_read(self, selector: Selector) -> datetime | None:
        """Return when `selector`, or a wider one, was last read; None if never."""
        own = self.read.get(selector)
        if not self._wide:
            return own
        times = [at for other, at in self._wide if other.covers(selector)]
        return max([*times, own] if own else times, default=None)

    def covers(self, selector: Selector) -> bool:
        """Return whether the day's raw counts of `selector` were fetched, even if there were none."""
        return selector in self.read or any(other.covers(selector) for other, _ in self._wide)

    def is_provisional(self, day: date, selector: Selector, settle_days: int) -> bool:
        """Return whether `selector` was last read on `day` before the day had settled."""
        last_read = self.last_read(selector)
        return last_read is not None and last_read < end_of(day) + settle_days * ONE_DAY

    def failure(self, selector: Selector) -> str | None:
        """Return why the last reading of `selector`, or of a wider one, failed; None if it did not."""
        if selector in self.failed:
            return self.failed[selector]
        return next((why for other, why in self.failed.items() if other.covers(selector)), None)

    def holds(self, selector: Selector) -> bool:
        """Return whether the day has counts of all that `selector` selects, by either definition."""
        return self.covers(selector) or any(other.covers(selector) for other in self.legacy)

    def facts_of(self, selector: Selector) -> ReadingFacts:
        """Return what is known of the newest reading that covers `selector`."""
        covering = [other for other, _ in self._wide if other.covers(selector)]
        covering += [selector] if selector in self.read else []
        return self.facts.get(max(covering, key=self.read.__getitem__), NO_FACTS) if covering else NO_FACTS

    def facts_of_own(self, selector: Selector) -> ReadingFacts:
        """Return the facts about the last reading of `selector` itself."""
        return self.facts.get(selector, NO_FACTS)

    def own_downloads(self, selector: Selector) -> int | None:
        """Return the downloads of a single package at its newest reading; None if they are not noted for it alone."""
        is_own = not selector.is_prefix and self.read.get(selector) == self.last_read(selector)
        return self.facts_of_own(selector).downloads if is_own else None

    def dimensions_of(self, selector: Selector) -> frozenset[str]:
        """Return the open dimensions by which the newest readings that cover `selector` broke it down."""
        last_read = self.last_read(selector)
        newest = [other for other, at in self._wide if at == last_read and other.covers(selector)]
        newest += [selector] if self.read.get(selector) == last_read else []
        return frozenset(name for other in newest for name in self.facts_of_own(other).dimensions)

    @cached_property
    def has_dimensions(self) -> bool:
        """Whether any reading has open dimensions."""
        return any(facts.dimensions for facts in self.facts.values())

    def keep_dimensions_of(self, other: Coverage) -> Coverage:
        """Return this coverage without the dimensions of readings that `other` lacks."""
        lost = [selector for selector, at in self.read.items() if other.read.get(selector) != at]
        plain = {selector: replace(self.facts_of_own(selector), dimensions=()) for selector in lost}
        return replace(self, facts={**self.facts, **plain})

    def within(self, other: Coverage) -> Coverage:
        """Return this coverage without the readings that `other` lacks."""
        return replace(
            self,
            read={selector: at for selector, at in self.read.items() if other.read.get(selector) == at},
            legacy={selector: at for selector, at in self.legacy.items() if other.legacy.get(selector) == at},
        )


NOTHING = Coverage()


@dataclass(frozen=True, order=True)
class Request:
    """One request to the source: the counts of what `selector` selects, from `first` to `last` inclusive."""

    selector: Selector
    first: date
    last: date
    is_reread: bool = False
    """Whether the days are covered already, and are re-read only because they have settled."""

    is_recount: bool = False
    """Whether the store has counts by an older definition. They stay until this request is read."""

    dimensions: tuple[str, ...] = ()
    """The names of the open dimensions by which to break the counts down, in the order of their table."""

    is_replacing: bool = False
    """Whether the days are covered already. Without its dimensions, the answer would remove stored breakdowns."""

    narrower: tuple[Request, ...] = field(default=(), compare=False)
    """Requests that this one answers too. Winnow sends them instead if the budget does not allow this one."""

    def instead(self) -> list[Request]:
        """Return the narrower requests, limited to the days of this one."""
        parts = [replace(r, first=max(r.first, self.first), last=min(r.last, self.last)) for r in self.narrower]
        return [part for part in parts if part.first <= part.last]

    def days(self) -> list[date]:
        """Return the days asked for, oldest first."""
        return days_between(self.first, self.last)


@dataclass(frozen=True)
class Cost:
    """The cost of an answer: the number of queries, and the bytes that they processed and billed."""

    queries: int = 0
    bytes_processed: int = 0
    bytes_billed: int = 0


@dataclass(frozen=True)
class Reading:
    """The source's complete answer to these requests, as raw counts (RAW_SCHEMA). No row means no download."""

    requests: Sequence[Request]
    counts: pl.DataFrame
    cost: Cost = field(default_factory=Cost)
    unnamed: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=UNNAMED_SCHEMA))
    """Rows without a file name, on days on which only the name identifies a download (UNNAMED_SCHEMA)."""

    source_rows: Mapping[date, int] = field(default_factory=dict)
    """The number of rows that the source has of each day, over all packages, as far as it knows."""

    short_days: frozenset[date] = frozenset()
    """Short days that Winnow counts as they are."""

    read_at: datetime | None = None
    """When the source read the rows, if an earlier run sent the query; None means just now."""

    job_id: str = ""
    """The id of the query at the source, if it has one."""

    breakdowns: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=BREAKDOWN_SCHEMA))
    """The same downloads by each open dimension that the requests name (BREAKDOWN_SCHEMA).

    A source that cannot tell a dimension leaves it out of its requests' `dimensions` and of these rows.
    """


def describe_requests(requests: Sequence[Request]) -> str:
    """Return the selectors and days of requests, for a log."""
    names = list(dict.fromkeys(str(request.selector) for request in requests))
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    first, last = min(request.first for request in requests), max(request.last for request in requests)
    days = str(first) if first == last else f"{first} to {last}"
    return f"{', '.join(names[:MAX_NAMED])}{more}, {days}"


@dataclass(frozen=True)
class Failure:
    """A request that the source did not answer, and the reason, which names the fix."""

    request: Request
    reason: str
    is_transient: bool = False
    """Whether a retry after some minutes may help."""

    is_short: bool = False
    """Whether Winnow did not ask the source, since the source has lost rows of the day."""

    def __post_init__(self) -> None:
        """Escape control characters in the source's words, and put them on one line."""
        object.__setattr__(self, "reason", visible(self.reason))

    @property
    def requests(self) -> Sequence[Request]:
        """The failed request, as a sequence, like the requests of a reading."""
        return (self.request,)


def end_of(day: date) -> datetime:
    """Return the moment at which a UTC day is over."""
    return datetime.combine(day + ONE_DAY, time.min, tzinfo=UTC)


def days_between(first: date, last: date) -> list[date]:
    """Return the days from `first` to `last` inclusive, oldest first; none if `last` lies before `first`."""
    return [first + n * ONE_DAY for n in range((last - first).days + 1)]
