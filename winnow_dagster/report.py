"""What the user sees of a command on a terminal, or in a log: progress, the table, the plan."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Self, cast

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column, Table
from rich.text import Text

from winnow_dagster.core.billing import TIB, estimate_plan, format_bytes, learn, month_total
from winnow_dagster.core.coverage import Cost, Failure, days_between, end_of
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.escaping import for_terminal
from winnow_dagster.core.names import Group
from winnow_dagster.core.planning import ReadPolicy, plan_requests
from winnow_dagster.core.query import FILE_NAME, PLAIN_COLUMNS, STRATEGIES, plan_queries
from winnow_dagster.credentials import EXPOSED, others_can_read
from winnow_dagster.defs.resources import Clock
from winnow_dagster.output import Output
from winnow_dagster.site.comparison import name_window
from winnow_dagster.site.folder import PAGES
from winnow_dagster.site.record import key_of
from winnow_dagster.store.ledger import ledger_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from winnow_dagster.collect import Result
    from winnow_dagster.config.settings import Settings
    from winnow_dagster.core.billing import Columns, Figures
    from winnow_dagster.core.names import Selector
    from winnow_dagster.core.planning import Gap
    from winnow_dagster.defs.fetching import Answer
    from winnow_dagster.defs.resources import Installation

LOG_WIDTH = 240
"""The width of a table in a log, which has none of its own."""


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=LOG_WIDTH, highlight=False)


def _console_that_may_fail() -> Console:
    """Return a console that survives a full disk or a closed pipe, for a command that does more than print."""
    output = cast("IO[str]", Output(sys.stdout))
    return Console(file=output) if output.isatty() else Console(file=output, width=LOG_WIDTH, highlight=False)


class ProgressReporter:
    """Tells how far a collect is: a bar on a terminal, plain lines elsewhere."""

    def __init__(self, settings: Settings) -> None:
        """Show nothing until a collect begins."""
        self._settings = settings
        self._console = _console_that_may_fail()
        self.cost = Cost()
        self.unnamed = 0
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        self._task = self._bar.add_task("days of packages read", total=None, visible=False)

    def __enter__(self) -> Self:
        """Start the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bar."""
        self._bar.stop()

    def begin(self, gaps: Sequence[Gap], doubted: Gap | None) -> None:
        """Print what Winnow is about to read, and the cost of what it re-reads."""
        if doubted:
            self._console.print(_refetch_line(self._settings, doubted), markup=False, soft_wrap=True)
            gaps = [doubted, *gaps]
        self._bar.update(self._task, total=sum(gap.days * len(gap.selectors) for gap in gaps), visible=bool(gaps))
        for gap in gaps if not self._console.is_terminal else ():
            packages = f"{len(gap.selectors)} {'entry' if len(gap.selectors) == 1 else 'entries'} of packages"
            self._console.print(f"reading {gap.first} to {gap.last} for {packages}", markup=False)

    def answered(self, answer: Answer) -> None:
        """Tell what was read, and what failed why."""
        requests = [answer.request] if isinstance(answer, Failure) else answer.requests
        if not isinstance(answer, Failure):
            self.cost = Cost(
                self.cost.queries + answer.cost.queries,
                self.cost.bytes_processed + answer.cost.bytes_processed,
                self.cost.bytes_billed + answer.cost.bytes_billed,
            )
            self.unnamed += int(answer.unnamed["rows"].sum())
        self._bar.advance(self._task, sum(len(request.days()) for request in requests))
        # A short day has one line, at the end.
        if isinstance(answer, Failure) and not answer.is_short:
            request = answer.request
            days = f"{request.first} to {request.last}"
            line = for_terminal(f"{request.selector}, {days}: {answer.reason}")
            self._console.print(line, markup=False, soft_wrap=True)


def _refetch_line(settings: Settings, doubted: Gap) -> str:
    """Return a line with the days to re-read, and their cost."""
    what = f"reading {doubted.first} to {doubted.last} again"
    if settings.source.kind != "bigquery":
        return f"{what}: {settings.source.kind} costs nothing"
    bigquery = settings.source.bigquery
    figures = learn(bigquery.figures, ledger_of(settings.data_dir).entries())
    days = days_between(doubted.first, doubted.last)
    requests = plan_requests(days, doubted.selectors, {}, ReadPolicy(end_of(doubted.last)), refetch=True)
    queries = plan_queries(requests, bigquery.strategy, figures.scan_above)
    size = sum(map(figures.estimate, queries))
    price = f"about {format_bytes(size)}, ${figures.dollars(size):,.2f} above the free tier"
    return f"{what}: {len(queries)} queries, {price}"


def print_result(result: Result, cost: Cost, unnamed: int) -> None:
    """Print a row per package: headline, window, honest of raw, as-of, problem; then what failed as a whole; the cost.

    Remarks, such as on a name that may be misspelled, stand in the row or below the table. `unnamed`: the number of
    rows without a file name, on days on which only the name identifies a download.
    """
    console = _console_that_may_fail()
    table = Table(
        "package",
        "headline",
        "window",
        Column("honest", justify="right"),
        Column("of raw", justify="right"),
        "as of",
        "what is wrong",
        box=box.SIMPLE,
    )
    for row in result.rows:
        counts = row.window.counts
        cells = (
            row.name + (" (group)" if row.is_group else ""),
            f"{row.badge.payload['label']} {row.badge.payload['message']}",
            name_window(row.window),
            f"{counts.honest:,}" if counts else "-",
            f"{counts.raw:,}" if counts else "-",
            str(counts.window.as_of) if counts else "-",
            row.note or "",
        )
        # As Text: a path or a message may hold what reads as markup.
        table.add_row(*map(Text, map(for_terminal, cells)))
    console.print(table)
    for line in (*result.errors, *result.remarks):
        console.print(for_terminal(line), markup=False, soft_wrap=True)
    if unnamed:
        console.print(f"{unnamed:,} rows of days up to {LAST_MIXED_DAY} name no file and are not counted", markup=False)
    if cost.queries:
        line = f"BigQuery: {cost.queries} queries, {format_bytes(cost.bytes_billed)} billed before the free tier"
        console.print(line, markup=False)


def print_estimate(settings: Settings) -> None:
    """Print what a config costs with BigQuery by each strategy, from the ledger's figures where it has some."""
    console, bigquery = _console(), settings.source.bigquery
    entries = ledger_of(settings.data_dir).entries()
    figures = learn(bigquery.figures, entries)
    settles = settings.source.settle_days > 0
    settling = {p.selector: settings.longest_windows[p.selector] for p in settings.packages if p.settle and settles}
    titles = ("first fill", "a day", "a month", "settling", "first month", "later months", "queries: fill", "a day")
    table = Table("strategy", *(Column(title, justify="right") for title in titles), box=box.SIMPLE)
    yesterday = Clock().through
    needs_file_names = False
    for strategy in STRATEGIES:
        found, _ = estimate_plan(settings.longest_windows, settings.start_date, yesterday, strategy, figures)
        second, _ = estimate_plan(settling, settings.start_date, yesterday, strategy, figures)
        later = found.month_bytes + second.month_bytes
        needs_file_names |= found.needs_file_names
        table.add_row(
            strategy + (" (set)" if strategy == bigquery.strategy else ""),
            format_bytes(found.fill_bytes),
            format_bytes(found.day_bytes),
            format_bytes(found.month_bytes),
            format_bytes(second.month_bytes),
            _price(found.fill_bytes + later, figures),
            _price(later, figures),
            str(found.fill_queries),
            str(found.day_queries),
        )
    console.print(table)
    for line in _figures(figures, PLAIN_COLUMNS, ""):
        console.print(line, soft_wrap=True)
    old_days = f" up to {LAST_MIXED_DAY}, which needs the file names"
    for line in _figures(figures, (*PLAIN_COLUMNS, FILE_NAME), old_days) if needs_file_names else ():
        console.print(line, soft_wrap=True)
    month = month_total(entries, datetime.now(UTC))
    again = (
        f"settling reads each day again after {settings.source.settle_days} days" if settles else "no day is settled"
    )
    for line in (
        f"a month is 30 days, each read once; {again}; the first month has the first fill besides",
        f"dollars: {figures.usd_per_tib} a TiB above the free {figures.free_tib_per_month} TiB a month",
        f"this month so far: {format_bytes(month)} of a budget of {format_bytes(bigquery.budget_bytes or 0)}",
        *(
            ["`*` is one scan of each day, by any strategy; read again only if it says `settle: true`"]
            if settings.everything
            else []
        ),
        *(["a prefix counts as one package here, whatever it selects"] if _has_prefix(settings) else []),
    ):
        console.print(line, markup=False, soft_wrap=True)


