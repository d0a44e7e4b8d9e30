"""A package's breakdowns: `breakdowns.json` with each window, and its files of days. See docs/formats.md.

A publication computes only some days. The files keep the published lines of all other days (R5).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from winnow_dagster.core.breakdowns import Breakdown
from winnow_dagster.core.day_ranges import join_ranges, to_ranges, without_days
from winnow_dagster.core.dimensions import KERNEL, OPEN_DIMENSIONS
from winnow_dagster.core.values import order_values
from winnow_dagster.core.window import mixes_sample
from winnow_dagster.site.breakdown_days import csv_name, header, is_whole, merge_days
from winnow_dagster.site.record import parse_window_key, to_json, window_key
from winnow_dagster.site.unsaid_ci import estimate_windows, format_unsaid_ci, parse_unsaid_ci

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from winnow_dagster.core.breakdowns import PackageBreakdowns
    from winnow_dagster.core.day_ranges import DayRanges
    from winnow_dagster.core.days import Package
    from winnow_dagster.core.unsaid_ci import UnsaidCi
    from winnow_dagster.core.window import PackageState

    Published = Callable[[str], bytes | None]

JSON_NAME = "breakdowns.json"
FORMAT = 1
BREAKDOWN_FILES = (JSON_NAME, *map(csv_name, OPEN_DIMENSIONS))
"""The names of all files of breakdowns."""


@dataclass(frozen=True)
class BadgeNumber:
    """The number in a published badge of a breakdown, so that Winnow can mark it as stale without counting again."""

    message: str
    downloads: int
    """The honest downloads that the badge counts."""

    as_of: date


@dataclass(frozen=True)
class PublishedBreakdowns:
    """The content of a `breakdowns.json`."""

    source: str = ""
    read_until: datetime | None = None
    """The time of the newest reading in the files."""

    days: Mapping[str, DayRanges] = field(default_factory=dict)
    """The published days of each dimension."""

    windows: Mapping[int, Mapping[str, Breakdown]] = field(default_factory=dict)
    """The breakdowns of each window that are known on every day, by the window's length and the dimension."""

    unsaid_ci: Mapping[int, UnsaidCi] = field(default_factory=dict)
    """The estimates of unsaid CI, by the window's length. Each covers the same days as the window's breakdowns."""

    badges: Mapping[str, BadgeNumber] = field(default_factory=dict)
    """The numbers in badges of breakdowns, by the stems of their files."""

    others: Mapping[str, Mapping[str, DayRanges]] = field(default_factory=dict)
    """The published days of each dimension from other sources, by kind of source. No window adds them up."""

    def for_source(self, source: str) -> PublishedBreakdowns:
        """Return these breakdowns for a package of another source, whose days never add up with these."""
        others = {**self.others, self.source: self.days}
        return replace(self, source=source, days=others.pop(source, {}), windows={}, unsaid_ci={}, others=others)

    def without(self, dimensions: Collection[str], badges: Collection[str]) -> PublishedBreakdowns:
        """Return these breakdowns without some dimensions, and without some badges by their stems."""
        return replace(
            self,
            days={name: days for name, days in self.days.items() if name not in dimensions},
            windows={
                days: {name: breakdown for name, breakdown in by.items() if name not in dimensions}
                for days, by in self.windows.items()
            },
            unsaid_ci={} if KERNEL.name in dimensions else self.unsaid_ci,
            badges={stem: number for stem, number in self.badges.items() if stem not in badges},
            others={
                source: {name: days for name, days in by.items() if name not in dimensions}
                for source, by in self.others.items()
            },
        )


