"""The costs of a config, as `winnow estimate` prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Column, Table

from winnow_dagster.defs.clock import Clock
from winnow_dagster.report.console import console, print_table
from winnow_dagster.sources.kinds import costs_or_usual

if TYPE_CHECKING:
    from winnow_dagster.config.settings import Settings


def print_estimate(settings: Settings) -> None:
    """Print what a config costs. For a free source, print what it would cost with the usual source."""
    out, source = console(), settings.source.kind
    kind, costs = costs_or_usual(settings.source, settings.source_context)
    found = costs.estimate(Clock().through)
    if kind == source:
        out.print(f"{_packages(settings)}: {found.summary}", markup=False, soft_wrap=True)
    else:
        out.print(f"{_packages(settings)}: free, since {source} costs nothing", markup=False, soft_wrap=True)
        out.print(f"With `kind: {kind}` it would be: {found.summary}", markup=False, soft_wrap=True)
    first, *others = found.titles
    table = Table(Column(first, overflow="fold"), *(Column(title, justify="right") for title in others), box=box.SIMPLE)
    for row in found.rows:
        table.add_row(*row)
    print_table(out, table)
    for line in found.notes:
        out.print(line, markup=False)


def estimate_as_json(settings: Settings) -> dict[str, object]:
    """Return the costs as JSON values."""
    kind, costs = costs_or_usual(settings.source, settings.source_context)
    return {
        "source": settings.source.kind,
        "is_free_source": kind != settings.source.kind,
        "priced_as": kind,
        "packages": len(settings.packages),
        **costs.estimate(Clock().through).content,
    }


def print_dry_run(settings: Settings) -> None:
    """Print the source's upper bound for the cost of one day. Raises SourceError."""
    console().print(upper_bound(settings), markup=False, soft_wrap=True)


def upper_bound(settings: Settings) -> str:
    """Return a line with the source's upper bound for the cost of one day. Raises SourceError."""
    _, costs = costs_or_usual(settings.source, settings.source_context)
    return costs.upper_bound(Clock().through)


def _packages(settings: Settings) -> str:
    """Return the entries of a config in words: `12 packages and 2 prefixes`."""
    selectors = [package.selector for package in settings.packages]
    prefixes = sum(selector.is_prefix and not selector.is_all for selector in selectors)
    packages = sum(not selector.is_prefix for selector in selectors)
    parts = [f"{packages} package{'s' * (packages != 1)}"] if packages else []
    parts += [f"{prefixes} prefix{'es' * (prefixes != 1)}"] if prefixes else []
    parts += ["all packages of PyPI"] if settings.everything else []
    return " and ".join(parts)
