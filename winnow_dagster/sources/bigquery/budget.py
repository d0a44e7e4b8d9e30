"""The month's budget: choose the requests that it pays for, in order. Knows nothing of how Winnow sends queries."""

from __future__ import annotations

import calendar
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from winnow_dagster.core.billing import format_bytes
from winnow_dagster.core.coverage import ONE_DAY, end_of
from winnow_dagster.core.planning import plan_requests
from winnow_dagster.core.read_policy import ReadPolicy
from winnow_dagster.sources.bigquery.query import plan_queries

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import date, datetime

    from winnow_dagster.core.coverage import Request
    from winnow_dagster.core.names import Selector
    from winnow_dagster.sources.bigquery.billing import Figures


MAX_NAMED = 20
"""The maximum number of entries that a warning names."""


@dataclass(frozen=True)
class BudgetConfig:
    """The config's entries and its budget. The budget reserves bytes for the entries until the end of the month."""

    windows: Mapping[Selector, int] = field(default_factory=dict)
    """The number of days that each entry needs, in the config's order."""

    settling: frozenset[Selector] = frozenset()
    """The entries whose days Winnow re-reads once they have settled."""

    budget_bytes: float | None = None
    """The month's limit; None: no limit."""

    dimensions: Mapping[Selector, tuple[str, ...]] = field(default_factory=dict)
    """The open dimensions by which to break down each entry's counts."""


@dataclass(frozen=True)
class Reserve:
    """The bytes that the remaining days of the month need, for first readings and for re-reads."""

    first_readings: float = 0
    rereads: float = 0


@dataclass(frozen=True)
class Choice:
    """The requests to send, the requests that the budget refuses, with reasons, and the re-reads left out."""

    chosen: Sequence[Request]
    refused: Mapping[Request, str]
    left_out: Sequence[Request]
    without_breakdowns: Sequence[Selector] = ()
    """The entries whose first readings the budget allows only without their breakdowns."""


@dataclass(frozen=True)
class Budget:
    """The month's limit in bytes (None: no limit), the bytes billed so far, and the figures of queries."""

    bytes_per_month: float | None
    spent: float
    figures: Figures
    strategy: str
    configured: BudgetConfig = field(default_factory=BudgetConfig)

    def state(self) -> str:
        """Return how much of the month's limit is used, for a log."""
        limit = ", without a limit" if self.bytes_per_month is None else f" of {format_bytes(self.bytes_per_month)}"
        return f"Billed this month: {format_bytes(self.spent)}{limit}"

    def choose(self, requests: Sequence[Request], now: datetime) -> Choice:
        """Choose requests: first readings, then re-reads, then days that an older definition counted.

        The budget pays for all first readings of an entry or for none, since half a window has no number. Entries go in
        the config's order. Breakdowns come after the headlines of all entries, and leave room for the headlines of the
        rest of the month. Re-reads leave room for all first readings of the rest of the month. A re-read keeps its
        breakdowns, since it replaces the stored ones.
        """
        ordered = self._in_order(requests)
        first = [r for r in ordered if not r.is_reread and not r.is_recount]
        second = [r for r in ordered if r.is_reread]
        recounts = [r for r in ordered if r.is_recount and not r.is_reread]
        in_windows = [r for r in recounts if not self._is_history(r, now)]
        history = [r for r in recounts if self._is_history(r, now)]
        headlines: list[Request] = []
        refused = self._add(headlines, _by_selector(map(_without_breakdowns, first)), 0)
        # A refused entry needs no reserve for the rest of the month.
        unread = {request.selector for request in refused}
        asked = _dimensions_asked([*first, *in_windows])
        room = self.reserve(now, unread, breakdowns=False).first_readings
        chosen = self._with_breakdowns([], headlines, asked, room)
        reserve = self.reserve(now, unread)
        left_out = self._add(chosen, [[request] for request in second], reserve.first_readings)
        room = reserve.first_readings + reserve.rereads
        recounted = list(chosen)
        refused |= self._add(recounted, _by_selector(map(_without_breakdowns, in_windows)), room)
        chosen += self._with_breakdowns(chosen, recounted[len(chosen) :], asked, room)
        unread_days = self._add_newest_days(chosen, history, room)
        plain = [r.selector for r in chosen if not r.is_reread and asked.get(r.selector, ()) and not r.dimensions]
        return Choice(chosen, refused, [*left_out, *unread_days], list(dict.fromkeys(plain)))

    def reserve(self, now: datetime, without: Collection[Selector] = (), *, breakdowns: bool = True) -> Reserve:
        """Return the bytes that the remaining days of the month need, including today's reading of yesterday.

        `without`: entries that Winnow does not read.
        """
        days = calendar.monthrange(now.year, now.month)[1] - now.day + 1
        yesterday = now.date() - ONE_DAY
        windows = [selector for selector in self.configured.windows if selector not in without]
        dimensions = self.configured.dimensions if breakdowns else {}
        once = plan_requests([yesterday], windows, {}, ReadPolicy(end_of(yesterday), dimensions=dimensions))
        again = [request for request in once if request.selector in self.configured.settling]
        return Reserve(days * self.price(once), days * self.price(again))

    def price(self, requests: Iterable[Request]) -> float:
        """Return the expected bytes for these requests together."""
        queries = plan_queries(requests, self.strategy, self.figures.scan_above)
        return sum(map(self.figures.estimate, queries))

    def refuses(self, more: float, reserve: float = 0) -> bool:
        """Return whether this many more bytes exceed the budget."""
        return self.bytes_per_month is not None and self.spent + more + reserve > self.bytes_per_month

    def _in_order(self, requests: Iterable[Request]) -> list[Request]:
        entries = {selector: at for at, selector in enumerate(self.configured.windows)}
        return sorted(requests, key=lambda request: entries.get(request.selector, len(entries)))

    def _is_history(self, request: Request, now: datetime) -> bool:
        """Return whether these days lie before the longest window that ends yesterday, so that no number needs them."""
        longest = self.configured.windows.get(request.selector, 0)
        return (now.date() - ONE_DAY - request.last).days >= longest

    def _add(self, chosen: list[Request], units: Sequence[Sequence[Request]], reserve: float) -> dict[Request, str]:
        """Add to `chosen` each unit that fits as a whole; return the requests of the others, with reasons.

        If a wide request does not fit, this adds the narrower requests that do.
        """
        together = [*chosen, *(request for unit in units for request in unit)]
        if not self.refuses(self.price(together), reserve):
            chosen[:] = together
            return {}
        refused: dict[Request, str] = {}
        for unit in units:
            before, after = self.price(chosen), self.price([*chosen, *unit])
            if self.refuses(after, reserve):
                refused.update(dict.fromkeys(unit, self._sentence(unit[0].selector, before, after - before, reserve)))
            else:
                chosen += unit
        narrower = _by_selector(part for request in refused for part in request.instead())
        return refused | self._add(chosen, narrower, reserve) if narrower else refused

    def _with_breakdowns(
        self,
        others: Sequence[Request],
        headlines: Iterable[Request],
        asked: Mapping[Selector, tuple[str, ...]],
        reserve: float,
    ) -> list[Request]:
        """Return the headlines. As many entries as fit have their breakdowns; the last ones lose theirs.

        `asked`: the breakdowns of each entry. `others`: requests that the budget pays for too.
        """
        units = _by_selector(self._in_order(headlines))

        def break_down(number: int) -> list[Request]:
            return [
                replace(request, dimensions=asked[request.selector] if at < number or request.is_replacing else ())
                for at, unit in enumerate(units)
                for request in unit
            ]

        def fits(number: int) -> bool:
            return not self.refuses(self.price([*others, *break_down(number)]), reserve)

        return break_down(_largest(len(units), fits))

    def _add_newest_days(self, chosen: list[Request], history: Sequence[Request], reserve: float) -> list[Request]:
        """Add to `chosen` as many of the newest days of each request as fit; return the rest."""
        rest: list[Request] = []
        for request in history:
            fitting = _largest(len(request.days()), partial(self._allows_newest, chosen, request, reserve))
            if fitting:
                chosen.append(_newest(request, fitting))
            if fitting < len(request.days()):
                rest.append(replace(request, last=request.last - fitting * ONE_DAY))
        return rest

    def _allows_newest(self, chosen: Sequence[Request], request: Request, reserve: float, days: int) -> bool:
        return not self.refuses(self.price([*chosen, _newest(request, days)]), reserve)

    def _sentence(self, selector: Selector, before: float, needed: float, reserve: float) -> str:
        needs = f", the rest of the month needs about {format_bytes(reserve)}" if reserve else ""
        return (
            f"the month's queries take {format_bytes(self.spent + before)}{needs}, `{selector}` needs about "
            f"{format_bytes(needed)} more, and the budget is {format_bytes(self.bytes_per_month or 0)}. Raise "
            "budget.tib_per_month, shorten window_days or list fewer packages, or wait for the next month"
        )


