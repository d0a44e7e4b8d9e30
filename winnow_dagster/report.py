"""What the user sees of a command on a terminal, or in a log: progress, the table, the plan."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column, Table

from winnow_dagster.core.badge import KINDS
from winnow_dagster.core.coverage import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from winnow_dagster.collect import Result
    from winnow_dagster.core.coverage import Gap
    from winnow_dagster.defs.resources import Answer, Installation

LOG_WIDTH = 240
"""The width of a table in a log, which has none of its own."""


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=LOG_WIDTH, highlight=False)


class Progressing:
    """Tells how far a collect is: a bar on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        """Show nothing until a collect begins."""
        self._console = _console()
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

    def begin(self, gaps: Sequence[Gap]) -> None:
        """Tell what is about to be read."""
        self._bar.update(self._task, total=sum(gap.days * len(gap.selectors) for gap in gaps), visible=bool(gaps))
        for gap in gaps if not self._console.is_terminal else ():
            packages = f"{len(gap.selectors)} {'entry' if len(gap.selectors) == 1 else 'entries'} of packages"
            self._console.print(f"reading {gap.first} to {gap.last} for {packages}", markup=False)

    def answered(self, answer: Answer) -> None:
        """Tell what was read, and what failed why."""
        requests = [answer.request] if isinstance(answer, Failure) else answer.requests
        self._bar.advance(self._task, sum(len(request.days()) for request in requests))
        if isinstance(answer, Failure):
            request = answer.request
            days = f"{request.first} to {request.last}"
            self._console.print(f"{request.selector}, {days}: {answer.reason}", markup=False, soft_wrap=True)


def print_result(result: Result) -> None:
    """Print a row per package: its headline, honest of raw, as-of and what is wrong; then what failed as a whole."""
    console = _console()
    table = Table(
        "package",
        "headline",
        Column("honest", justify="right"),
        Column("of raw", justify="right"),
        "as of",
        "what is wrong",
        box=box.SIMPLE,
    )
    for row in result.rows:
        counts = row.counts
        table.add_row(
            row.package,
            f"{row.label} {row.message}",
            f"{counts.honest:,}" if counts else "-",
            f"{counts.raw:,}" if counts else "-",
            str(counts.window.as_of) if counts else "-",
            row.status or "",
        )
    console.print(table)
    for error in result.errors:
        console.print(error, markup=False, soft_wrap=True)


def print_plan(winnow: Installation) -> None:
    """Print what a config comes to: source, packages, windows, days to fetch, files to publish."""
    settings, console = winnow.settings, _console()
    gaps = winnow.gaps()
    files = sum(
        (1 + len(KINDS) * len(p.window_days)) * (1 + (p.spelling != str(p.selector))) for p in settings.packages
    )
    prefixes = sum(p.selector.is_prefix for p in settings.packages)
    lines = {
        "config": settings.config_file or "none: sample packages",
        "source": f"{settings.source.kind} {settings.source.path}".strip(),
        "output_dir": settings.output_dir,
        "data_dir": settings.data_dir,
        "first day": settings.start_date,
        "newest day": winnow.clock.through,
        "to publish": f"{files + 2} files"
        + (f", as many again per package of {prefixes} prefixes" if prefixes else ""),
        "to fetch": ", ".join(f"{g.first} to {g.last} ({g.days * len(g.selectors)} days of packages)" for g in gaps)
        or "nothing",
    }
    for name, value in lines.items():
        console.print(f"{name:<12} {value}", markup=False, soft_wrap=True)
    table = Table("package", "windows (days)", "is published as", box=box.SIMPLE)
    for package in settings.packages:
        folders = dict.fromkeys([str(package.selector), package.spelling])
        table.add_row(package.spelling, ", ".join(map(str, package.window_days)), ", ".join(f"{f}/" for f in folders))
    console.print(table)
