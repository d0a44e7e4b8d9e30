"""Audit: what stands in the web directory against what the store says, and against what the config asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import badges_of, may_replace
from winnow_dagster.core.names import NormalizedName
from winnow_dagster.core.verdicts import Verdict
from winnow_dagster.core.window import Window, WindowCounts
from winnow_dagster.site.record import FILE_NAME, format_record, parse_payload, to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from winnow_dagster.core.window import PackageState, WindowState

NEVER, AT_ONCE = 10**6, -1
"""Thresholds in days at which a number is never and at once stale."""

Recount = Mapping[Window, Mapping[NormalizedName, WindowCounts]]
"""What the store says now of windows that were published, by package; without those that it no longer covers."""


def judge_published(
    published: Mapping[str, PackageState], recount: Recount, read: Callable[[str, str], bytes | None]
) -> Verdict:
    """Hold that each file is, byte for byte, what the store says for the file's own as-of.

    `published`: the record of each folder, by the folder's name. `read`: the content of a file of a folder. Numbers
    that the store cannot tell any more, and what no record names, are not judged.
    """
    bad: dict[str, str] = {}
    looked_at = unknown = 0
    for folder, state in published.items():
        told = replace(
            state, windows=_recounted(state.windows, state, recount), former=_recounted(state.former, state, recount)
        )
        unknown += sum(
            w.counts is not None and not _is_known(w, state, recount) for w in (*state.windows, *state.former)
        )
        for name, expected in _expected(told).items():
            content = read(folder, name)
            looked_at += 1
            if content is None:
                bad[f"{folder}/{name}"] = "is missing"
            elif content not in expected and not _outranks(content, expected[0]):
                bad[f"{folder}/{name}"] = f"is {_brief(content)}; the store says {_brief(expected[0])}"
    return Verdict(bad, looked_at, {"windows_not_in_store": unknown})


def windows_of(published: Mapping[str, PackageState]) -> dict[Window, set[str]]:
    """Return the windows that published numbers are of, each with its packages."""
    found: dict[Window, set[str]] = {}
    for state in published.values():
        for window in (*state.windows, *state.former):
            if window.counts is not None:
                found.setdefault(window.counts.window, set()).add(state.package)
    return found


def _is_known(window: WindowState, state: PackageState, recount: Recount) -> bool:
    return window.counts is not None and state.package in recount.get(window.counts.window, {})


def _recounted(windows: tuple[WindowState, ...], state: PackageState, recount: Recount) -> tuple[WindowState, ...]:
    return tuple(
        replace(w, counts=recount[w.counts.window][state.package]) if w.counts and _is_known(w, state, recount) else w
        for w in windows
    )


def _expected(state: PackageState) -> dict[str, list[bytes]]:
    """Return what each file of a package may be: a badge as it reads while its number is fresh, or once it is stale."""
    files = {FILE_NAME: [format_record(state)]}
    newest = max((w.counts.window.as_of for w in (*state.windows, *state.former) if w.counts), default=None)
    for threshold in (NEVER, AT_ONCE):
        for badge in badges_of(state, today=newest or date.max, stale_threshold_days=threshold):
            files.setdefault(badge.file_name, []).append(to_json(badge.payload))
    return files


def _outranks(content: bytes, expected: bytes) -> bool:
    """Tell whether a file holds a number that no placeholder replaces, such as one of another program (R5)."""
    return not may_replace(parse_payload(content), parse_payload(expected))


def _brief(content: bytes) -> str:
    """Return what tells two versions of a file apart: a badge's message, a record's counts, else its beginning."""
    payload = parse_payload(content)
    windows = payload.get("windows")
    if isinstance(windows, dict):
        return ", ".join(f"{w.get('honest')} of {w.get('raw')} in {days}d" for days, w in windows.items())
    return repr(payload.get("message", content.decode(errors="replace")[:40]))
