"""Describe BigQuery's costs: the estimate of a config, the price of re-reads, the sum of a command."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from winnow_dagster.core.billing import TIB, format_bytes, month_total
from winnow_dagster.core.coverage import end_of
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.dimensions import OPEN_DIMENSIONS
from winnow_dagster.core.planning import plan_requests
from winnow_dagster.core.read_policy import ReadPolicy
from winnow_dagster.sources.bigquery.billing import Entries, estimate_plan, learn, plan_day
from winnow_dagster.sources.bigquery.query import FILE_NAME, PLAIN_COLUMNS, STRATEGIES, plan_queries
from winnow_dagster.sources.interface import PriceList
from winnow_dagster.store.ledger import ledger_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from winnow_dagster.core.billing import Columns, Entry
    from winnow_dagster.core.coverage import Cost
    from winnow_dagster.core.names import Selector
    from winnow_dagster.sources.bigquery.billing import Estimate, Figures
    from winnow_dagster.sources.bigquery.settings import BigQuerySettings
    from winnow_dagster.sources.interface import SourceContext

ROWS: Sequence[tuple[str, Callable[[StrategyCosts], str]]] = (
    ("first fill", lambda c: format_bytes(c.first_reads.fill_bytes)),
    ("a day", lambda c: format_bytes(c.first_reads.day_bytes)),
    ("a month", lambda c: format_bytes(c.first_reads.month_bytes)),
    ("re-reads a month", lambda c: format_bytes(c.rereads.month_bytes)),
    ("first month", lambda c: format_bytes(c.first_month)),
    ("  above the free tier", lambda c: f"${c.price(c.first_month):,.2f}"),
    ("later months", lambda c: format_bytes(c.later_month)),
    ("  above the free tier", lambda c: f"${c.price(c.later_month):,.2f}"),
    ("queries, first fill", lambda c: str(c.first_reads.fill_queries)),
    ("queries, a day", lambda c: str(c.first_reads.day_queries)),
)
"""The rows of the table of `winnow estimate`, which has a column for each strategy."""


@dataclass(frozen=True)
class StrategyCosts:
    """The costs of a config by one strategy."""

    first_reads: Estimate
    rereads: Estimate
    figures: Figures

    @property
    def later_month(self) -> float:
        """The bytes of a month of 30 days, with re-reads."""
        return self.first_reads.month_bytes + self.rereads.month_bytes

    @property
    def first_month(self) -> float:
        """The bytes of the month of the first fill."""
        return self.first_reads.fill_bytes + self.later_month

    def price(self, size: float) -> float:
        """Return the dollars for a month's bytes above the free tier."""
        return self.figures.dollars(max(0.0, size - self.figures.free_tib_per_month * TIB))

    def summarise(self) -> str:
        """Return the costs of a month in a phrase."""
        first, later, free = self.first_month, self.later_month, self.figures.free_tib_per_month
        if free and max(first, later) <= free * TIB:
            tier = "the free TiB" if free == 1 else f"the free {free:g} TiB"
            percent = 100 / (free * TIB)
            return f"free ({percent * first:.0f} % of {tier} in the first month, {percent * later:.0f} % after)"
        return (
            f"${self.price(later):,.2f} a month for {format_bytes(later)}, and ${self.price(first):,.2f} "
            f"in the first month for {format_bytes(first)}"
        )

    def as_json(self) -> dict[str, object]:
        """Return the costs as JSON values."""
        return {
            "first_fill": {"bytes": round(self.first_reads.fill_bytes), "queries": self.first_reads.fill_queries},
            "day": {"bytes": round(self.first_reads.day_bytes), "queries": self.first_reads.day_queries},
            "first_month": {"bytes": round(self.first_month), "dollars": round(self.price(self.first_month), 2)},
            "later_month": {"bytes": round(self.later_month), "dollars": round(self.price(self.later_month), 2)},
        }


@dataclass(frozen=True)
class BreakdownPrice:
    """The bytes that one breakdown adds to each later month, re-reads included."""

    name: str
    month_bytes: float
    share: float
    """These bytes, relative to those of the same entries without any breakdown."""

    entries: int
    is_read: bool
    """Whether the entries ask for the breakdown, so that the table counts it."""

    def __str__(self) -> str:
        """Return the price as a note below the table."""
        entries = "1 entry" if self.entries == 1 else f"{self.entries} entries"
        what = OPEN_DIMENSIONS[self.name].asked_by or f"breakdown by {self.name}"
        return (
            f"{what}: +{100 * self.share:.0f} %, {format_bytes(self.month_bytes)} a month "
            f"for {entries} ({'included above' if self.is_read else 'not read'})"
        )

    def as_json(self) -> dict[str, object]:
        """Return the price as JSON values."""
        return {"bytes_per_month": round(self.month_bytes), "entries": self.entries, "is_read": self.is_read}


