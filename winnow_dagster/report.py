"""Print the progress, results, estimates and plans of commands on a terminal or in a log."""

from __future__ import annotations

import sys
from typing import IO, TYPE_CHECKING, Self, cast

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column, Table
from rich.text import Text

from winnow_dagster.core.coverage import Cost, Failure, days_between
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.escaping import for_terminal
from winnow_dagster.core.names import Group
from winnow_dagster.credentials import EXPOSED, others_can_read
from winnow_dagster.defs.resources import Clock
from winnow_dagster.output import Output
from winnow_dagster.site.comparison import name_window
from winnow_dagster.site.folder import FILES_BESIDE_BADGES
from winnow_dagster.site.record import window_key
from winnow_dagster.sources.kinds import costs_of, costs_or_usual

if TYPE_CHECKING:
    from collections.abc import Sequence

    from winnow_dagster.collect import Result
    from winnow_dagster.config.settings import Settings
    from winnow_dagster.core.names import Selector
    from winnow_dagster.core.planning import Gap
    from winnow_dagster.defs.fetching import Answer
    from winnow_dagster.defs.resources import Installation

LOG_WIDTH = 240
"""The width of a table in a log."""


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=LOG_WIDTH, highlight=False)


def _console_that_may_fail() -> Console:
    """Return a console that ignores a full disk or a closed pipe, for a command that does more than print."""
    output = cast("IO[str]", Output(sys.stdout))
    return Console(file=output) if output.isatty() else Console(file=output, width=LOG_WIDTH, highlight=False)


class ProgressReporter:
    """Shows the progress of `winnow collect`: a bar on a terminal, lines elsewhere."""

    def __init__(self, settings: Settings) -> None:
        """Take the config. Show nothing before `begin`."""
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

    @property
    def cost_line(self) -> str:
        """A line on the cost of the queries so far; empty without queries."""
        costs = costs_of(self._settings.source, self._settings.source_context)
        return costs.summarise(self.cost) if costs and self.cost.queries else ""

    def begin(self, gaps: Sequence[Gap], doubted: Gap | None) -> None:
        """Print what Winnow is about to read, and the cost of re-reads."""
        if doubted:
            self._console.print(_refetch_line(self._settings, doubted), markup=False, soft_wrap=True)
            gaps = [doubted, *gaps]
        self._bar.update(self._task, total=sum(gap.days * len(gap.selectors) for gap in gaps), visible=bool(gaps))
        for gap in gaps if not self._console.is_terminal else ():
            packages = f"{len(gap.selectors)} {'entry' if len(gap.selectors) == 1 else 'entries'} of packages"
            self._console.print(f"reading {gap.first} to {gap.last} for {packages}", markup=False)

    def answered(self, answer: Answer) -> None:
        """Advance the bar. Print the reason of a failure."""
        requests = [answer.request] if isinstance(answer, Failure) else answer.requests
        if not isinstance(answer, Failure):
            self.cost = Cost(
                self.cost.queries + answer.cost.queries,
                self.cost.bytes_processed + answer.cost.bytes_processed,
                self.cost.bytes_billed + answer.cost.bytes_billed,
            )
            self.unnamed += int(answer.unnamed["rows"].sum())
        self._bar.advance(self._task, sum(len(request.days()) for request in requests))
        # The result has a line for each short day.
        if isinstance(answer, Failure) and not answer.is_short:
            request = answer.request
            days = f"{request.first} to {request.last}"
            line = for_terminal(f"{request.selector}, {days}: {answer.reason}")
            self._console.print(line, markup=False, soft_wrap=True)


def _refetch_line(settings: Settings, doubted: Gap) -> str:
    """Return a line on the days to re-read, and their cost."""
    what = f"reading {doubted.first} to {doubted.last} again"
    costs = costs_of(settings.source, settings.source_context)
    if costs is None:
        return f"{what}: {settings.source.kind} costs nothing"
    days = days_between(doubted.first, doubted.last)
    return f"{what}: {costs.price_of_refetch(days, doubted.selectors)}"


def print_result(result: Result, cost_line: str, unnamed: int) -> None:
    """Print a table with a row for each package, then errors, remarks and the cost.

    `cost_line`: the cost of the queries. `unnamed`: the number of rows without a file name, on days on which only the
    name identifies a download.
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
        # As Text, because a path or a message may contain rich's markup.
        table.add_row(*map(Text, map(for_terminal, cells)))
    console.print(table)
    for line in (*result.errors, *result.remarks):
        console.print(for_terminal(line), markup=False, soft_wrap=True)
    if unnamed:
        console.print(
            f"{unnamed:,} rows of days up to {LAST_MIXED_DAY} have no file name and are not counted",
            markup=False,
        )
    if cost_line:
        console.print(cost_line, markup=False)


def print_estimate(settings: Settings) -> None:
    """Print what a config costs. For a free source, print what it would cost with the usual source."""
    console, source = _console(), settings.source.kind
    kind, costs = costs_or_usual(settings.source, settings.source_context)
    if kind != source:
        console.print(f"The source is {source}, which costs nothing. With `kind: {kind}` it would be:", markup=False)
    found = costs.estimate(Clock().through)
    first, *others = found.titles
    table = Table(first, *(Column(title, justify="right") for title in others), box=box.SIMPLE)
    for row in found.rows:
        table.add_row(*row)
    console.print(table)
    for line in found.notes:
        console.print(line, markup=False, soft_wrap=True)


def print_dry_run(settings: Settings) -> None:
    """Print the source's upper bound for the cost of one day. Raises SourceError."""
    _, costs = costs_or_usual(settings.source, settings.source_context)
    _console().print(costs.upper_bound(Clock().through), markup=False, soft_wrap=True)


def print_plan(winnow: Installation) -> None:
    """Print the plan of a config: its source, days to fetch, and packages with their windows and folders."""
    settings, console = winnow.settings, _console()
    gaps = winnow.gaps()
    folders = {which: _folders(settings, which) for which in settings.published_windows}
    files = sum(
        len(folders[which]) * (len(FILES_BESIDE_BADGES) + 2 * len(settings.styles[str(which)].slugs) * len(days))
        for which, days in settings.published_windows.items()
        if isinstance(which, Group) or not which.is_prefix
    )
    prefixes = sum(p.selector.is_prefix for p in settings.packages)
    key = settings.credential_file
    lines = {
        "config": settings.config_file or "none: sample packages",
        "source": settings.source,
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
        lengths = ", ".join(map(window_key, days))
        table.add_row(*map(Text, (str(which), lengths, ", ".join(f"{folder}/" for folder in folders[which]))))
    console.print(table)


def _folders(settings: Settings, which: Selector | Group) -> list[str]:
    """Return the folders that an entry publishes to. For a prefix, return the prefix itself."""
    return list(dict.fromkeys([str(which), settings.spellings.get(str(which), str(which))]))
