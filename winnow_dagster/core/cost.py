"""What queries cost: figures, estimates, the month's budget. Knows nothing of how queries are sent."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from winnow_dagster.core.coverage import Reader, days_between, end_of, find_gaps, plan_requests
from winnow_dagster.core.query import BATCHED, PER_PACKAGE, SCAN, CountQuery, plan_queries

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime

    from winnow_dagster.core.names import Selector

TIB = 2**40
GB = 10**9
MB = 10**6


@dataclass(frozen=True)
class Figures:
    """What is known of the source's size and price; each can be set in the config, and is corrected by the ledger."""

    package_day_bytes: float = 153 * MB
    """Derived: a published 30-day query for one package billed about 4.6 GB, which is 153 MB a day."""

    scan_day_bytes: float = 170 * GB
    """Derived: the five columns of the count query over one whole day, 63 GB in March 2025, 170 GB in May 2026."""

    usd_per_tib: float = 6.25
    """BigQuery's on-demand price list, US multi-region."""

    free_tib_per_month: float = 1.0
    """BigQuery's free tier."""

    minimum_query_bytes: float = 10 * MB
    """BigQuery bills at least so much for a query."""

    learned: frozenset[str] = field(default=frozenset(), compare=False)
    """Which of the figures come from the ledger."""

    @property
    def scan_above(self) -> float:
        """The number of packages above which one scan of a day is cheaper than a query for each."""
        return self.scan_day_bytes / self.package_day_bytes

    def estimate(self, query: CountQuery) -> float:
        """Return the bytes that a query is expected to bill."""
        if query.strategy == SCAN:
            return query.days * self.scan_day_bytes
        # Whether an IN list prunes clusters as `=` does is open; the ledger corrects this where it does not.
        return max(self.minimum_query_bytes, len(query.requests) * query.days * self.package_day_bytes)

    def dollars(self, size: float) -> float:
        """Return the price of so many bytes, the free ones not taken off."""
        return size / TIB * self.usd_per_tib


@dataclass(frozen=True)
class Entry:
    """One query in the ledger. `billed` is None while it is not known what the query came to."""

    job_id: str
    at: datetime
    first: date
    last: date
    selectors: Sequence[str]
    strategy: str
    estimate: float
    billed: int | None = None
    processed: int | None = None
    rows: int | None = None
    cache_hit: bool = False

    @property
    def counted(self) -> float:
        """The bytes that the query counts for: those billed, or the estimate while they are not known."""
        return self.estimate if self.billed is None else self.billed

    @property
    def package_days(self) -> int:
        """For how many packages and days the query asked."""
        return len(self.selectors) * ((self.last - self.first).days + 1)


def month_total(entries: Iterable[Entry], now: datetime) -> float:
    """Return the bytes that the queries of this UTC month count for."""
    return sum(e.counted for e in entries if (e.at.year, e.at.month) == (now.year, now.month))


def learn(figures: Figures, entries: Iterable[Entry]) -> Figures:
    """Return the figures corrected by what queries really billed; answers from BigQuery's cache teach nothing."""
    real = [e for e in entries if e.billed and not e.cache_hit]
    learned: dict[str, float] = {}
    pruned = [e for e in real if e.strategy in {PER_PACKAGE, BATCHED}]
    scans = [e for e in real if e.strategy == SCAN]
    if pruned:
        learned["package_day_bytes"] = sum(e.counted for e in pruned) / sum(e.package_days for e in pruned)
    if scans:
        days = sum((e.last - e.first).days + 1 for e in scans)
        learned["scan_day_bytes"] = sum(e.counted for e in scans) / days
    return replace(figures, **learned, learned=frozenset(learned))


@dataclass(frozen=True)
class Budget:
    """What may be billed in a month, in bytes; None means that anything may."""

    bytes_per_month: float | None

    def refuses(self, total: float, more: float) -> bool:
        """Tell whether so many more bytes do not fit."""
        return self.bytes_per_month is not None and total + more > self.bytes_per_month


def affordable(
    queries: Sequence[CountQuery], figures: Figures, budget: Budget, total: float
) -> tuple[list[CountQuery], list[CountQuery]]:
    """Return the queries to send and those dropped: second readings, all of them, where not everything fits.

    Raises ValueError, with the sentence for the user, where not even the first readings fit.
    """
    first = [q for q in queries if not q.requests[0].is_second]
    second = [q for q in queries if q.requests[0].is_second]
    needed = sum(map(figures.estimate, first))
    if first and budget.refuses(total, needed):
        raise ValueError(
            f"the month's queries come to {format_bytes(total)}, these need about {format_bytes(needed)} more, and the "
            f"budget is {format_bytes(budget.bytes_per_month or 0)}. Raise budget.tib_per_month, shorten window_days "
            "or list fewer packages, or wait for the next month"
        )
    if second and budget.refuses(total, needed + sum(map(figures.estimate, second))):
        return first, second
    return [*first, *second], []


@dataclass(frozen=True)
class Estimate:
    """What a config costs by one strategy: queries and bytes of the first fill, and of one day from then on."""

    strategy: str
    fill_queries: int
    fill_bytes: float
    day_queries: int
    day_bytes: float

    @property
    def month_bytes(self) -> float:
        """The bytes of a month of 30 days, each read once."""
        return 30 * self.day_bytes


def estimate_plan(
    windows: Mapping[Selector, int], start: date, through: date, strategy: str, figures: Figures
) -> tuple[Estimate, list[CountQuery]]:
    """Return what a config costs by one strategy, and the queries of one day. `windows`: the longest, in days.

    The first fill is what a collect would send for an empty store, with no day before `start`.
    """
    reader = Reader(end_of(through))
    fill = [
        request
        for gap in find_gaps(windows, {}, reader, start=start, through=through)
        for request in plan_requests(days_between(gap.first, gap.last), gap.selectors, {}, reader)
    ]
    day = plan_requests([through], windows, {}, reader)
    fill_queries, day_queries = (plan_queries(r, strategy, figures.scan_above) for r in (fill, day))
    estimate = Estimate(
        strategy,
        len(fill_queries),
        sum(map(figures.estimate, fill_queries)),
        len(day_queries),
        sum(map(figures.estimate, day_queries)),
    )
    return estimate, day_queries


def format_bytes(size: float) -> str:
    """Return a size as people read it: `153 MB`, `4.6 GB`, `0.42 TiB`."""
    if size >= 0.1 * TIB:
        return f"{size / TIB:.2f} TiB"
    if size >= GB:
        return f"{size / GB:.1f} GB"
    return f"{size / MB:.0f} MB"
