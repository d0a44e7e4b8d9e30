"""Badges: which badges a package has, and the file name and endpoint payload of each.

Payloads and file names are those of pypi-winnow-downloads. Do not change them: readers rely on them. Only a config
can ask for another style.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from winnow_dagster.core.dimensions import BREAKDOWNS, DIMENSIONS, PYTHON
from winnow_dagster.core.window import ALL, name_length

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import date

    from winnow_dagster.core.dimensions import Dimension
    from winnow_dagster.core.window import PackageState, WindowState

THOUSAND = 1000
LOW_COUNT = 10
"""The lowest count of a blue badge."""

GREY = "lightgrey"
NO_DOWNLOADS = "no downloads"
UNKNOWN = "–"  # noqa: RUF001 - a dash, not a minus
"""Stands for an unknown number: the release that published it did not count it (R10)."""

SAMPLE_LABEL = "sample: "
"""The start of the label of every badge of sample data (R8)."""

_PLACEHOLDER = re.compile(r"collecting \d+/\d+d")
_FILE_NAME = re.compile(r"(?P<slug>[A-Za-z0-9._+-]+)-(?:(?P<days>[1-9]\d*)d|all)-non-ci\.(?:json|svg)")
_BREAKDOWN_SLUG = re.compile(rf"(?P<dimension>{'|'.join(BREAKDOWNS)})-(?P<value>[A-Za-z0-9][A-Za-z0-9._+-]{{0,99}})")


@dataclass(frozen=True)
class Badge:
    """The badge of one number over one window of `days` days, or ALL, with its endpoint payload."""

    slug: str
    days: int
    payload: Mapping[str, object]

    @cached_property
    def stem(self) -> str:
        """The name of its files without their endings."""
        return f"{self.slug}-{name_length(self.days)}-non-ci"

    @property
    def file_name(self) -> str:
        """The name of the payload's file."""
        return f"{self.stem}.json"

    @property
    def picture_name(self) -> str:
        """The name of the SVG file."""
        return f"{self.stem}.svg"


@dataclass(frozen=True)
class BadgeKind:
    """A kind of badge, which a package has for each of its windows: a count, or a share of all downloads."""

    slug: str
    label: str
    numbers: tuple[str, ...]
    """The numbers of a window that the badge adds up."""

    is_share: bool = False


def _kinds_of(dimension: Dimension) -> Iterator[BadgeKind]:
    """Yield the kinds of badges of a dimension: one for each value, then one for each family."""
    if not dimension.slug:
        return
    for key in dimension.values:
        yield BadgeKind(f"{dimension.slug}-{key}", dimension.label.format(key), (dimension.number(key),))
    for key, family in dimension.families.items():
        yield BadgeKind(f"{dimension.slug}-{key}", family.label, tuple(map(dimension.number, family.keys)))


BADGE_KINDS = (
    BadgeKind("downloads", "pip*/uv/poetry/pdm", ("honest",)),
    *(kind for dimension in DIMENSIONS for kind in _kinds_of(dimension)),
    BadgeKind("honest-share", "honest", ("honest",), is_share=True),
)
"""Every badge counts honest downloads only (R3)."""

HEADLINE = BADGE_KINDS[0].slug
"""The slug of the badge of all honest downloads."""

SLUGS = tuple(kind.slug for kind in BADGE_KINDS)
"""The slugs of the badges that every package may have."""

PYTHONS = "pythons"
"""The slug of the badge with the range of Pythons that most honest downloads use."""


def split_slug(slug: str) -> tuple[str, str] | None:
    """Return the dimension and value in the slug of a breakdown's badge, such as `python-3.12`; None for other slugs.

    The value is empty for PYTHONS, which shows a range of values.
    """
    if slug == PYTHONS:
        return PYTHON.name, ""
    found = _BREAKDOWN_SLUG.fullmatch(slug)
    return (found["dimension"], found["value"]) if found else None


def is_slug(text: str) -> bool:
    """Return whether a config may ask for a badge with this slug."""
    return text in SLUGS or split_slug(text) is not None


def default_text(slug: str) -> str:
    """Return the text of a badge's label without a configured one: `linux`, `python 3.12`."""
    if slug in SLUGS:
        return BADGE_KINDS[SLUGS.index(slug)].label
    parts = split_slug(slug)
    return " ".join(parts).rstrip().replace("_", " ") if parts else slug


@dataclass(frozen=True)
class BadgeStyle:
    """Which badges a package has, and their labels and colours. The default is pypi-winnow-downloads' style."""

    slugs: tuple[str, ...] = SLUGS
    labels: Mapping[str, str] = field(default_factory=dict)
    """The label by slug. `{days}` stands for the window's length. For ALL, `{days}d` becomes `since ...`."""

    colors: tuple[tuple[int, str], ...] = ((0, GREY), (LOW_COUNT, "blue"))
    """The headline's colours: pairs of a lowest count and the colour from that count up, in ascending order."""

    part_colors: tuple[tuple[int, str], ...] = ((0, GREY), (LOW_COUNT, "blue"))
    """The colours of the badges of parts: an installer, a system, a value of a breakdown."""

    extras: Mapping[str, str | int] = field(default_factory=dict)
    """Further keys of each payload, such as labelColor and cacheSeconds, in shields.io's order."""


DEFAULT_STYLE = BadgeStyle()


def parse_file_name(name: str) -> tuple[str, int] | None:
    """Return the slug and the window's length in days from a badge's file name; None if the file is no badge."""
    found = _FILE_NAME.fullmatch(name)
    if found is None or not is_slug(found["slug"]):
        return None
    return found["slug"], int(found["days"] or ALL)


