"""Metadata of materialisations in the Dagster UI: numbers to plot, and badges."""

from __future__ import annotations

import base64
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from winnow_dagster.core.categories import CATEGORIES, COLUMNS
from winnow_dagster.core.dimensions import DIMENSIONS
from winnow_dagster.core.window import name_length
from winnow_dagster.site.snippets import describe, own_picture, snippets
from winnow_dagster.site.svg import draw, size
from winnow_dagster.site.words import name_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from winnow_dagster.config.settings import Settings
    from winnow_dagster.core.badge import Badge
    from winnow_dagster.core.breakdowns import Breakdown
    from winnow_dagster.core.coverage import Reading
    from winnow_dagster.core.window import PackageState
    from winnow_dagster.site.site import SiteConfig
    from winnow_dagster.sources.interface import Costs

MAX_PICTURES = 30
"""The maximum number of badges that a prefix shows."""

MAX_VALUES = 5
"""The maximum number of values in the table of a breakdown."""


def column_schema(schema: pl.Schema) -> dict[str, dg.TableSchema]:
    """Return the metadata that lets the UI show the columns of an asset."""
    may_be_null = {"ci", *(dimension.name for dimension in DIMENSIONS)}
    columns = [
        dg.TableColumn(name, str(dtype), COLUMNS[name], dg.TableColumnConstraints(nullable=name in may_be_null))
        for name, dtype in schema.items()
    ]
    return {"dagster/column_schema": dg.TableSchema(columns)}


class DayCosts:
    """The cost of a run for each of its days, and the number of late rows."""

    def __init__(self) -> None:
        """Start without readings."""
        self._days: dict[date, Counter[str]] = defaultdict(Counter)

    def add_late(self, day: date, rows: int) -> None:
        """Add the difference that a re-read found, which may be negative."""
        self._days[day]["late_rows"] += rows

    def add(self, reading: Reading) -> None:
        """Share an answer's cost among its days: bytes evenly, and the query with each day that it read."""
        days = sorted({day for request in reading.requests for day in request.days()})
        rows = dict(reading.counts.group_by("date").len().iter_rows())
        for day in days if reading.cost.queries else ():
            self._days[day].update(
                queries=reading.cost.queries,
                rows=rows.get(day, 0),
                bytes_processed=reading.cost.bytes_processed // len(days),
                bytes_billed=reading.cost.bytes_billed // len(days),
            )

    def numbers(self, day: date, costs: Costs | None) -> dict[str, float]:
        """Return what a day's readings cost; late rows only for a source without costs."""
        cost = self._days[day]
        if costs is None or not cost["queries"]:
            return {"late_rows": cost["late_rows"]}
        names = ("late_rows", "queries", "rows", "bytes_processed", "bytes_billed")
        dollars = round(costs.dollars(cost["bytes_billed"]), 6)
        return {name: cost[name] for name in names} | {"dollars": dollars}


def sum_by(counts: pl.LazyFrame, column: str) -> dict[Any, int]:
    """Return the downloads by the values of a column."""
    return dict(counts.group_by(column).agg(pl.col("downloads").sum()).collect().iter_rows())


def category_numbers(counts: pl.DataFrame) -> dict[str, float]:
    """Return the day's downloads by category, raw in all, and the honest share in percent where there are any."""
    found = sum_by(counts.lazy(), "category")
    numbers: dict[str, float] = {category: found.get(category, 0) for category in CATEGORIES}
    raw = sum(found.values())
    share = {"honest_share_percent": round(100 * numbers["honest"] / raw, 2)} if raw else {}
    return {"raw_downloads": raw, **numbers, **share}


def package_notes(states: Sequence[PackageState], settings: Settings, site: SiteConfig, today: date) -> dict[str, Any]:
    """Return the metadata of one selector's packages: numbers for one package, badges for several."""
    shown = {state.package: _picture(site.badges(state, today)[0]) for state in states[:MAX_PICTURES]}
    if len(states) != 1:
        table = ["| package | badge |", "|---|---|", *(f"| {name} | {badge} |" for name, badge in shown.items())]
        return {"badge": dg.MetadataValue.md("\n".join(table))} if states else {}
    (state,) = states
    folder = settings.output_dir / state.package
    notes: dict[str, Any] = {
        "badge": dg.MetadataValue.md(shown[state.package]),
        "files": dg.MetadataValue.path(str(folder)),
    }
    for window in state.windows:
        if window.counts is not None:
            notes[f"honest_{name_length(window.days)}"] = window.counts.honest
            notes[f"raw_{name_length(window.days)}"] = window.counts.raw
    if state.headline.counts is not None:
        notes["as_of"] = str(state.headline.counts.window.as_of)
    if settings.base_url:
        page, badge = f"{settings.base_url}/{state.package}/", site.badges(state, today)[0]
        picture = own_picture(settings.base_url, state.package, badge.stem)
        notes["endpoint"] = dg.MetadataValue.url(page + badge.file_name)
        notes["page"] = dg.MetadataValue.url(page)
        alt, (_, height) = describe(badge.slug, badge.days), size(badge.payload)
        notes["markdown"] = dg.MetadataValue.text(snippets(picture, page, alt, height)[0].text)
    return notes


def breakdown_notes(breakdowns: Mapping[str, Breakdown]) -> dict[str, Any]:
    """Return a table of the values with the most honest downloads for each dimension of a package's headline."""
    return {f"by_{name}": _table(breakdown) for name, breakdown in breakdowns.items()}


def _table(breakdown: Breakdown) -> dg.TableMetadataValue:
    honest, ci = breakdown.honest, breakdown.ci
    by_size = sorted({*honest, *ci}, key=lambda value: (-honest.get(value, 0), -ci.get(value, 0), value))
    records = [
        dg.TableRecord(
            {"value": name_value(breakdown.dimension, value), "honest": honest.get(value, 0), "ci": ci.get(value, 0)}
        )
        for value in by_size[:MAX_VALUES]
    ]
    columns = [dg.TableColumn("value", "string"), dg.TableColumn("honest", "int"), dg.TableColumn("ci", "int")]
    return dg.MetadataValue.table(records, dg.TableSchema(columns))


def _picture(badge: Badge) -> str:
    """Return a badge as a Markdown image that needs no server."""
    drawn = base64.b64encode(draw(badge.payload)).decode()
    return f"![{badge.payload['message']}](data:image/svg+xml;base64,{drawn})"
