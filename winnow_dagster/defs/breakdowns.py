"""Count the breakdowns that a publication needs, from the stored days."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from winnow_dagster.core.breakdowns import count_breakdowns, days_to_count
from winnow_dagster.core.names import Selector, selector_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from winnow_dagster.config.settings import Settings
    from winnow_dagster.core.breakdowns import PackageBreakdowns, PublishedBreakdowns
    from winnow_dagster.core.days import Package
    from winnow_dagster.core.window import PackageState
    from winnow_dagster.defs.resources import Installation


def count_for(
    winnow: Installation, states: Iterable[PackageState], published: Mapping[str, PublishedBreakdowns]
) -> dict[str, PackageBreakdowns]:
    """Return the breakdowns of these packages and groups over the days of their windows.

    Days before the windows are counted only if they were read, or asked for, since the last publication.
    """
    chosen = {state.package: state for state in states}
    asked_for = {name: _dimensions(name, winnow.settings) for name in chosen}
    wanted = {name: dimensions for name, dimensions in asked_for.items() if dimensions}
    if not wanted:
        return {}
    members = {name: _members(chosen[name]) for name in wanted}
    stored = winnow.raw.coverages(winnow.raw.stored_days())
    days = sorted(
        {
            day
            for name, dimensions in wanted.items()
            for day in days_to_count(
                stored, members[name], dimensions, published.get(name), min(_first_days(chosen[name]), default=None)
            )
        }
    )
    return count_breakdowns(winnow.breakdowns(days), members, wanted)


def with_breakdowns(packages: Iterable[Package], found: Mapping[str, PackageBreakdowns]) -> list[Package]:
    """Return these packages with their breakdowns."""
    return [replace(p, breakdowns=found.get(p.state.package, p.breakdowns)) for p in packages]


def _dimensions(name: str, settings: Settings) -> Sequence[str]:
    """Return the open dimensions by which a published name is broken down; none if it is no longer configured."""
    breakdowns = settings.breakdowns
    selector = selector_of(name, settings.windows)
    return breakdowns.get(name, breakdowns[str(selector)] if selector else ())


def _members(state: PackageState) -> Sequence[Selector]:
    return tuple(map(Selector.parse, state.members)) or (Selector(state.package),)


def _first_days(state: PackageState) -> Iterable[date]:
    return [window.counts.window.first_day for window in state.windows if window.counts]
