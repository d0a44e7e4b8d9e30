"""Count the breakdowns that a publication needs, from the stored days."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from zlib import crc32

from winnow_dagster.core.breakdowns import count_breakdowns, days_to_count
from winnow_dagster.core.coverage import DAYS_OF_WEEK
from winnow_dagster.core.names import Selector
from winnow_dagster.core.window import mixes_sample
from winnow_dagster.site.breakdown_files import PublishedBreakdowns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.breakdowns import PackageBreakdowns
    from winnow_dagster.core.days import Package
    from winnow_dagster.core.window import PackageState
    from winnow_dagster.defs.resources import Installation

MAX_AUDITED_DAILY = 20


def count_for(winnow: Installation, states: Iterable[PackageState]) -> dict[str, PackageBreakdowns]:
    """Return the breakdowns of these packages and groups over the days of their windows.

    Days before the windows are counted only if they were read, or asked for, since the last publication.
    """
    chosen = {state.package: state for state in states}
    asked_for = {name: winnow.web.site.dimensions_of(name) for name in chosen}
    wanted = {name: dimensions for name, dimensions in asked_for.items() if dimensions}
    if not wanted:
        return {}
    members = {name: _members(chosen[name]) for name in wanted}
    stored = winnow.raw.coverages(winnow.raw.stored_days())
    days: set[date] = set()
    for name, dimensions in wanted.items():
        published = winnow.web.read_breakdowns(name)
        if mixes_sample(published.source, chosen[name].source):
            published = PublishedBreakdowns()
        ranges = {dimension: published.days.get(dimension, ()) for dimension in dimensions}
        since = min(_first_days(chosen[name]), default=None)
        days |= days_to_count(stored, members[name], ranges, since=since, read_after=published.read_until)
    return count_breakdowns(winnow.breakdowns(sorted(days)), members, wanted)


def due_for_audit(states: Collection[PackageState], today: date) -> list[PackageState]:
    """Return the packages whose breakdowns the audit counts again today: all, or of many those of a weekday."""
    if len(states) <= MAX_AUDITED_DAILY:
        return list(states)
    return [state for state in states if (crc32(state.package.encode()) + today.toordinal()) % DAYS_OF_WEEK == 0]


def with_breakdowns(packages: Iterable[Package], found: Mapping[str, PackageBreakdowns]) -> list[Package]:
    """Return these packages with their breakdowns."""
    return [replace(p, breakdowns=found.get(p.state.package, p.breakdowns)) for p in packages]


def _members(state: PackageState) -> Sequence[Selector]:
    return tuple(map(Selector.parse, state.members)) or (Selector(state.package),)


def _first_days(state: PackageState) -> Iterable[date]:
    return [window.counts.window.first_day for window in state.windows if window.counts]