@dataclass(frozen=True)
class BigQueryCosts:
    """The costs of one config."""

    settings: BigQuerySettings
    context: SourceContext

    def dollars(self, size: float) -> float:
        """Return the price of this many bytes, without the free tier."""
        return self.settings.figures.dollars(size)

    def summarise(self, cost: Cost) -> str:
        """Return the number of queries and their billed bytes."""
        return f"BigQuery: {cost.queries} queries, {format_bytes(cost.bytes_billed)} billed before the free tier"

    def price_of_refetch(self, days: Sequence[date], selectors: Sequence[Selector]) -> str:
        """Return the number of queries, their bytes and their price."""
        figures = self._figures(self._ledger())
        reader = ReadPolicy(end_of(days[-1]), dimensions=self.context.dimensions)
        requests = plan_requests(days, selectors, {}, reader, refetch=True)
        queries = plan_queries(requests, self.settings.strategy, figures.scan_above)
        size = sum(map(figures.estimate, queries))
        return f"{len(queries)} queries, about {format_bytes(size)}, ${figures.dollars(size):,.2f} above the free tier"

    def estimate(self, through: date) -> PriceList:
        """Return the costs by each strategy, with the ledger's figures where it has any."""
        ledger = self._ledger()
        figures = self._figures(ledger)
        found = {}
        for strategy in STRATEGIES:
            first_reads = estimate_plan(self._entries, through, strategy, figures)
            rereads = estimate_plan(self._settling(self._entries), through, strategy, figures)
            found[strategy] = StrategyCosts(first_reads, rereads, figures)
        chosen = self.settings.strategy
        needs_file_names = any(costs.first_reads.needs_file_names for costs in found.values())
        breakdowns = list(self._price_breakdowns(through, figures))
        return PriceList(
            found[chosen].summarise(),
            ("", *(f"{strategy} (set)" if strategy == chosen else strategy for strategy in found)),
            [(title, *map(cell, found.values())) for title, cell in ROWS],
            [
                *self._notes(ledger, figures, needs_file_names=needs_file_names),
                *map(str, breakdowns),
            ],
            {
                "strategy": chosen,
                "free_bytes_per_month": round(figures.free_tib_per_month * TIB),
                "strategies": {strategy: costs.as_json() for strategy, costs in found.items()},
                "breakdowns": {price.name: price.as_json() for price in breakdowns},
            },
        )

    def upper_bound(self, through: date) -> str:
        """Return BigQuery's upper bound for the queries of one day. Raises SourceError."""
        # Google's libraries take seconds to import, and only this method needs them.
        from winnow_dagster.sources.bigquery.source import open_bigquery  # noqa: PLC0415

        source = open_bigquery(self.settings, self.context)
        queries = plan_day(self._entries, through, self.settings.strategy, source.figures())
        bound = format_bytes(source.dry_run(queries[0]))
        return f"BigQuery's upper bound for one of a day's {len(queries)} queries, ignoring clustering: {bound}"

    @property
    def _entries(self) -> Entries:
        return Entries(self.context.windows, self.context.start_date, self.context.dimensions)

    def _settling(self, entries: Entries) -> Entries:
        """Return the entries whose days Winnow re-reads."""
        return replace(entries, windows={s: days for s, days in entries.windows.items() if s in self.context.settling})

    def _price_breakdowns(self, through: date, figures: Figures) -> Iterator[BreakdownPrice]:
        """Yield the price of each breakdown, for the entries that have it, or else for all that could have it."""
        for name in OPEN_DIMENSIONS:
            reading = [selector for selector, names in self.context.dimensions.items() if name in names]
            others = [selector for selector in self.context.windows if not selector.is_all]
            priced = reading or others or list(self.context.windows)
            without = self._month_bytes(priced, (), through, figures)
            more = self._month_bytes(priced, (name,), through, figures) - without
            yield BreakdownPrice(name, more, more / without, len(priced), is_read=bool(reading))

    def _month_bytes(
        self, selectors: Sequence[Selector], names: tuple[str, ...], through: date, figures: Figures
    ) -> float:
        """Return the bytes of a month's readings and re-reads of these entries with these breakdowns."""
        windows = {selector: self.context.windows[selector] for selector in selectors}
        entries = Entries(windows, self.context.start_date, dict.fromkeys(selectors, names))
        both = [plan_day(e, through, self.settings.strategy, figures) for e in (entries, self._settling(entries))]
        return 30 * sum(figures.estimate(query) for queries in both for query in queries)

    def _ledger(self) -> list[Entry]:
        return ledger_of(self.context.data_dir).entries()

    def _figures(self, entries: Sequence[Entry]) -> Figures:
        return learn(self.settings.figures, entries)

    def _notes(self, entries: Sequence[Entry], figures: Figures, *, needs_file_names: bool) -> Iterator[str]:
        yield from _sizes(figures, PLAIN_COLUMNS, "")
        if needs_file_names:
            old_days = f" up to {LAST_MIXED_DAY}, which needs the file names"
            yield from _sizes(figures, (*PLAIN_COLUMNS, FILE_NAME), old_days)
        settle_days = self.settings.settle_days
        again = f"re-read after {settle_days} days" if settle_days else "not re-read"
        yield f"a month is 30 days; each day is read once and {again}; the first month also has the first fill"
        yield f"dollars: {figures.usd_per_tib} a TiB above the free {figures.free_tib_per_month} TiB a month"
        month, budget = month_total(entries, datetime.now(UTC)), self.context.budget_bytes or 0
        yield f"this month so far: {format_bytes(month)} of a budget of {format_bytes(budget)}"
        if any(selector.is_all for selector in self.context.windows):
            yield "`*` is one scan of each day, by any strategy; read again only if it says `settle: true`"
        if any(selector.is_prefix and not selector.is_all for selector in self.context.windows):
            yield "a prefix counts as one package here, whatever it selects"


def _sizes(figures: Figures, columns: Columns, days: str) -> Iterator[str]:
    """Yield lines on the expected bytes of a package and of a scan per day, and where they come from."""
    known = {True: "the ledger", False: "the defaults"}
    package, scan = figures.package_day(columns), figures.scan_day(columns)
    yield f"{format_bytes(package)} per package and day{days}: from {known[columns in figures.learned_package_days]}"
    yield f"{format_bytes(scan)} per scan of a day{days}: from {known[columns in figures.learned_scan_days]}"