def _figures(figures: Figures, columns: Columns, days: str) -> Iterator[str]:
    """Yield the bytes that a package and a scan should bill per day for these columns, and the figures' source."""
    known = {True: "the ledger", False: "the defaults"}
    package, scan = figures.package_day(columns), figures.scan_day(columns)
    yield f"{format_bytes(package)} per package and day{days}: from {known[columns in figures.learned_package_days]}"
    yield f"{format_bytes(scan)} per scan of a day{days}: from {known[columns in figures.learned_scan_days]}"


def print_dry_run(settings: Settings) -> None:
    """Print BigQuery's upper bound for the queries of one day. Raises SourceError."""
    # Google's libraries take seconds to import, and nothing else here needs them.
    from winnow_dagster.sources.bigquery import BigQuerySource  # noqa: PLC0415

    ledger = ledger_of(settings.data_dir)
    source = BigQuerySource(settings.source.bigquery, settings.source.credential_file, ledger)
    _, queries = estimate_plan(
        settings.longest_windows,
        settings.start_date,
        Clock().through,
        settings.source.bigquery.strategy,
        source.figures(),
    )
    bound = source.dry_run(queries[0])
    line = f"BigQuery's upper bound for one of a day's {len(queries)} queries, clusters not counted in: "
    _console().print(line + format_bytes(bound), markup=False, soft_wrap=True)


