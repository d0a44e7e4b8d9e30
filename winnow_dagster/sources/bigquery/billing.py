"""The sizes, prices and estimates of BigQuery's queries. Knows nothing of how Winnow sends queries."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from winnow_dagster.core.billing import GB, MB, TIB
from winnow_dagster.core.coverage import days_between, end_of
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.dimensions import DIMENSIONS, OPEN_DIMENSIONS, OPEN_FIELDS
from winnow_dagster.core.planning import find_gaps, plan_requests
from winnow_dagster.core.read_policy import ReadPolicy
from winnow_dagster.sources.bigquery.query import (
    BATCHED,
    FILE_NAME,
    FIRST_COLUMNS,
    PER_PACKAGE,
    SCAN,
    CountQuery,
    dimensions_of,
    plan_queries,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from winnow_dagster.core.billing import Columns, Entry
    from winnow_dagster.core.names import Selector

BYTES_PER_ROW: Mapping[str, float] = {
    "timestamp": 8.0,
    "project": 8.4,
    **{dimension.column: dimension.bytes_per_row for dimension in DIMENSIONS},
    **{dimension.column: dimension.bytes_per_row for dimension in OPEN_FIELDS},
    "details.ci": 0.3,
    FILE_NAME: 33.8,
}
"""Derived from rows with real user agents. BigQuery bills a text's length plus 2 bytes, and nothing for NULL."""

REMAINING_ROWS_SHARE = 0.61
"""Derived: the share of rows that PyPI still logs since its change."""

CAP_FACTOR = 2
"""The default cap as a multiple of the expected size of whole days. It exceeds 1 because days grow."""


def relative_size(columns: Columns) -> float:
    """Return the size of a day's columns, relative to FIRST_COLUMNS on a day since the change."""
    width = sum(BYTES_PER_ROW[name] for name in columns) / sum(BYTES_PER_ROW[name] for name in FIRST_COLUMNS)
    return width / REMAINING_ROWS_SHARE if FILE_NAME in columns else width


@dataclass(frozen=True)
class Figures:
    """BigQuery's sizes and prices. The config can set each, and the ledger corrects them.

    Sizes are for FIRST_COLUMNS on a day since PyPI's change of the log. `relative_size` converts them to other columns.
    """

    package_day_bytes: float = REMAINING_ROWS_SHARE * 153 * MB
    """Derived: before the change a published 30-day query for one package billed about 4.6 GB, 153 MB a day."""

    scan_day_bytes: float = REMAINING_ROWS_SHARE * 170 * GB
    """Derived: before the change the columns of one whole day had 63 GB in March 2025, 170 GB in May 2026."""

    usd_per_tib: float = 6.25
    """BigQuery's on-demand price list, US multi-region."""

    free_tib_per_month: float = 1.0
    """BigQuery's free tier."""

    minimum_query_bytes: float = 10 * MB
    """The minimum that BigQuery bills for a query."""

    learned_package_days: Mapping[Columns, float] = field(default_factory=dict)
    """The bytes billed per package and day according to the ledger, keyed by the columns read."""

    learned_scan_days: Mapping[Columns, float] = field(default_factory=dict)
    """The bytes billed per scan of a day according to the ledger, keyed by the columns read."""

    def package_day(self, columns: Columns) -> float:
        """Return the expected bytes for a package and day."""
        return _size(columns, self.learned_package_days, self.package_day_bytes)

    def scan_day(self, columns: Columns) -> float:
        """Return the expected bytes for a scan of a day."""
        return _size(columns, self.learned_scan_days, self.scan_day_bytes)

    def scan_above(self, columns: Columns) -> float:
        """Return the number of packages above which one scan of a day is cheaper than a query for each."""
        return self.scan_day(columns) / self.package_day(columns)

    def estimate(self, query: CountQuery) -> float:
        """Return the expected bytes for a query."""
        if query.strategy == SCAN:
            return query.days * self.scan_day(query.columns)
        # It is unknown whether an IN list prunes clusters as `=` does. If not, the ledger corrects the estimate.
        return max(self.minimum_query_bytes, len(query.requests) * query.days * self.package_day(query.columns))

    def cap(self, query: CountQuery) -> int:
        """Return a `maximum_bytes_billed` that lets a query run.

        BigQuery compares it with the whole partitions of the columns read, and ignores clustering. A cap below that
        refuses queries that would read little.
        """
        expected = self.scan_day_bytes * relative_size(query.columns)
        return int(query.days * CAP_FACTOR * max(expected, self.scan_day(query.columns)))

    def dollars(self, size: float) -> float:
        """Return the price of this many bytes, without the free tier."""
        return size / TIB * self.usd_per_tib


