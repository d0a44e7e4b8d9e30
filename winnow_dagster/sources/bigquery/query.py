"""The count query: its text and its parameters. Values are always parameters, never part of the text."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from winnow_dagster.core.coverage import Request, days_between, end_of
from winnow_dagster.core.definition import FILE_ENDINGS, LAST_MIXED_DAY, needs_file_names
from winnow_dagster.core.dimensions import DIMENSIONS, OPEN_DIMENSIONS, SEPARATOR, in_order
from winnow_dagster.core.kernels import OTHER
from winnow_dagster.core.planning import contiguous

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.dimensions import Dimension, OpenDimension
    from winnow_dagster.core.names import Selector

MAX_BATCH = 100
"""The maximum number of selectors in a batched query."""

PER_PACKAGE, BATCHED, SCAN, AUTO = STRATEGIES = ("per_package", "batched", "scan", "auto")

FILE_NAME = "file.filename"
PLAIN_COLUMNS = ("timestamp", "project", *(dimension.column for dimension in DIMENSIONS), "details.ci")
"""The columns that every count query reads.

A breakdown needs the column of its dimension too, and days up to the change of the log need FILE_NAME.
"""

FIRST_COLUMNS = ("timestamp", "project", "details.installer.name", "details.system.name", "details.ci")
"""The columns that the first releases read."""


@dataclass(frozen=True)
class CountQuery:
    """One query.

    All its requests are for the same days, either before or after the change of the log, and for the same breakdowns.
    """

    requests: Sequence[Request]
    strategy: str

    def __post_init__(self) -> None:
        """Raise ValueError if one query cannot answer these requests."""
        if any((r.first, r.last) != (self.first, self.last) for r in self.requests):
            raise ValueError("one query cannot answer requests for different days")
        if any(r.dimensions != self.dimensions for r in self.requests):
            raise ValueError("one query cannot answer requests for different breakdowns")
        if needs_file_names(self.first) != needs_file_names(self.last):
            raise ValueError(
                f"{self.first} to {self.last}: one query cannot read days on both sides of {LAST_MIXED_DAY}"
            )

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
        """The number of requested days."""
        return len(self.requests[0].days())

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The names of the open dimensions by which the query breaks down its counts."""
        return self.requests[0].dimensions

    @property
    def names(self) -> list[str]:
        """The requested selectors, as text."""
        return [str(request.selector) for request in self.requests]

    @property
    def asks_for_all(self) -> bool:
        """Whether the query asks for `*`."""
        return any(request.selector.is_all for request in self.requests)

    @property
    def needs_file_names(self) -> bool:
        """Whether only file names tell which rows of these days are downloads."""
        return needs_file_names(self.last)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the query reads, and that BigQuery bills."""
        broken_down = (column for name in self.dimensions for column in OPEN_DIMENSIONS[name].columns)
        return (*PLAIN_COLUMNS, *broken_down, *([FILE_NAME] if self.needs_file_names else []))

    def text(self, table: str) -> str:
        """Return the query over `table`, a name that the config has validated.

        On days that need file names, the answer has one more column: `unnamed`, the number of rows without one.

        With breakdowns, the answer has two more columns: `dimension` and `value`. Rows without a dimension are the raw
        counts. The others repeat the same downloads by the value of that dimension.
        """
        if self.dimensions:
            return self._text_with_breakdowns(table)
        # A function around timestamp or project would keep BigQuery from skipping partitions and clusters.
        return (
            f"SELECT {_VALUES}, {self._counts(FILE_NAME)}\n"
            f"FROM `{table}`\n"
            f"WHERE timestamp >= @start AND timestamp < @end AND ({self._condition()})\n"
            f"GROUP BY {_KEYS}{self._condition_on_groups}"
        )

    def _text_with_breakdowns(self, table: str) -> str:
        """Return a query that groups the same rows in several ways. The subquery names the columns to group by."""
        asked = [OPEN_DIMENSIONS[name] for name in self.dimensions]
        # A column that a row is not grouped by is NULL, as a value may be: only GROUPING() tells them apart.
        names = " ".join(f'WHEN GROUPING({d.name}) = 0 THEN "{d.name}"' for d in asked)
        values = " ".join(f"WHEN GROUPING({d.name}) = 0 THEN {d.name}" for d in asked)
        file_name = f", {FILE_NAME} AS file_name" if self.needs_file_names else ""
        sets = [_KEYS, *(f"date, package, installer, ci, {d.name}" for d in asked)]
        return (
            f"SELECT {_KEYS}, CASE {names} END AS dimension, CASE {values} END AS value, {self._counts('file_name')}\n"
            f"FROM (\n"
            f"SELECT {_VALUES}, {', '.join(map(_open_value, asked))}{file_name}\n"
            f"FROM `{table}`\n"
            f"WHERE timestamp >= @start AND timestamp < @end AND ({self._condition()})\n"
            f")\n"
            f"GROUP BY GROUPING SETS ({', '.join(f'({columns})' for columns in sets)}){self._condition_on_groups}"
        )

    def _counts(self, file_name: str) -> str:
        if not self.needs_file_names:
            return "COUNT(*) AS downloads"
        is_download = " OR ".join(f'ENDS_WITH({file_name}, "{ending}")' for ending in FILE_ENDINGS)
        return f"COUNTIF({is_download}) AS downloads, COUNTIF({file_name} IS NULL) AS unnamed"

    @property
    def _condition_on_groups(self) -> str:
        return "\nHAVING downloads > 0 OR unnamed > 0" if self.needs_file_names else ""

    def parameters(self) -> Mapping[str, datetime | str | list[str]]:
        """Return the parameters by name: the first moment, the moment after the last, the packages."""
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

    def inlined_sql(self, table: str) -> str:
        """Return the query with its values in the text, for a reader to run. Package names contain no quotes."""
        text = self.text(table)
        # Replace longer names first: @packages begins with @package, and @prefix_10 with @prefix_1.
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


def _value(dimension: Dimension) -> str:
    """Return the expression of a dimension's value for stored counts."""
    text = dimension.column
    if dimension.pattern:
        text = f"REGEXP_EXTRACT({text}, r'{dimension.pattern}')"
    if dimension.is_later:
        text = f"IFNULL({text}, '')"
    return f"{text} AS {dimension.name}"


