"""The ledger's entries, and what they sum up to. Knows nothing of how a source prices or sends a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime

TIB = 2**40
GB = 10**9
MB = 10**6

Columns = tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """One query in the ledger. `billed` is None until the source reports what the query billed."""

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
    columns: Columns | None = None
    """The columns read; None if the release did not record them."""

    project: str = ""
    """The project that pays for the query; empty if the release did not record it."""

    @property
    def counted_bytes(self) -> float:
        """The bytes billed, or the estimate while they are unknown."""
        return self.estimate if self.billed is None else self.billed

    @property
    def days(self) -> int:
        """The number of days that the query read."""
        return (self.last - self.first).days + 1

    @property
    def package_days(self) -> int:
        """The number of selectors times the number of days."""
        return len(self.selectors) * self.days


def month_total(entries: Iterable[Entry], now: datetime) -> float:
    """Return the bytes of this UTC month's queries, billed or estimated."""
    return sum(e.counted_bytes for e in entries if (e.at.year, e.at.month) == (now.year, now.month))


def format_bytes(size: float) -> str:
    """Return a size in a readable unit: `153 MB`, `4.6 GB`, `0.42 TiB`."""
    if size >= 0.1 * TIB:
        return f"{size / TIB:.2f} TiB"
    if size >= GB:
        return f"{size / GB:.1f} GB"
    return f"{size / MB:.0f} MB"
