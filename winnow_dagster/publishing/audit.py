"""Audit: compare the files of the web directory with what the store would publish."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import zip_longest
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import is_stale
from winnow_dagster.core.breakdowns import NO_BREAKDOWNS
from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.day_ranges import days_in
from winnow_dagster.core.days import Package
from winnow_dagster.core.verdicts import Verdict
from winnow_dagster.files.operations import read_if_there
from winnow_dagster.site.badges import badge_files, badges_of_shard
from winnow_dagster.site.breakdown_files import JSON_NAME as BREAKDOWNS_NAME
from winnow_dagster.site.breakdown_files import PublishedBreakdowns, parse_breakdowns
from winnow_dagster.site.folder import format_folder
from winnow_dagster.site.history import JSON_NAME, parse_json
from winnow_dagster.site.index import HEALTH_NAME, PACKAGES_NAME
from winnow_dagster.site.page import PAGE_NAME
from winnow_dagster.site.record import RECORD_NAME, parse_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.badge import BadgeStyle
    from winnow_dagster.core.breakdowns import PackageBreakdowns
    from winnow_dagster.core.everything import Everything
    from winnow_dagster.core.history import History
    from winnow_dagster.core.shard import Numbers, Shard
    from winnow_dagster.core.window import PackageState, Window, WindowCounts, WindowState
    from winnow_dagster.files.paths import StorePath
    from winnow_dagster.publishing.all_packages import AllPackagesDir
    from winnow_dagster.site.site import SiteConfig


@dataclass(frozen=True)
class Recount:
    """The published windows and days, counted again from the store as far as it covers them."""

    windows: Mapping[Window, Mapping[str, WindowCounts]]
    """The counts of each window, by package or group."""

    days: Mapping[str, History]
    """The history of each package or group."""

    breakdowns: Mapping[str, PackageBreakdowns] = field(default_factory=dict)
    """The breakdowns of each package or group, counted again on the days that the store has."""


def judge_published(
    site: SiteConfig,
    published: Mapping[str, PackageState],
    recount: Recount,
    read: Callable[[str, str], bytes | None],
    today: date,
) -> Verdict:
    """Check that each file is, byte for byte, what the store says for the file's own as-of.

    `published`: the record of each folder, by the folder's name. `read`: returns the content of a file in a folder.
    The audit skips numbers that the store no longer covers, and files that no record names.
    """
    bad: dict[str, str] = {}
    looked_at = unknown = 0
    for folder, state in published.items():
        recounted = Package(
            _recounted_state(state, recount),
            _recounted_history(folder, state, recount, read),
            _recounted_breakdowns(folder, state, recount, read),
        )
        unknown += sum(
            w.counts is not None and not _is_known(w, state, recount) for w in (*state.windows, *state.former)
        )
        content_of = cache(partial(read, folder))
        draw = partial(format_folder, site, recounted, published=content_of)
        versions = _versions(draw, recounted.as_of, today, site.stale_threshold_days)
        looked_at += len(versions)
        bad |= _compare(folder, versions, content_of)
    return Verdict(bad, looked_at, {"windows_not_in_store": unknown})


def judge_listing(published: Collection[str], read: Callable[[str], bytes | None]) -> Verdict:
    """Check that the files that list all packages exist, and that PACKAGES_NAME lists these folders and no others.

    `read`: returns the content of a file of the web directory.
    """
    files = {name: read(name) for name in (PAGE_NAME, PACKAGES_NAME, HEALTH_NAME)}
    if not published and files[PACKAGES_NAME] is None:
        return Verdict({}, 0)
    bad = {name: "does not exist. Materialise index" for name, content in files.items() if content is None}
    if PACKAGES_NAME in bad:
        return Verdict(bad, len(published))
    try:
        found = json.loads(files[PACKAGES_NAME] or b"")
        listed = {entry["folder"] for entry in (*found["packages"], *found["groups"])}
    except (ValueError, LookupError, TypeError):
        return Verdict({**bad, PACKAGES_NAME: "is not Winnow's list. Materialise index"}, len(published))
    bad |= {name: f"{PACKAGES_NAME} does not name it. Materialise index" for name in published if name not in listed}
    gone = [name for name in sorted(listed - {*published}) if read(f"{name}/{RECORD_NAME}") is None]
    bad |= dict.fromkeys(gone, f"{PACKAGES_NAME} names it, and its {RECORD_NAME} is missing. Materialise badges")
    return Verdict(bad, len(published))


def judge_all_packages(web: AllPackagesDir, everything: Everything | None, today: date) -> Verdict:
    """Check that the numbers of each shard match the store, and that the badges of one of its packages match them.

    The audit picks another package of each shard every day. It skips windows that the store does not have, and numbers
    from another source.
    """
    summary = web.summary()
    if everything is None or summary is None or summary.source != everything.source:
        return Verdict({}, 0)
    style, threshold = web.style, web.site.stale_threshold_days
    bad: dict[str, str] = {}
    looked_at = unknown = 0
    for counted in everything.shards(with_days=False):
        for key, found in counted.items():
            shard = web.shard(key)
            if shard is None or not shard.packages or not shard.common_lengths(found.shard):
                unknown += 1
                continue
            looked_at += len(shard.packages)
            bad |= _wrong_numbers(shard, found.shard)
            package = list(shard.packages)[today.toordinal() % len(shard.packages)]
            draw = partial(_draw_badges, shard, shard.packages[package], style, threshold)
            versions = _versions(draw, shard.as_of, today, threshold)
            bad |= _compare(package, versions, partial(_read, web.package_folder(package)))
    return Verdict(bad, looked_at, {"shards_not_in_store": unknown})


def _wrong_numbers(published: Shard, stored: Shard) -> dict[str, str]:
    """Return a message for each package whose published numbers differ from the store's."""
    bad: dict[str, str] = {}
    common = published.common_lengths(stored)
    nothing = (0,) * (len(stored.windows) * len(published.columns))
    for name, numbers in published.packages.items():
        shown = [published.counted(numbers, days) for days in common]
        store = [stored.counted(stored.packages.get(name, nothing), days) for days in common]
        expected = [{column: s[column] for column in t} for t, s in zip(shown, store, strict=True)]
        if shown != expected:
            found, wanted = ([n for window in windows for n in window.values()] for windows in (shown, expected))
            bad[name] = f"is {found}; the store says {wanted}"
    return bad