def _by_selector(requests: Iterable[Request]) -> list[list[Request]]:
    units: dict[Selector, list[Request]] = {}
    for request in requests:
        units.setdefault(request.selector, []).append(request)
    return list(units.values())


def _largest(limit: int, fits: Callable[[int], bool]) -> int:
    """Return the largest number up to `limit` that fits, or 0. Assumes that each smaller number fits too."""
    if fits(limit):
        return limit
    fitting, too_many = 0, limit
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        if fits(middle):
            fitting = middle
        else:
            too_many = middle
    return fitting


def _without_breakdowns(request: Request) -> Request:
    """Return a request for the headline alone. A request that replaces a stored reading keeps its breakdowns."""
    if request.is_replacing:
        return request
    return replace(request, dimensions=(), narrower=tuple(map(_without_breakdowns, request.narrower)))


def _dimensions_asked(requests: Iterable[Request]) -> dict[Selector, tuple[str, ...]]:
    """Return the breakdowns of each selector, narrower ones included. All requests of a selector ask for the same."""
    found: dict[Selector, tuple[str, ...]] = {}
    for request in requests:
        found |= {request.selector: request.dimensions, **_dimensions_asked(request.narrower)}
    return found


def _newest(request: Request, days: int) -> Request:
    return replace(request, first=request.last - (days - 1) * ONE_DAY)


def format_days(requests: Iterable[Request]) -> str:
    """Return the ranges of days of these requests as text."""
    ranges: dict[tuple[date, date], None] = {(r.first, r.last): None for r in sorted(requests, key=lambda r: r.first)}
    return ", ".join(f"{first}" if first == last else f"{first} to {last}" for first, last in ranges)


def describe_left_out(choice: Choice) -> str:
    """Return what the budget left out, as the subject of a sentence; empty if nothing."""
    parts = [f"re-reads of {format_days(choice.left_out)}"] if choice.left_out else []
    if choice.without_breakdowns:
        named = [f"`{selector}`" for selector in choice.without_breakdowns[:MAX_NAMED]]
        more = len(choice.without_breakdowns) - len(named)
        parts.append(f"breakdowns of {', '.join(named)}{f' and {more} more entries' if more else ''}")
    return " and ".join(parts)
