"""What a source is, and what a kind of source is.

A kind is one folder or module in `sources/`, and one entry in the table of kinds.py. It owns its section of the config,
its settings, its queries, its prices and its pool.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from winnow_dagster.core.escaping import visible
from winnow_dagster.fields import Section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from winnow_dagster.core.coverage import Cost, Failure, Reading, Request
    from winnow_dagster.core.names import Selector
    from winnow_dagster.core.reader_query import ReaderQuery
    from winnow_dagster.files.paths import StorePath


class SourceError(Exception):
    """The source can answer nothing as it is set up. The message names the culprit and the fix."""

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))  # It may quote a file's name or the source's own words.


class TransientError(SourceError):
    """The source can answer nothing now; trying later helps."""

    seconds_to_wait = 300
    tries = 3


class NotThereYetError(TransientError):
    """None of the days asked for is complete at the source yet."""

    seconds_to_wait = 1800
    tries = 6


class Source(Protocol):
    """Counts of these packages over these days, for whole UTC days only."""

    def read(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:
        """Yield answers as they arrive: each requested (day, selector) is in one reading or one failure.

        A reading may answer several requests, or a part of one's days. A re-read (`is_reread` or `is_recount`) may stay
        unanswered if it costs too much. Raises SourceError.
        """
        ...

    def recover(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:
        """Yield the answers to these requests that an interrupted run has paid for; send no query.

        Failures are answers that the source still prepares. Raises SourceError if it cannot tell what a run has sent.
        """
        ...

    def newest_day(self, today: date) -> date | None:
        """Return the newest day before `today` that the source holds whole; None where it cannot tell.

        Costs nothing. Raises SourceError.
        """
        ...

    def day_rows(self, first: date, last: date) -> Mapping[date, int]:
        """Return the source's number of rows on each day, over all packages; 0 for a day without rows.

        A day is absent if the source cannot tell, or if the day is not yet complete. Costs next to nothing. Raises
        SourceError.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """What the config says of its source. Each kind adds its own settings."""

    kind: ClassVar[str]
    settle_days: int = 3
    """How many days after it ended a day is read once more."""

    @property
    def variant(self) -> str:
        """What distinguishes this source from the usual one of its kind, such as its paths; empty for the usual one."""
        return ""

    def __str__(self) -> str:
        """Return the source as `winnow check` prints it."""
        return self.kind


@dataclass(frozen=True)
class SourceContext:
    """What a source has to know of the rest of the config."""

    data_dir: StorePath
    local_dir: Path
    credential_file: Path | None
    windows: Mapping[Selector, int]
    """The number of days that each entry needs, in the config's order."""

    settling: frozenset[Selector]
    """The entries whose days are re-read once they have settled."""

    start_date: date
    budget_bytes: float | None
    """How much the source may bill in a month; None: as much as it likes."""


class SourceSection(Section):
    """The keys that one kind of source has in `source:`."""

    location_keys: ClassVar[frozenset[str]] = frozenset()
    """The keys that decide where the days of this source are stored."""

    required: ClassVar[Mapping[str, str]] = {}
    """The keys without a default, each with the sentence that says what to write."""

    @property
    def key_file(self) -> str:
        """The path of a credential file, as written; empty without one."""
        return ""

    def resolve(self, folder: Path) -> SourceSettings:
        """Return the settings. Relative paths start at `folder`."""
        raise NotImplementedError


@dataclass(frozen=True)
class PriceList:
    """The table of `winnow estimate` and the lines below it."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]


class Costs(Protocol):
    """What a source with costs says about them."""

    def dollars(self, size: float) -> float:
        """Return the price of so many bytes, the free ones not taken off."""
        ...

    def summarise(self, cost: Cost) -> str:
        """Return a line on what the queries of one command cost."""
        ...

    def price_of_refetch(self, days: Sequence[date], selectors: Sequence[Selector]) -> str:
        """Return in words what re-reading these days costs."""
        ...

    def estimate(self, through: date) -> PriceList:
        """Return what the config costs, with `through` as the newest day."""
        ...

    def upper_bound(self, through: date) -> str:
        """Return a line with the source's own upper bound for the queries of a day. Raises SourceError."""
        ...


@dataclass(frozen=True)
class Kind:
    """One kind of source. Its functions take the settings that its section resolves to."""

    name: str
    section: type[SourceSection]
    open: Callable[[Any, SourceContext], Source]
    """Returns the source. Opens no file and no connection: the first request does."""

    costs: Callable[[Any, SourceContext], Costs] | None = None
    """Returns what the source says about its costs; None: the source costs nothing."""

    pool: str | None = None
    """The Dagster pool of the runs that read the source; None: they need not wait for each other."""

    problems: Callable[[Any], Sequence[str]] = lambda _: ()
    """Returns what is wrong with the source on this machine, before anything is read."""

    needs_google: bool = False
    """Whether the source is read with Google credentials."""

    reader_query: ReaderQuery | None = None
    """The query with which readers check a number; None: readers have no access to the source."""
