"""Select and sum the counts that requests ask for."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.names import matches_any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from winnow_dagster.core.coverage import Request
    from winnow_dagster.core.names import Selector


def rows_asked_for(requests: Iterable[Request]) -> pl.Expr:
    """Return the polars condition that these requests ask for a count."""
    by_days: dict[tuple[date, date], list[Selector]] = defaultdict(list)
    for request in requests:
        by_days[request.first, request.last].append(request.selector)
    return pl.any_horizontal(
        pl.col("date").is_between(first, last) & matches_any(selectors, "package")
        for (first, last), selectors in by_days.items()
    )


def breakdowns_asked_for(requests: Iterable[Request]) -> pl.Expr:
    """Return the polars condition that these requests ask for a breakdown's count."""
    by_dimension: dict[str, list[Request]] = defaultdict(list)
    for request in requests:
        for dimension in request.dimensions:
            by_dimension[dimension].append(request)
    asked_for = [(pl.col("dimension") == name) & rows_asked_for(asking) for name, asking in by_dimension.items()]
    return pl.any_horizontal(asked_for) if asked_for else pl.lit(value=False)


def sum_by_request(counts: pl.DataFrame, column: str, requests: Iterable[Request]) -> dict[tuple[date, Selector], int]:
    """Return the sum of a column by day and selector. Sums of 0 are left out."""
    if counts.is_empty():
        return {}
    exact = {request.selector.stem: request.selector for request in requests if not request.selector.is_prefix}
    wide = {request.selector for request in requests if request.selector.is_prefix}
    by_package = counts.group_by("date", "package").agg(pl.col(column).sum())
    of_exact = by_package.filter(pl.col("package").is_in(list(exact))) if wide else by_package
    found = {(day, exact[package]): total for day, package, total in of_exact.iter_rows() if package in exact}
    for selector in wide:
        chosen = by_package.filter(matches_any([selector], "package"))
        for day, total in chosen.group_by("date").agg(pl.col(column).sum()).iter_rows():
            found[day, selector] = total
    return found
