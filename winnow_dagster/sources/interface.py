"""The interfaces of a source and of a kind of source.

A kind is a folder or module in `sources/` and an entry in the table of kinds.py. It owns its section of the config, its
settings, its queries, its prices and its pool.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from winnow_dagster.core.completeness import ALL_ROWS
from winnow_dagster.core.dimensions import OPEN_DIMENSIONS
from winnow_dagster.core.escaping import visible
from winnow_dagster.fields import Section, SettleDays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from winnow_dagster.core.coverage import Cost, Failure, Reading, Request
    from winnow_dagster.core.names import Selector
    from winnow_dagster.core.reader_query import ReaderQuery
    from winnow_dagster.files.paths import StorePath


MAX_DOWNLOADS = 10**16
"""The maximum count in one row of an answer. All of PyPI has 10**10 a day; sums over years still fit 64 bits."""


class InvalidResponseError(Exception):
    """An answer has impossible values, so Winnow counts nothing of it."""


class SourceError(Exception):
    """The source cannot answer any request as configured. The message names the culprit and the fix."""

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))  # The message may quote a file name or the source's words.


class TransientError(SourceError):
    """The source cannot answer now. A retry may succeed."""

    seconds_to_wait = 300
    tries = 3


class IncompleteDaysError(TransientError):
    """None of the requested days is complete at the source yet."""

    seconds_to_wait = 1800
    tries = 6


class Source(Protocol):
    """A source of raw counts by package and whole UTC day."""

    def read(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:
        """Yield answers as they arrive. One reading or failure answers each requested day and selector.

        A reading may answer several requests, or some days of a request. A re-read (`is_reread` or `is_recount`) may
        stay unanswered if it costs too much. Raises SourceError.
        """
        ...

    def recover(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:
        """Yield the answers to these requests that an interrupted run has paid for. Send no query.

        A failure stands for an answer that is not ready yet. Raises SourceError if it cannot tell what a run has sent.
        """
        ...

    def newest_day(self, today: date) -> date | None:
        """Return the newest day before `today` that is complete at the source; None if the source cannot tell.

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
    """The settings that every kind of source has. Each kind adds its own."""

    kind: ClassVar[str]
    settle_days: int = 3
    """The number of days after which Winnow re-reads a day once."""

    @property
    def remarks(self) -> Sequence[str]:
        """Sentences on the limits of the source, for pages and `_health.json`."""
        return ()

    @property
    def variant(self) -> str:
        """What distinguishes this source from others of its kind, such as its paths; empty for the default."""
        return ""

    @property
    def is_public(self) -> bool:
        """Whether readers can check the numbers with the kind's query, in the kind's public dataset.

        A table of your own in BigQuery counts as a copy of the public one.
        """
        return True

    @property
    def counted_rows(self) -> str:
        """A phrase for what `day_rows` counts."""
        return ALL_ROWS

    def __str__(self) -> str:
        """Return the source as `winnow check` prints it."""
        return self.kind


@dataclass(frozen=True)
class SourceContext:
    """The rest of the config, as far as a source needs it."""

    data_dir: StorePath
    local_dir: Path
    credential_file: Path | None
    windows: Mapping[Selector, int]
    """The number of days that each entry needs, in the config's order."""

    settling: frozenset[Selector]
    """The entries whose days Winnow re-reads once they have settled."""

    start_date: date
    budget_bytes: float | None
    """The maximum number of bytes that the source may bill in a month; None: no limit."""

    dimensions: Mapping[Selector, tuple[str, ...]] = field(default_factory=dict)
    """The open dimensions that Winnow reads for each entry that has any."""


class SourceSection(Section):
    """The keys of `source:` for one kind of source."""

    location_keys: ClassVar[frozenset[str]] = frozenset()
    """The keys that decide which store folder the source has."""

    required: ClassVar[Mapping[str, str]] = {}
    """The keys without a default, each with a sentence on what to write."""

    settle_days: SettleDays = 3
    """Winnow re-reads each day once, this many days later. 0: never."""

    @property
    def key_file(self) -> str:
        """The path of the credential file as written; empty without one."""
        return ""

    def resolve(self, folder: Path) -> SourceSettings:
        """Return the settings. Relative paths start at `folder`."""
        raise NotImplementedError


@dataclass(frozen=True)
class PriceList:
    """What `winnow estimate` prints: a phrase that sums up, a table, and lines below it."""

    summary: str
    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]
    content: Mapping[str, object]
    """The same as JSON values."""


class Costs(Protocol):
    """The costs of a source that is not free."""

    def dollars(self, size: float) -> float:
        """Return the price of this many bytes, without the free tier."""
        ...

    def summarise(self, cost: Cost) -> str:
        """Return a line on the cost of one command's queries."""
        ...

    def price_of_refetch(self, days: Sequence[date], selectors: Sequence[Selector]) -> str:
        """Return a phrase on the cost of re-reading these days."""
        ...

    def estimate(self, through: date) -> PriceList:
        """Return the costs of the config, with `through` as the newest day."""
        ...

    def upper_bound(self, through: date) -> str:
        """Return a line with the source's own upper bound for the queries of a day. Raises SourceError."""
        ...


@dataclass(frozen=True)
class Kind:
    """A kind of source. Its functions take the settings that its section resolves to."""

    name: str
    section: type[SourceSection]
    open: Callable[[Any, SourceContext], Source]
    """Returns the source without opening a file or connection: the first request does that."""

    summary: str
    """What the source is and needs, in a phrase for users who choose one."""

    costs: Callable[[Any, SourceContext], Costs] | None = None
    """Returns the costs; None: the source is free."""

    pool: str | None = None
    """The Dagster pool of the runs that read the source; None: runs may read it at the same time."""

    problems: Callable[[Any, SourceContext], Sequence[str]] = lambda *_: ()
    """Returns the problems of the source on this machine, before Winnow reads anything."""

    find_unusable: Callable[[Any, SourceContext], Sequence[str]] = lambda *_: ()
    """Returns why Winnow cannot use some parts of the source, as far as only reading shows. It raises SourceError."""

    identify: Callable[[Any, SourceContext], str] | None = None
    """Returns whose credentials the source uses; None: it needs none. It raises SourceError."""

    address: Callable[[Any], str] | None = None
    """Returns a web address of the service, whose clock is right; None: the source is on this machine."""

    needs_google: bool = False
    """Whether the source needs Google credentials."""

    open_dimensions: tuple[str, ...] = tuple(OPEN_DIMENSIONS)
    """The names of the open dimensions that the source knows."""

    usual_breakdowns: tuple[str, ...] = ()
    """The open dimensions that Winnow reads if the config does not say. None where they cost money."""

    reader_query: ReaderQuery | None = None
    """The query with which readers check a number; None: they have no access to the source."""

    first_day: date | None = None
    """The oldest day that the source can answer; None if it has no such limit."""

    why_not_all: str = ""
    """Why the source cannot read `*`, with the fix; empty if it can."""

    remarks: Sequence[str] = ()
    """Sentences on the limits of published numbers from a source of this kind that the config no longer reads."""
