"""The count query: its text and its parameters. Values are always parameters, never part of the text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from winnow_dagster.core.coverage import ONE_DAY, days_between
from winnow_dagster.core.dimensions import COUNTRY, FILE_TYPE, LIBC, OPEN_DIMENSIONS, PYTHON, SYSTEM, VERSION
from winnow_dagster.sources.clickhouse.settings import CI, COLUMNS, DATABASE, FIRST_DAY, LOST_CI, TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.coverage import Request
    from winnow_dagster.core.names import Selector

MAX_DAYS = 31
"""The maximum number of days of one query, so that most answers lie far from the server's limits."""

WIDEST_FIRST = (VERSION, COUNTRY, PYTHON, LIBC, FILE_TYPE)
"""The open dimensions of the table, those with many values first."""


@dataclass(frozen=True)
class CountQuery:
    """A query for one request over contiguous days, and for the control package up to the newest loaded day."""

    request: Request
    control: str

    @property
    def first(self) -> date:
        """The oldest day asked for."""
        return self.request.first

    @property
    def last(self) -> date:
        """The newest day asked for."""
        return self.request.last

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The open dimensions of the request that the table has."""
        return tuple(name for name in self.request.dimensions if name in COLUMNS)

    def text(self, database: str, table: str) -> str:
        """Return the query over a table, whose name the config has validated.

        One scan reads the package and the control package, so both come from the same replica at the same moment.
        """
        names = [SYSTEM.name, *self.dimensions]
        values = ", ".join(map(_value, names))
        dimensions = ", ".join(f"'{name}'" for name in names)
        condition = "startsWith(project, {package:String})" if self._is_prefix else "project = {package:String}"
        return (
            "SELECT least(day, {after:Date}) AS date, max(day) AS newest, package, asked, dimension, value, "
            "installer, ci, count() AS downloads\n"
            "FROM (\n"
            f"SELECT date AS day, project AS package, toBool({condition} AND date <= {{last:Date}}) AS asked, "
            "if(asked, toString(installer), '') AS installer, toString(ci) AS ci,\n"
            f"if(asked, [{values}], ['']) AS values, if(asked, [{dimensions}], ['']) AS dimensions\n"
            f"FROM `{database}`.`{table}`\n"
            f"WHERE date >= {{first:Date}} AND (({condition} AND date <= {{last:Date}}) "
            "OR project = {control:String})\n"
            ") ARRAY JOIN values AS value, dimensions AS dimension\n"
            "GROUP BY date, package, asked, dimension, value, installer, ci"
        )

    def parameters(self) -> Mapping[str, date | str]:
        """Return the parameters by name."""
        return {
            "first": self.first,
            "last": self.last,
            "after": self.last + ONE_DAY,
            "package": self.request.selector.stem,
            "control": self.control,
        }

    @property
    def _is_prefix(self) -> bool:
        return self.request.selector.is_prefix


def _value(name: str) -> str:
    """Return the expression of a dimension's value."""
    text = f"toString({COLUMNS[name]})"
    pattern = OPEN_DIMENSIONS[name].pattern if name in OPEN_DIMENSIONS else ""
    return "extract({}, '{}')".format(text, pattern.replace("\\", "\\\\")) if pattern else text


def control_query(database: str, table: str) -> str:
    """Return the query for the rows of the control package by day. The config has validated the names of the table."""
    return (
        f"SELECT date, countIf(ci = '{LOST_CI}') AS unknown, count() AS downloads\n"
        f"FROM `{database}`.`{table}`\n"
        "WHERE project = {control:String} AND date >= {first:Date}\n"
        "GROUP BY date"
    )


def split_days(request: Request, days: int) -> list[Request]:
    """Split a request into requests of at most this many days, oldest first."""
    starts = days_between(request.first, request.last)[::days]
    return [replace(request, first=day, last=min(day + (days - 1) * ONE_DAY, request.last)) for day in starts]


def make_smaller(request: Request) -> list[Request]:
    """Return requests with smaller answers: two halves of the days, or one day without a dimension of many values.

    Return none if the request is for one day without a dimension.
    """
    if request.first < request.last:
        return split_days(request, (len(request.days()) + 1) // 2)
    widest = next((dimension.name for dimension in WIDEST_FIRST if dimension.name in request.dimensions), None)
    left = tuple(name for name in request.dimensions if name != widest)
    return [replace(request, dimensions=left)] if widest else []


def query_for_readers(selectors: Sequence[Selector], first: date, last: date) -> str:
    """Return the query that counts these selectors in ClickPy's public table. Package names contain no quotes."""
    conditions = [f"startsWith(project, '{s.stem}')" if s.is_prefix else f"project = '{s.stem}'" for s in selectors]
    return (
        f"SELECT date, project, installer, system, ci = '{CI}' AS is_ci, count() AS downloads\n"
        f"FROM {DATABASE}.{TABLE}\n"
        f"WHERE ({' OR '.join(conditions)}) AND date BETWEEN '{max(first, FIRST_DAY)}' AND '{last}'\n"
        "GROUP BY date, project, installer, system, is_ci"
    )
