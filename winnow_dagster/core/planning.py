"""Planning: which days Winnow has to read, and the requests that read them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from winnow_dagster.core.coverage import NOTHING, ONE_DAY, Coverage, Request, days_between, end_of
from winnow_dagster.core.definition import LAST_MIXED_DAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date, datetime

    from winnow_dagster.core.names import Selector
    from winnow_dagster.core.read_policy import ReadPolicy


@dataclass(frozen=True)
class Gap:
    """Contiguous days that the same selectors lack."""

    first: date
    last: date
    selectors: tuple[Selector, ...]

    @property
    def days(self) -> int:
        """The number of days."""
        return (self.last - self.first).days + 1


def find_gaps(
    longest: Mapping[Selector, int],
    stored: Mapping[date, Coverage],
    reader: ReadPolicy,
    *,
    start: date,
    through: date,
) -> list[Gap]:
    """Return the gaps to read so that each selector has its longest window (in days) up to `through`.

    The order matters if the budget is small: first days that are not covered, then re-reads. Days before the longest
    window come last: marked days, whose rows may come back, and days that an older definition counted.
    """
    first = max(start, through - (max(longest.values(), default=0) - 1) * ONE_DAY)
    missing: dict[date, tuple[Selector, ...]] = {}
    again: dict[date, tuple[Selector, ...]] = {}
    for day in days_between(first, through):
        coverage = stored.get(day, NOTHING)
        wanted = [s for s, days in longest.items() if _is_in(day, days, through)]
        missing[day] = tuple(s for s in wanted if not coverage.covers(s))
        again[day] = tuple(
            s for s in wanted if reader.has_to_reread(day, coverage, s) or reader.has_to_ask_for_rows(day, coverage, s)
        )
    marked = {
        day: tuple(
            s
            for s, days in longest.items()
            if (through - day).days >= days
            and (
                reader.has_come_back(day, stored[day], s)
                or reader.has_to_ask_for_rows(day, stored[day], s)
                # Its timestamp also hides when other readings of the same packages were made.
                or reader.is_ahead(stored[day], s)
            )
        )
        for day in sorted(stored)
        if start <= day <= through
    }
    legacy = {
        day: tuple(
            s
            for s, days in longest.items()
            if (through - day).days >= days and stored[day].holds(s) and not stored[day].covers(s)
        )
        for day in sorted(stored)
        if start <= day <= min(through, LAST_MIXED_DAY)
    }
    return [*_group(missing), *_group(again), *_group(marked), *_group(legacy)]


def find_backfill(
    longest: Mapping[Selector, int], stored: Mapping[date, Coverage], reader: ReadPolicy, through: date
) -> list[Gap]:
    """Return the covered days of each selector's longest window up to `through` that lack a dimension to backfill."""
    wanted = {
        day: tuple(
            s for s, days in longest.items() if reader.has_to_backfill(stored[day], s) and _is_in(day, days, through)
        )
        for day in sorted(stored)
    }
    return _group(wanted)


def _is_in(day: date, days: int, through: date) -> bool:
    """Return whether a day is in the window of this many days up to `through`."""
    return 0 <= (through - day).days < days


def _group(wanted: Mapping[date, tuple[Selector, ...]]) -> list[Gap]:
    """Join contiguous days, oldest first, with the same selectors."""
    gaps: list[Gap] = []
    for day, selectors in wanted.items():
        if gaps and gaps[-1].last == day - ONE_DAY and gaps[-1].selectors == selectors:
            gaps[-1] = Gap(gaps[-1].first, day, selectors)
        elif selectors:
            gaps.append(Gap(day, day, selectors))
    return gaps