def _price(size: float, figures: Figures) -> str:
    """Return a month's bytes, what they cost above the free ones, and their share of those."""
    free = figures.free_tib_per_month * TIB
    share = f", {size / free:.0%} of free" if free else ""
    return f"{format_bytes(size)}, ${figures.dollars(max(0.0, size - free)):,.2f}{share}"


def _has_prefix(settings: Settings) -> bool:
    return any(package.selector.is_prefix and not package.selector.is_all for package in settings.packages)


def print_plan(winnow: Installation) -> None:
    """Print what a config comes to: source, packages, windows, days to fetch, files to publish."""
    settings, console = winnow.settings, _console()
    gaps = winnow.gaps()
    folders = {which: _folders(settings, which) for which in settings.published_windows}
    files = sum(
        len(folders[which]) * (len(PAGES) + 2 * len(settings.looks[str(which)].slugs) * len(days))
        for which, days in settings.published_windows.items()
        if isinstance(which, Group) or not which.is_prefix
    )
    prefixes = sum(p.selector.is_prefix for p in settings.packages)
    key = settings.source.credential_file
    lines = {
        "config": settings.config_file or "none: sample packages",
        "source": " ".join((settings.source.kind, ", ".join(settings.source.paths))).strip(),
        "output_dir": settings.output_dir,
        "data_dir": settings.data_dir,
        "first day": settings.start_date,
        "newest day": winnow.clock.through,
        "to publish": f"{files} files of packages and groups"
        + (f", as many again per package of {prefixes} prefixes" if prefixes else ""),
        "to fetch": ", ".join(f"{g.first} to {g.last} ({g.days * len(g.selectors)} days of packages)" for g in gaps)
        or "nothing",
    }
    if key and key.exists() and others_can_read(key):
        lines["warning"] = f"{key}: {EXPOSED}"
    for name, value in lines.items():
        console.print(for_terminal(f"{name:<12} {value}"), markup=False, soft_wrap=True)
    table = Table("package", "windows (days)", "is published as", box=box.SIMPLE)
    for which, days in settings.published_windows.items():
        lengths = ", ".join(map(key_of, days))
        table.add_row(*map(Text, (str(which), lengths, ", ".join(f"{folder}/" for folder in folders[which]))))
    console.print(table)


def _folders(settings: Settings, which: Selector | Group) -> list[str]:
    """Return the folders in which something is published: a prefix stands for those of its packages."""
    return list(dict.fromkeys([str(which), settings.spellings.get(str(which), str(which))]))
