"""Audit: what stands in the web directory against what the store says, and against what the config asks for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import zip_longest
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import is_stale
from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.days import Package
from winnow_dagster.core.verdicts import Verdict
from winnow_dagster.site.folder import format_folder
from winnow_dagster.site.history import JSON_NAME, parse_json
from winnow_dagster.site.record import parse_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.everything import Everything
    from winnow_dagster.core.history import History
    from winnow_dagster.core.shard import Shard
    from winnow_dagster.core.window import PackageState, Window, WindowCounts, WindowState
    from winnow_dagster.site.everything import BadgeRenderer
    from winnow_dagster.site.site import SiteConfig


@dataclass(frozen=True)
class Recount:
    """What the store says now of what was published, without what it no longer covers."""

    windows: Mapping[Window, Mapping[str, WindowCounts]]
    """Of each window, by package or group."""

    days: Mapping[str, History]
    """Of the days, by package or group."""


def judge_published(
    site: SiteConfig,
    published: Mapping[str, PackageState],
    recount: Recount,
    read: Callable[[str, str], bytes | None],
    today: date,
) -> Verdict:
    """Hold that each file is, byte for byte, what the store says for the file's own as-of.

    `published`: the record of each folder, by the folder's name. `read`: the content of a file of a folder. Numbers
    that the store cannot tell any more, and what no record names, are not judged.
    """
    bad: dict[str, str] = {}
    looked_at = unknown = 0
    for folder, state in published.items():
        told = Package(_recounted(state, recount), _retold(folder, state, recount, read))
        unknown += sum(
            w.counts is not None and not _is_known(w, state, recount) for w in (*state.windows, *state.former)
        )
        content_of = cache(partial(read, folder))
        for name, expected in _expected(site, told, today, content_of).items():
            content = content_of(name)
            looked_at += 1
            if content is None:
                bad[f"{folder}/{name}"] = "is missing"
            elif content not in expected:
                bad[f"{folder}/{name}"] = _difference(content, expected[0])
    return Verdict(bad, looked_at, {"windows_not_in_store": unknown})


def judge_everything(
    everything: Everything,
    published: Callable[[str], Shard | None],
    read: Callable[[str, str], bytes | None],
    drawings: Sequence[BadgeRenderer],
) -> Verdict:
    """Hold that the numbers of each shard are what the store says, and one package's badges what those say.

    Which package is looked at of a shard changes from day to day. `drawings`: how a badge may read. Windows that the
    store does not have are not judged.
    """
    bad: dict[str, str] = {}
    looked_at = unknown = 0
    for counted in everything.shards(with_days=False):
        for key, found in counted.items():
            shard = published(key)
            common = shard.common(found.shard) if shard else []
            if shard is None or not common:
                unknown += 1
                continue
            nothing = (0,) * (len(found.shard.windows) * len(shard.columns))
            for name, numbers in shard.packages.items():
                looked_at += 1
                theirs = found.shard.packages.get(name, nothing)
                told = [shard.counted(numbers, days) for days in common]
                store = [found.shard.counted(theirs, days) for days in common]
                expected = [{column: s[column] for column in t} for t, s in zip(told, store, strict=True)]
                if told != expected:
                    bad[name] = f"is {_numbers(told)}; the store says {_numbers(expected)}"
            names = list(shard.packages)
            name = names[drawings[0].today.toordinal() % len(names)]
            for file in drawings[0].files(shard, shard.packages[name]):
                content = read(name, file)
                if content not in [drawing.files(shard, shard.packages[name])[file] for drawing in drawings]:
                    bad[f"{name}/{file}"] = "is missing" if content is None else "is not what its number is drawn as"
    return Verdict(bad, looked_at, {"shards_not_in_store": unknown})


def _numbers(windows: Iterable[Mapping[str, int]]) -> list[int]:
    return [number for window in windows for number in window.values()]


def windows_of(published: Iterable[PackageState]) -> dict[Window, set[str]]:
    """Return the windows that published numbers are of, each with its packages."""
    found: dict[Window, set[str]] = {}
    for state in published:
        for window in (*state.windows, *state.former):
            if window.counts is not None:
                found.setdefault(window.counts.window, set()).add(state.package)
    return found


def _is_known(window: WindowState, state: PackageState, recount: Recount) -> bool:
    return window.counts is not None and state.package in recount.windows.get(window.counts.window, {})


def _recounted(state: PackageState, recount: Recount) -> PackageState:
    def tell(windows: tuple[WindowState, ...]) -> tuple[WindowState, ...]:
        return tuple(
            replace(w, counts=recount.windows[w.counts.window][state.package])
            if w.counts and _is_known(w, state, recount)
            else w
            for w in windows
        )

    return replace(state, windows=tell(state.windows), former=tell(state.former))


def _retold(folder: str, state: PackageState, recount: Recount, read: Callable[[str, str], bytes | None]) -> History:
    """Return the published days as the store tells them now, where it does."""
    published = parse_json(read(folder, JSON_NAME))
    told = recount.days.get(state.package)
    if told is None:
        return published
    return told.within(published).keep(published)


def _expected(
    site: SiteConfig, told: Package, today: date, read: Callable[[str], bytes | None]
) -> dict[str, list[bytes]]:
    """Return what each file may be: as it reads today, or as it read when some of its numbers were still fresh."""
    as_ofs = {w.counts.window.as_of for w in (*told.state.windows, *told.state.former) if w.counts}
    turns = {as_of + n * ONE_DAY for as_of in as_ofs for n in (1, site.stale_threshold_days + 1)}
    files: dict[str, list[bytes]] = {}
    seen = set()
    for day in [today, *sorted(day for day in turns if day < today)]:
        stale = frozenset(a for a in as_ofs if is_stale(a, day, site.stale_threshold_days))
        if stale not in seen:
            seen.add(stale)
            for name, content in format_folder(site, told, day, read).items():
                files.setdefault(name, []).append(content)
    return files


def _difference(content: bytes, expected: bytes) -> str:
    """Return what tells two versions of a file apart: a badge's message, a record's counts, else the first change."""
    found, wanted = _brief(content), _brief(expected)
    if found and wanted and found != wanted:
        return f"is {found}; the store says {wanted}"
    lines = zip_longest(content.decode(errors="replace").splitlines(), expected.decode().splitlines(), fillvalue="")
    number, (was, should) = next((n, pair) for n, pair in enumerate(lines, start=1) if pair[0] != pair[1])
    return f"line {number} is {was.strip()[:60]!r}; the store says {should.strip()[:60]!r}"


def _brief(content: bytes) -> str:
    payload = parse_payload(content)
    windows = payload.get("windows")
    if isinstance(windows, dict):
        return ", ".join(f"{w.get('honest')} of {w.get('raw')} in {days}d" for days, w in windows.items())
    return repr(payload["message"]) if "message" in payload else ""
