"""The count query: its text and its parameters. Values go in as parameters, never into the text."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from winnow_dagster.core.coverage import end_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.coverage import Request

BATCH = 100
"""How many selectors a batched query asks for."""

PER_PACKAGE, BATCHED, SCAN, AUTO = STRATEGIES = ("per_package", "batched", "scan", "auto")


@dataclass(frozen=True)
class CountQuery:
    """One query: the requests that it answers, which all ask for the same days."""

    requests: Sequence[Request]
    strategy: str

    @property
    def first(self) -> date:
        """The oldest day asked for."""
        return self.requests[0].first

    @property
    def last(self) -> date:
        """The newest day asked for."""
        return self.requests[0].last

    @property
    def days(self) -> int:
        """The number of days asked for."""
        return len(self.requests[0].days())

    @property
    def names(self) -> list[str]:
        """The selectors asked for, as text."""
        return [str(request.selector) for request in self.requests]

    @property
    def asks_for_all(self) -> bool:
        """Whether every package is asked for."""
        return any(request.selector.is_all for request in self.requests)

    def text(self, table: str) -> str:
        """Return the query over `table`, a name that the config has checked."""
        # A function around timestamp or project would keep BigQuery from skipping partitions and clusters.
        return (
            "SELECT DATE(timestamp) AS date, project AS package, details.installer.name AS installer, "
            "details.system.name AS system, details.ci AS ci, COUNT(*) AS downloads\n"
            f"FROM `{table}`\n"
            f"WHERE timestamp >= @start AND timestamp < @end AND ({self._condition()})\n"
            "GROUP BY date, package, installer, system, ci"
        )

    def parameters(self) -> Mapping[str, datetime | str | list[str]]:
        """Return the values of the parameters, by name: the first moment, the moment after the last, the packages."""
        names, prefixes = self._stems()
        if "" in prefixes:
            names, prefixes = [], []
        given: dict[str, datetime | str | list[str]] = {
            "start": datetime.combine(self.first, time.min, tzinfo=UTC),
            "end": end_of(self.last),
        }
        if len(names) == 1:
            given["package"] = names[0]
        elif names:
            given["packages"] = names
        return given | {f"prefix_{n}": prefix for n, prefix in enumerate(prefixes)}

    def to_paste(self, table: str) -> str:
        """Return the query with its values in its text, for a reader to run. Its names hold no quotes."""
        text = self.text(table)
        # The longer names first: @package begins @packages, and @prefix_1 begins @prefix_10.
        for name, value in sorted(self.parameters().items(), reverse=True):
            literal = f'TIMESTAMP("{value:%Y-%m-%d}")' if isinstance(value, datetime) else json.dumps(value)
            text = text.replace(f"@{name}", literal)
        return text

    def _stems(self) -> tuple[list[str], list[str]]:
        selectors = [request.selector for request in self.requests]
        return [s.stem for s in selectors if not s.is_prefix], [s.stem for s in selectors if s.is_prefix]

    def _condition(self) -> str:
        names, prefixes = self._stems()
        if "" in prefixes:
            return "TRUE"
        conditions = [f"STARTS_WITH(project, @prefix_{n})" for n in range(len(prefixes))]
        if len(names) == 1:
            conditions.insert(0, "project = @package")
        elif names:
            conditions.insert(0, "project IN UNNEST(@packages)")
        return " OR ".join(conditions)


def plan_queries(requests: Iterable[Request], strategy: str, scan_above: float) -> list[CountQuery]:
    """Return the queries that answer these requests.

    `strategy` is per_package, batched, scan or auto, which takes one query per package up to `scan_above` packages on
    the same days, and one scan of the days beyond. Everything is a scan of each day: of several, its answer would be
    too large.
    """
    by_days: dict[tuple[date, date, bool], list[Request]] = defaultdict(list)
    queries = []
    for request in requests:
        if request.selector.is_all:
            queries += [CountQuery([replace(request, first=day, last=day)], SCAN) for day in request.days()]
        else:
            by_days[request.first, request.last, request.is_second].append(request)
    for group in by_days.values():
        chosen = strategy
        if strategy == AUTO:
            chosen = SCAN if len(group) > scan_above else PER_PACKAGE
        size = {PER_PACKAGE: 1, BATCHED: BATCH, SCAN: len(group)}[chosen]
        queries += [CountQuery(group[n : n + size], chosen) for n in range(0, len(group), size)]
    return queries
