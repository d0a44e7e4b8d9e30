"""Attempts: the gaps that Winnow failed to read, and when it tries again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.planning import Gap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from winnow_dagster.core.billing import Entry

FIRST_WAIT = timedelta(minutes=10)
"""The wait after the first attempt. Each further wait is twice as long, up to a day."""


@dataclass(frozen=True)
class Setup:
    """The state that may make an attempt fail: a digest of config and credentials, and when they were loaded."""

    digest: str
    loaded: datetime


@dataclass(frozen=True)
class Attempt:
    """One attempt to read some days of some selectors."""

    selectors: tuple[str, ...]
    first: date
    last: date
    at: datetime
    tries: int
    digest: str
    is_paid: bool = False
    """Whether one of its queries was paid for."""

    def overlaps(self, gap: Gap) -> bool:
        """Return whether the attempt asked for a day of the gap."""
        return self.first <= gap.last and gap.first <= self.last

    def next_at(self, setup: Setup) -> datetime:
        """Return when to try again: at once after a change of the setup, but at most once a day for paid queries."""
        if self.is_paid:
            return self.at + ONE_DAY
        if self.digest != setup.digest or self.at < setup.loaded:
            return self.at
        return self.at + min(FIRST_WAIT * (1 << min(self.tries - 1, 10)), ONE_DAY)

    def paid_for(self, entries: Iterable[Entry]) -> set[str]:
        """Return the selectors for which the ledger has a later query of these days that was or may be billed."""
        since = [e for e in entries if e.at >= self.at and e.first <= self.last and self.first <= e.last]
        return {selector for e in since if e.billed != 0 for selector in e.selectors}.intersection(self.selectors)


@dataclass(frozen=True)
class Decision:
    """The gaps to read now, and the attempts to remember."""

    due: Sequence[Gap]
    attempts: Sequence[Attempt]


def decide(
    gaps: Sequence[Gap],
    attempts: Iterable[Attempt],
    now: datetime,
    setup: Setup,
    paid_for: Callable[[Attempt], set[str]],
) -> Decision:
    """Return the gaps to read now, each with the selectors that do not have to wait.

    `paid_for` returns the selectors of an attempt for which a query was paid. It is called only for attempts that are
    otherwise due.
    """
    # A clock that was ahead has dated attempts in the future. They would wait until then.
    past = [replace(attempt, at=min(attempt.at, now)) for attempt in attempts]
    known = [left for attempt in past if (left := _still_missing(attempt, gaps))]
    known = [part for a in known for part in (_split(a, paid_for(a)) if a.next_at(setup) <= now else [a])]
    waiting = [a for a in known if a.next_at(setup) > now]
    due = []
    for gap in gaps:
        asked = {s for a in waiting if a.overlaps(gap) for s in a.selectors}
        if free := tuple(s for s in gap.selectors if str(s) not in asked):
            due.append(Gap(gap.first, gap.last, free))
    return Decision(due, [*waiting, *(_next(gap, known, now, setup) for gap in due)])


def _split(attempt: Attempt, paid: set[str]) -> Iterator[Attempt]:
    """Split an attempt into the selectors that were paid for and the others."""
    if attempt.is_paid or not paid:
        yield attempt
        return
    yield replace(attempt, selectors=tuple(s for s in attempt.selectors if s in paid), is_paid=True)
    if left := tuple(s for s in attempt.selectors if s not in paid):
        yield replace(attempt, selectors=left)


def _still_missing(attempt: Attempt, gaps: Iterable[Gap]) -> Attempt | None:
    """Return an attempt without the selectors and days that were read since; None if nothing is left."""
    left = [gap for gap in gaps if attempt.overlaps(gap)]
    missing = {str(s) for gap in left for s in gap.selectors}
    selectors = tuple(s for s in attempt.selectors if s in missing)
    if not selectors:
        return None
    first, last = min(gap.first for gap in left), max(gap.last for gap in left)
    return replace(attempt, selectors=selectors, first=max(attempt.first, first), last=min(attempt.last, last))


def _next(gap: Gap, known: Iterable[Attempt], now: datetime, setup: Setup) -> Attempt:
    selectors = tuple(map(str, gap.selectors))
    again = [a for a in known if a.overlaps(gap) and not set(selectors).isdisjoint(a.selectors)]
    before = [a.tries for a in again if a.digest == setup.digest]
    return Attempt(selectors, gap.first, gap.last, now, 1 + max(before, default=0), setup.digest)


def to_json(attempts: Iterable[Attempt]) -> list[dict[str, Any]]:
    """Return attempts as JSON values."""
    return [
        {
            "selectors": list(a.selectors),
            "first": a.first.isoformat(),
            "last": a.last.isoformat(),
            "at": a.at.isoformat(),
            "tries": a.tries,
            "digest": a.digest,
            "is_paid": a.is_paid,
        }
        for a in attempts
    ]


def from_json(content: Iterable[dict[str, Any]]) -> list[Attempt]:
    """Parse what `to_json` returns. Raises ValueError, LookupError or TypeError."""
    return [
        Attempt(
            tuple(a["selectors"]),
            date.fromisoformat(a["first"]),
            date.fromisoformat(a["last"]),
            datetime.fromisoformat(a["at"]),
            int(a["tries"]),
            str(a["digest"]),
            bool(a["is_paid"]),
        )
        for a in content
    ]
