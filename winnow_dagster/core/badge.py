"""Badges: which badges a package has, and a number as endpoint payload under a file name.

The payloads and file names are what readers of pypi-winnow-downloads' files know; change them for nobody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from winnow_dagster.core.honesty import INSTALLERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

    from winnow_dagster.core.window import PackageState, WindowCounts, WindowState

THOUSAND = 1000
LOW_COUNT = 10
"""From this count up a badge is blue."""

SAMPLE_LABEL = "sample: "
"""What the label of a badge of sample data starts with (R8)."""

_PLACEHOLDER = re.compile(r"collecting \d+/\d+d")
_FILE_NAME = re.compile(r"(?P<slug>[a-z-]+)-(?P<days>[1-9]\d*)d-non-ci\.json")


@dataclass(frozen=True)
class Badge:
    """One number of one package over one window: a file name and a shields.io endpoint payload."""

    file_name: str
    payload: Mapping[str, str | int]


@dataclass(frozen=True)
class Kind:
    """A badge that every package has over each of its windows."""

    slug: str
    label: str
    count: Callable[[WindowCounts], int]


def _installer(name: str) -> Kind:
    return Kind(f"installer-{name}", name, lambda counts: counts.by_installer[name])


def _system(slug: str, name: str) -> Kind:
    return Kind(f"os-{slug}", slug, lambda counts: counts.by_system[name])


KINDS = (
    Kind("downloads", "pip*/uv/poetry/pdm", lambda counts: counts.honest),
    *map(_installer, INSTALLERS),
    Kind("installer-pip-family", "pip*", lambda counts: counts.pip_family),
    _system("linux", "Linux"),
    _system("macos", "Darwin"),
    _system("windows", "Windows"),
)
"""Every badge counts honest downloads only (R3)."""


def file_name(kind: Kind, days: int) -> str:
    """Return the name of the file of a badge over a window of `days` days."""
    return f"{kind.slug}-{days}d-non-ci.json"


def window_of(name: str) -> int | None:
    """Return the length in days of the window that a badge's file is of, by its name; None if it names no badge."""
    found = _FILE_NAME.fullmatch(name)
    return int(found["days"]) if found and found["slug"] in {kind.slug for kind in KINDS} else None


def format_count(count: int) -> str:
    """Return a count as a badge shows it: `999`, `1k`, `1.2k`, `999.9k`, `1M`, `1234.6M`.

    Rounded to one decimal first, so that 999 999 is `1M`. Raises ValueError below 0.
    """
    if count < 0:
        raise ValueError(f"a count is 0 or more, not {count}")
    if count < THOUSAND:
        return str(count)
    thousands = round(count / THOUSAND, 1)
    if thousands < THOUSAND:
        return f"{thousands:.1f}".removesuffix(".0") + "k"
    return f"{count / THOUSAND**2:.1f}".removesuffix(".0") + "M"


def badges_of(state: PackageState, *, today: date, stale_threshold_days: int) -> list[Badge]:
    """Return all badges of a package, the headline first, as they read on `today`.

    A window that has no counts yet has placeholders; one whose as-of is older than the threshold says so (R6).
    """
    prefix = SAMPLE_LABEL if state.source == "sample" else ""
    return [
        Badge(
            file_name(kind, window.days),
            {
                "schemaVersion": 1,
                "label": f"{prefix}{kind.label} ({window.days}d)",
                **_message_and_colour(kind, window, today, stale_threshold_days),
            },
        )
        for window in (*state.windows, *state.former)
        for kind in KINDS
    ]


def is_stale(as_of: date, today: date, stale_threshold_days: int) -> bool:
    """Tell whether a number as of that day is too old to be shown as the present one."""
    return (today - as_of).days > stale_threshold_days


def may_replace(published: Mapping[str, object], payload: Mapping[str, object]) -> bool:
    """Tell whether `payload` may take the place of a published one: a number gives way to a number only (R5).

    A sample number is no number, and gives way to anything.
    """
    return not _is_number(published) or _is_number(payload)


def _is_number(payload: Mapping[str, object]) -> bool:
    """Tell whether a payload shows a real number; one without a message is no badge at all."""
    label, message = str(payload.get("label", "")), str(payload.get("message", ""))
    return message != "" and not label.startswith(SAMPLE_LABEL) and _PLACEHOLDER.fullmatch(message) is None


def _message_and_colour(kind: Kind, state: WindowState, today: date, stale_threshold_days: int) -> dict[str, str]:
    if state.counts is None:
        return {"message": f"collecting {state.collected}/{state.days}d", "color": "lightgrey"}
    count, as_of = kind.count(state.counts), state.counts.window.as_of
    message = format_count(count)
    if is_stale(as_of, today, stale_threshold_days):
        return {"message": f"{message} to {as_of}", "color": "lightgrey"}
    return {"message": message, "color": "blue" if count >= LOW_COUNT else "lightgrey"}
