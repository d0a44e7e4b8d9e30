"""The progress of `winnow collect`: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from winnow_dagster.core.coverage import Cost, Failure, days_between
from winnow_dagster.core.escaping import for_terminal
from winnow_dagster.report.console import console_that_may_fail
from winnow_dagster.sources.kinds import costs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from winnow_dagster.config.settings import Settings
    from winnow_dagster.core.planning import Gap
    from winnow_dagster.defs.fetching import Answer


class ProgressReporter:
    """Shows the progress of `winnow collect`: a bar on a terminal, lines elsewhere."""

    def __init__(self, settings: Settings, *, quiet: bool = False) -> None:
        """Take the config. Show nothing before `begin`, and nothing at all with `quiet`."""
        self._settings = settings
        self._console = console_that_may_fail(quiet=quiet)
        self.cost = Cost()
        self.unnamed = 0
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(
            *columns, console=self._console, transient=True, disable=quiet or not self._console.is_terminal
        )
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

    def begin(self, gaps: Sequence[Gap], rereads: Sequence[Gap]) -> None:
        """Print what Winnow is about to read, and the cost of re-reads."""
        for gap in rereads:
            self._console.print(_reread_line(self._settings, gap), markup=False, soft_wrap=True)
        gaps = [*rereads, *gaps]
        self._bar.update(self._task, total=sum(gap.days * len(gap.selectors) for gap in gaps), visible=bool(gaps))
        for gap in gaps if not self._console.is_terminal else ():
            packages = f"{len(gap.selectors)} {'entry' if len(gap.selectors) == 1 else 'entries'} of `packages:`"
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


def _reread_line(settings: Settings, gap: Gap) -> str:
    """Return a line on the days to re-read, and their cost."""
    what = f"reading {gap.first} to {gap.last} again"
    costs = costs_of(settings.source, settings.source_context)
    if costs is None:
        return f"{what}: {settings.source.kind} costs nothing"
    return f"{what}: {costs.price_of_refetch(days_between(gap.first, gap.last), gap.selectors)}"