def _size(columns: Columns, learned: Mapping[Columns, float], default: float) -> float:
    """Return the size of these columns. If the ledger lacks them, scale its size without the breakdowns."""
    broken_down = {column for name in dimensions_of(columns) for column in OPEN_DIMENSIONS[name].columns}
    plain = tuple(name for name in columns if name not in broken_down)
    if columns in learned:
        return learned[columns]
    if plain in learned:
        return learned[plain] * relative_size(columns) / relative_size(plain)
    return default * relative_size(columns)


def learn(figures: Figures, entries: Iterable[Entry]) -> Figures:
    """Return the figures, corrected by the bytes that queries have billed for each set of columns."""
    typical = [entry for entry in entries if _is_typical(entry)]
    pruned = [(columns_of(e), e.counted_bytes, e.package_days) for e in typical if e.strategy in {PER_PACKAGE, BATCHED}]
    scans = [(columns_of(e), e.counted_bytes, e.days) for e in typical if e.strategy == SCAN]
    return replace(figures, learned_package_days=_average(pruned), learned_scan_days=_average(scans))


def columns_of(entry: Entry) -> Columns:
    """Return the columns that a query read. Releases that did not record them read FIRST_COLUMNS."""
    return FIRST_COLUMNS if entry.columns is None else entry.columns


def _is_typical(entry: Entry) -> bool:
    """Return whether a query bills like today's for its columns. Early releases read old days without file names."""
    if not entry.billed or entry.cache_hit:
        return False
    return entry.first > LAST_MIXED_DAY or FILE_NAME in columns_of(entry)


def _average(billed: Iterable[tuple[Columns, float, int]]) -> dict[Columns, float]:
    """Return the bytes per unit for each set of columns. `billed`: columns, bytes and units of each query."""
    size: dict[Columns, float] = defaultdict(float)
    units: dict[Columns, int] = defaultdict(int)
    for columns, more, number in billed:
        size[columns] += more
        units[columns] += number
    return {columns: size[columns] / units[columns] for columns in size}


@dataclass(frozen=True)
class Entries:
    """The entries of a config, as far as their costs depend on them."""

    windows: Mapping[Selector, int]
    """The longest window of each entry, in days."""

    start: date
    """The day before which Winnow reads nothing."""

    dimensions: Mapping[Selector, tuple[str, ...]] = field(default_factory=dict)
    """The open dimensions by which to break down each entry's counts."""


@dataclass(frozen=True)
class Estimate:
    """The costs of a config by one strategy: queries and bytes of the first fill, and of each later day."""

    strategy: str
    fill_queries: int
    fill_bytes: float
    day_queries: int
    day_bytes: float
    needs_file_names: bool
    """Whether the first fill reads days that need file names."""

    @property
    def month_bytes(self) -> float:
        """The bytes of a month of 30 days, each read once."""
        return 30 * self.day_bytes


def estimate_plan(entries: Entries, through: date, strategy: str, figures: Figures) -> Estimate:
    """Return the costs of a config by one strategy. The first fill is for an empty store."""
    reader = ReadPolicy(end_of(through), dimensions=entries.dimensions)
    fill = [
        request
        for gap in find_gaps(entries.windows, {}, reader, start=entries.start, through=through)
        for request in plan_requests(days_between(gap.first, gap.last), gap.selectors, {}, reader)
    ]
    fill_queries = plan_queries(fill, strategy, figures.scan_above)
    day_queries = plan_day(entries, through, strategy, figures)
    return Estimate(
        strategy,
        len(fill_queries),
        sum(map(figures.estimate, fill_queries)),
        len(day_queries),
        sum(map(figures.estimate, day_queries)),
        any(query.needs_file_names for query in fill_queries),
    )


def plan_day(entries: Entries, day: date, strategy: str, figures: Figures) -> list[CountQuery]:
    """Return the queries that read a day for the first time."""
    reader = ReadPolicy(end_of(day), dimensions=entries.dimensions)
    return plan_queries(plan_requests([day], entries.windows, {}, reader), strategy, figures.scan_above)