def _open_value(dimension: OpenDimension) -> str:
    """Return a column with the value of an open dimension."""
    text = _open_text(dimension)
    if dimension.joined:
        text = f"IFNULL(CONCAT(NULLIF({text}, ''), '{SEPARATOR}', {_open_text(dimension.joined)}), '')"
    return f"{text} AS {dimension.name}"


def _open_text(dimension: OpenDimension) -> str:
    """Return the expression of an open dimension's own text; "" stands for NULL."""
    text = f"ARRAY_TO_STRING({dimension.column}, ' ')" if dimension.is_repeated else dimension.column
    if dimension.pattern:
        text = f"REGEXP_EXTRACT({text}, r'{dimension.pattern}')"
    if dimension.classes:
        cases = " ".join(f"WHEN REGEXP_CONTAINS({text}, r'{regex}') THEN '{name}'" for name, regex in dimension.classes)
        text = f"CASE WHEN {text} IS NULL OR {text} = '' THEN '' {cases} ELSE '{OTHER}' END"
    return f"IFNULL({text}, '')"


_VALUES = f"DATE(timestamp) AS date, project AS package, {', '.join(map(_value, DIMENSIONS))}, details.ci AS ci"
_KEYS = f"date, package, {', '.join(dimension.name for dimension in DIMENSIONS)}, ci"


def dimensions_of(columns: Iterable[str]) -> tuple[str, ...]:
    """Return the open dimensions by which a query with these columns breaks down its counts."""
    read = set(columns).difference(PLAIN_COLUMNS)
    return in_order(dimension.name for dimension in OPEN_DIMENSIONS.values() if dimension.column in read)


def inlined_queries(selectors: Iterable[Selector], first: date, last: date, table: str) -> str:
    """Return the query that counts these selectors; two queries if the days span the change of the log."""
    parts = list(selectors)
    queries = [
        CountQuery([Request(part, run[0], run[-1]) for part in parts], PER_PACKAGE)
        for run in contiguous(days_between(first, last))
    ]
    return ";\n\n".join(query.inlined_sql(table) for query in queries)


def plan_queries(
    requests: Iterable[Request], strategy: str, scan_above: Callable[[tuple[str, ...]], float]
) -> list[CountQuery]:
    """Return the queries that answer these requests.

    `strategy` is per_package, batched, scan or auto. `auto` sends one query per package for up to `scan_above(columns)`
    packages on the same days, and one scan of the days for more. `*` takes one scan per day, since the answer for
    several days would be too large. Requests for different breakdowns are in different queries.
    """
    alike: dict[tuple[date, date, bool, tuple[str, ...]], list[Request]] = defaultdict(list)
    queries = []
    for request in requests:
        if request.selector.is_all:
            queries += [CountQuery([replace(request, first=day, last=day)], SCAN) for day in request.days()]
        else:
            alike[request.first, request.last, request.is_reread, request.dimensions].append(request)
    for group in alike.values():
        chosen = strategy
        if strategy == AUTO:
            chosen = SCAN if len(group) > scan_above(CountQuery(group, SCAN).columns) else PER_PACKAGE
        size = {PER_PACKAGE: 1, BATCHED: MAX_BATCH, SCAN: len(group)}[chosen]
        queries += [CountQuery(group[n : n + size], chosen) for n in range(0, len(group), size)]
    return queries