def format_count(count: int) -> str:
    """Return a count as a badge shows it: `999`, `1k`, `1.2k`, `999.9k`, `1M`, `1234.6M`.

    Rounding to one decimal comes first, so 999 999 is `1M`. Raises ValueError below 0.
    """
    if count < 0:
        raise ValueError(f"a count is 0 or more, not {count}")
    if count < THOUSAND:
        return str(count)
    thousands = round(count / THOUSAND, 1)
    if thousands < THOUSAND:
        return f"{thousands:.1f}".removesuffix(".0") + "k"
    return f"{count / THOUSAND**2:.1f}".removesuffix(".0") + "M"


def format_exact(count: int | None) -> str:
    """Return a count in full: `1,234,567`, or a dash if it is unknown."""
    return UNKNOWN if count is None else f"{count:,}"


def format_share(part: int, whole: int) -> str:
    """Return a part of a whole in percent: `0%`, `38.2%`, `100%`. Only 0 is `0%`, and only the whole is `100%`."""
    if whole == 0:
        return NO_DOWNLOADS
    percent = round(100 * part / whole, 1)
    if 0 < part < whole:
        percent = min(max(percent, 0.1), 99.9)
    return f"{percent:.1f}".removesuffix(".0") + "%"


def badges_of(
    state: PackageState,
    style: BadgeStyle = DEFAULT_STYLE,
    *,
    today: date,
    stale_threshold_days: int,
    slugs: Collection[str] = SLUGS,
) -> list[Badge]:
    """Return the badges of a package as they read on `today`, the headline first. `slugs`: the kinds to return.

    Badges of a window without counts are placeholders. Badges older than the threshold name their as-of day (R6).
    """
    prefix = SAMPLE_LABEL if state.source == "sample" else ""
    return [
        Badge(
            kind.slug,
            window.days,
            {
                "schemaVersion": 1,
                "label": prefix + label_of(kind.slug, style, window, is_headline=at == 0),
                **_message_and_colour(kind, window, style, today, stale_threshold_days),
                **style.extras,
            },
        )
        for at, window in enumerate((*state.windows, *state.former))
        for kind in BADGE_KINDS
        if kind.slug in slugs
    ]


def is_stale(as_of: date, today: date, stale_threshold_days: int) -> bool:
    """Return whether a number as of that day is older than the threshold."""
    return (today - as_of).days > stale_threshold_days


def shown_on(today: date, stale_threshold_days: int, message: str, color: str, as_of: date) -> dict[str, str]:
    """Return the message and colour of a number as a badge shows them on `today` (R6)."""
    if is_stale(as_of, today, stale_threshold_days):
        return {"message": f"{message} to {as_of}", "color": GREY}
    return {"message": message, "color": color}


def may_replace(published: Mapping[str, object], payload: Mapping[str, object]) -> bool:
    """Return whether `payload` may replace a published one. Only a number may replace a number (R5).

    Anything may replace a sample number.
    """
    return not is_number(published) or is_number(payload)


def keep_style(published: Mapping[str, object], badge: Badge) -> Badge:
    """Return a badge with its published payload and a fresh message; once it is stale, with a grey colour too.

    Winnow uses this for badges that are no longer configured, so that no style is known.
    """
    if not published:
        return badge
    fresh = {"message": badge.payload["message"]}
    if badge.payload["color"] == GREY:
        fresh["color"] = GREY
    return replace(badge, payload={**badge.payload, **published, **fresh})


def is_number(payload: Mapping[str, object]) -> bool:
    """Return whether a payload shows a real number, not a placeholder or sample data."""
    label, message = str(payload.get("label", "")), str(payload.get("message", ""))
    is_counted = message not in {"", UNKNOWN} and _PLACEHOLDER.fullmatch(message) is None
    return is_counted and not label.startswith(SAMPLE_LABEL)


def label_of(slug: str, style: BadgeStyle, window: WindowState, *, is_headline: bool) -> str:
    """Return a badge's label: the configured one, or else its text and the window's length.

    `is_headline`: the window is the headline's. Every other label names its window, such as that of a window that is
    published but no longer configured. So no two badges of a package have the same label.
    """
    text = style.labels.get(slug, f"{default_text(slug)} ({{days}}d)")
    if not is_headline and "{days}" not in text:
        text += " ({days}d)"
    if window.days != ALL:
        return text.replace("{days}", str(window.days))
    if window.counts is None:
        return text.replace("{days}d", "all").replace("{days}", "all")
    counted = window.counts.window
    return text.replace("{days}d", f"since {counted.first_day}").replace("{days}", str(counted.days))


def _message_and_colour(
    kind: BadgeKind, state: WindowState, style: BadgeStyle, today: date, stale_threshold_days: int
) -> dict[str, str]:
    if state.counts is None:
        return {"message": f"collecting {state.covered_days}/{state.days or 1}d", "color": GREY}
    count, as_of = state.counts.sum(kind.numbers), state.counts.window.as_of
    if count is None:
        return {"message": UNKNOWN, "color": GREY}
    if kind.is_share:
        # The configured colours are for counts, not for shares.
        whole = state.counts.raw
        message, color = format_share(count, whole), color_of(whole, DEFAULT_STYLE.colors)
    else:
        colors = style.colors if kind.slug == HEADLINE else style.part_colors
        message, color = format_count(count), color_of(count, colors)
    return shown_on(today, stale_threshold_days, message, color, as_of)


def color_of(count: int, colors: tuple[tuple[int, str], ...]) -> str:
    """Return the colour of a badge that shows this count."""
    return next((color for least, color in reversed(colors) if count >= least), GREY)