def plan_requests(
    days: Iterable[date],
    selectors: Iterable[Selector],
    stored: Mapping[date, Coverage],
    reader: ReadPolicy,
    *,
    refetch: bool | datetime = False,
) -> list[Request]:
    """Return the requests that top these days up: one per selector and contiguous range of days.

    First readings, re-reads and days counted by an older definition are separate requests. If a wider selector asks for
    a day with the same dimensions, a narrower one does not. With `refetch` Winnow asks for everything again. If it is a
    moment, Winnow does not ask for what it has read since. It never asks for a day that is not over.
    """
    chosen = list(selectors)
    wanted: dict[_Kind, list[date]] = defaultdict(list)
    answered: dict[_Kind, list[date]] = defaultdict(list)
    for day in sorted(d for d in days if end_of(d) <= reader.now):
        coverage = stored.get(day, NOTHING)
        again = [
            s
            for s in chosen
            if (_has_to_refetch(refetch, coverage, s, reader) or reader.has_to_backfill(coverage, s))
            and not reader.has_lost_rows(day, coverage, s)
        ]
        missing = [s for s in chosen if s in again or reader.has_to_read(day, coverage, s)]
        # A prefix that fails must not make packages with an entry of their own fail.
        wider = [s for s in missing if s.is_prefix and s not in coverage.failed]
        for selector in missing:
            is_answered = any(w != selector and reader.answers(w, selector) for w in wider)
            covered, held = coverage.covers(selector), coverage.holds(selector)
            is_first = bool(refetch) or selector in again
            is_replacing = covered and selector in reader.dimensions
            kind = _Kind(selector, not is_first and covered, not is_first and held and not covered, is_replacing)
            (answered if is_answered else wanted)[kind].append(day)
    narrower = sorted(_requests(answered, reader), key=lambda request: chosen.index(request.selector))
    return [_with_narrower(request, narrower) for request in _requests(wanted, reader)]


def _has_to_refetch(refetch: bool | datetime, coverage: Coverage, selector: Selector, reader: ReadPolicy) -> bool:  # noqa: FBT001 - or a moment
    if isinstance(refetch, bool):
        return refetch
    return not _is_read_since(refetch, coverage, selector, reader)


def _is_read_since(moment: datetime, coverage: Coverage, selector: Selector, reader: ReadPolicy) -> bool:
    """Return whether `selector` was read at this moment or later. A timestamp in the future does not count."""
    last_read = coverage.last_read(selector)
    return last_read is not None and last_read >= moment and not reader.is_ahead(coverage, selector)


class _Kind(NamedTuple):
    """What the days of one request have in common."""

    selector: Selector
    is_reread: bool
    is_recount: bool
    is_replacing: bool


def _requests(wanted: Mapping[_Kind, list[date]], reader: ReadPolicy) -> list[Request]:
    return [
        Request(
            kind.selector,
            run[0],
            run[-1],
            kind.is_reread,
            kind.is_recount,
            reader.dimensions.get(kind.selector, ()),
            kind.is_replacing,
        )
        for kind, days in wanted.items()
        for run in contiguous(days)
    ]


def _with_narrower(request: Request, answered: Iterable[Request]) -> Request:
    """Return a request with the narrower ones that it answers. Each of the widest of these holds its own likewise."""
    covered = [other for other in answered if other.selector != request.selector]
    covered = [other for other in covered if request.selector.covers(other.selector)]
    widest = [
        other
        for other in covered
        if not any(wide.selector != other.selector and wide.selector.covers(other.selector) for wide in covered)
    ]
    return replace(request, narrower=tuple(_with_narrower(other, covered) for other in widest)) if widest else request


def without_answered(requests: Iterable[Request], answered: Iterable[Request]) -> list[Request]:
    """Return requests without the days that others have answered for the same selector."""
    done = {(request.selector, day) for request in answered for day in request.days()}
    return [
        replace(r, first=run[0], last=run[-1])
        for r in requests
        for run in contiguous(day for day in r.days() if (r.selector, day) not in done)
    ]


def without_read_since(
    requests: Iterable[Request], read_at: datetime, stored: Mapping[date, Coverage], reader: ReadPolicy
) -> list[Request]:
    """Return requests without the days that are stored as read at this moment or later."""
    asked = list(requests)
    read = [
        replace(r, first=day, last=day)
        for r in asked
        for day in r.days()
        if _is_read_since(read_at, stored.get(day, NOTHING), r.selector, reader)
    ]
    return without_answered(asked, read) if read else asked


def contiguous(days: Iterable[date]) -> list[list[date]]:
    """Split days, oldest first, into contiguous runs. No run crosses the change of the log."""
    runs: list[list[date]] = []
    for day in days:
        if runs and runs[-1][-1] == day - ONE_DAY != LAST_MIXED_DAY:
            runs[-1].append(day)
        else:
            runs.append([day])
    return runs