def _draw_badges(
    shard: Shard, numbers: Numbers, style: BadgeStyle, stale_threshold_days: int, today: date
) -> dict[str, bytes]:
    """Return the badge files of a package, drawn without the cache of a publication."""
    badges = badges_of_shard(shard, numbers, style, today=today, stale_threshold_days=stale_threshold_days)
    return {name: content for badge in badges for name, content in badge_files(badge).items()}


def _compare(
    folder: str, versions: Mapping[str, Sequence[bytes]], read: Callable[[str], bytes | None]
) -> dict[str, str]:
    """Return a message for each file of a folder that matches none of its allowed versions."""
    bad: dict[str, str] = {}
    for name, expected in versions.items():
        content = read(name)
        if content not in expected:
            bad[f"{folder}/{name}"] = "is missing" if content is None else _difference(content, expected[0])
    return bad


def _read(folder: StorePath, name: str) -> bytes | None:
    return read_if_there(folder / name)


def windows_of(published: Iterable[PackageState]) -> dict[Window, set[str]]:
    """Return the published windows, each with the names of its packages and groups."""
    found: dict[Window, set[str]] = {}
    for state in published:
        for window in (*state.windows, *state.former):
            if window.counts is not None:
                found.setdefault(window.counts.window, set()).add(state.package)
    return found


def _is_known(window: WindowState, state: PackageState, recount: Recount) -> bool:
    """Return whether the store covers a window. The store has no days of another source."""
    counts = window.counts
    return counts is not None and not counts.source and state.package in recount.windows.get(counts.window, {})


def _recounted_state(state: PackageState, recount: Recount) -> PackageState:
    def tell(windows: tuple[WindowState, ...]) -> tuple[WindowState, ...]:
        return tuple(
            replace(w, counts=recount.windows[w.counts.window][state.package])
            if w.counts and _is_known(w, state, recount)
            else w
            for w in windows
        )

    return replace(state, windows=tell(state.windows), former=tell(state.former))


def _recounted_history(
    folder: str, state: PackageState, recount: Recount, read: Callable[[str, str], bytes | None]
) -> History:
    """Return the published days, counted again where the store covers them."""
    published = parse_json(read(folder, JSON_NAME))
    recounted = recount.days.get(state.package)
    if recounted is None:
        return published
    return recounted.within(published).keep_published(published)


def _recounted_breakdowns(
    folder: str, state: PackageState, recount: Recount, read: Callable[[str, str], bytes | None]
) -> PackageBreakdowns:
    """Return the published days of breakdowns, counted again where the store has them."""
    recounted = recount.breakdowns.get(state.package, NO_BREAKDOWNS)
    published = parse_breakdowns(read(folder, BREAKDOWNS_NAME)) if recounted.dimensions else PublishedBreakdowns()
    return recounted.within({dimension: days_in(ranges) for dimension, ranges in published.days.items()})


def _versions(
    draw: Callable[[date], Mapping[str, bytes]], as_of: Collection[date], today: date, stale_threshold_days: int
) -> dict[str, list[bytes]]:
    """Return the allowed versions of each file: today's, and earlier ones in which fewer numbers are stale.

    `draw`: returns the files as they read on a day. `as_of`: the newest days of their numbers.
    """
    turns = {day + n * ONE_DAY for day in as_of for n in (1, stale_threshold_days + 1)}
    days: dict[frozenset[date], date] = {}
    for day in [today, *sorted(day for day in turns if day < today)]:
        days.setdefault(frozenset(a for a in as_of if is_stale(a, day, stale_threshold_days)), day)
    files: dict[str, list[bytes]] = {}
    for day in days.values():
        for name, content in draw(day).items():
            files.setdefault(name, []).append(content)
    return files


def _difference(content: bytes, expected: bytes) -> str:
    """Return how two versions of a file differ: in a badge's message, a record's counts, or else the first line."""
    found, wanted = _brief(content), _brief(expected)
    if found and wanted and found != wanted:
        return f"is {found}; the store says {wanted}"
    one, other = (text.decode(errors="replace").splitlines(keepends=True) for text in (content, expected))
    lines = zip_longest(one, other, fillvalue="")
    number, (was, should) = next((n, pair) for n, pair in enumerate(lines, start=1) if pair[0] != pair[1])
    return f"line {number} is {was.strip()[:60]!r}; the store says {should.strip()[:60]!r}"


def _brief(content: bytes) -> str:
    payload = parse_payload(content)
    windows = payload.get("windows")
    if isinstance(windows, dict):
        return ", ".join(f"{w.get('honest')} of {w.get('raw')} in {days}d" for days, w in windows.items())
    return repr(payload["message"]) if "message" in payload else ""