def parse_breakdowns(content: bytes | None) -> PublishedBreakdowns:
    """Return the breakdowns in a `breakdowns.json`; empty ones if it is missing, damaged or of another format."""
    try:
        fields = json.loads(content or b"{}")
        if fields["format"] != FORMAT:
            return PublishedBreakdowns()
        read_until = fields["read_until"]
        return PublishedBreakdowns(
            source=fields["source"],
            read_until=None if read_until is None else datetime.fromisoformat(read_until),
            days={name: _parse_days(fields["days"][name]) for name in OPEN_DIMENSIONS if name in fields["days"]},
            windows={parse_window_key(key): dict(_parse_window(window)) for key, window in fields["windows"].items()},
            unsaid_ci={
                parse_window_key(key): found
                for key, window in fields["windows"].items()
                if (found := parse_unsaid_ci(window))
            },
            badges={
                stem: BadgeNumber(str(badge["message"]), int(badge["downloads"]), date.fromisoformat(badge["as_of"]))
                for stem, badge in fields["badges"].items()
            },
            others={
                source: {name: _parse_days(days) for name, days in by.items()}
                for source, by in fields.get("other_sources", {}).items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return PublishedBreakdowns()


def format_breakdowns(package: str, found: PublishedBreakdowns) -> bytes:
    """Return the content of a package's `breakdowns.json`."""
    return to_json(
        {
            "format": FORMAT,
            "package": package,
            "source": found.source,
            "read_until": None if found.read_until is None else found.read_until.isoformat(),
            "days": _format_days(found.days),
            **({"other_sources": {s: _format_days(by) for s, by in found.others.items()}} if found.others else {}),
            "windows": {
                window_key(days): _format_window(by) | format_unsaid_ci(by, found.unsaid_ci.get(days))
                for days, by in found.windows.items()
                if by
            },
            "badges": {
                stem: {"message": number.message, "downloads": number.downloads, "as_of": str(number.as_of)}
                for stem, number in sorted(found.badges.items())
            },
        }
    )


def renew(package: Package, published: Published) -> tuple[PublishedBreakdowns, dict[str, bytes]] | None:
    """Return a package's breakdowns and its files of days, by name; None if it has no breakdown.

    `published`: returns the content of a published file.
    """
    computed, content = package.breakdowns, published(JSON_NAME)
    if not computed.dimensions and content is None:
        return None
    before, files = parse_breakdowns(content), {}
    if content is not None and mixes_sample(package.source, before.source):
        # Sample and real days never mix (R8). The files of the other kind keep their header only.
        files = {csv_name(name): header(name) for name in before.days if name not in computed.dimensions}
        before = PublishedBreakdowns()
    elif before.source not in {"", package.source}:
        before = before.for_source(package.source)
    known = {name: set(days) for name, days in computed.known.items() if days}
    days = dict(before.days)
    in_files = days.keys() | {name for by in before.others.values() for name in by}
    for name in computed.dimensions:
        old = published(csv_name(name)) if name in in_files else None
        stays = is_whole(name, old)
        if name in known or not stays:
            files[csv_name(name)] = merge_days(name, old, computed, known.get(name, set()))
        # Published days without their lines are no longer known: they would look like days without downloads.
        kept = days.get(name, ()) if stays else ()
        days[name] = join_ranges([*kept, *to_ranges(known.get(name, ()))])
    read = [at for at in (before.read_until, computed.read_until) if at]
    windows = {length: by for length, by in _windows(package.state, computed, before) if by}
    renewed = PublishedBreakdowns(
        package.source,
        max(read, default=None),
        {name: days[name] for name in OPEN_DIMENSIONS if name in days},
        windows,
        dict(estimate_windows(windows, computed, before.unsaid_ci)),
        before.badges,
        without_days(before.others, known),
    )
    return renewed, files


def _windows(
    state: PackageState, computed: PackageBreakdowns, before: PublishedBreakdowns
) -> Iterator[tuple[int, dict[str, Breakdown]]]:
    """Yield the breakdowns of each window that cover the same days as the window's counts."""
    for shown in (*state.windows, *state.former):
        if shown.counts is None:
            continue
        window = shown.counts.window
        published, by = before.windows.get(shown.days, {}), {}
        for name in OPEN_DIMENSIONS:
            for found in (computed.over(window, name) if name in computed.known else None, published.get(name)):
                if found and (found.first_day, found.last_day) == (window.first_day, window.as_of):
                    by[name] = found
                    break
        yield shown.days, by


def _format_days(days: Mapping[str, DayRanges]) -> dict[str, list[list[str]]]:
    return {name: [[str(first), str(last)] for first, last in ranges] for name, ranges in days.items()}


def _parse_days(fields: Any) -> list[tuple[date, date]]:  # noqa: ANN401 - parsed JSON
    ranges = ((date.fromisoformat(first), date.fromisoformat(last)) for first, last in fields)
    return join_ranges((first, last) for first, last in ranges if first <= last)


def _parse_window(fields: Mapping[str, Any]) -> Iterator[tuple[str, Breakdown]]:
    first, last = date.fromisoformat(fields["first_day"]), date.fromisoformat(fields["as_of"])
    for name in OPEN_DIMENSIONS:
        if name in fields:
            honest, ci = ({str(v): int(n) for v, n in fields[name][kind].items()} for kind in ("honest", "ci"))
            yield name, Breakdown(name, first, last, honest, ci)


def _format_window(by: Mapping[str, Breakdown]) -> dict[str, object]:
    some = next(iter(by.values()))
    return {
        "first_day": str(some.first_day),
        "as_of": str(some.last_day),
        **{name: {"honest": _in_order(name, b.honest), "ci": _in_order(name, b.ci)} for name, b in by.items()},
    }


def _in_order(dimension: str, counts: Mapping[str, int]) -> dict[str, int]:
    return {value: counts[value] for value in order_values(OPEN_DIMENSIONS[dimension], counts)}
