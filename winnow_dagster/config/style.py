"""The style of badges in the config: which ones, over which windows, and how they look."""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal
from xml.etree import ElementTree as ET

from pydantic import AfterValidator, BeforeValidator, Field, WrapValidator

from winnow_dagster.core.badge import (
    DEFAULT_STYLE,
    GREY,
    HEADLINE,
    PYTHONS,
    SLUGS,
    Badge,
    BadgeStyle,
    label_of,
    split_slug,
)
from winnow_dagster.core.dimensions import PYTHON
from winnow_dagster.core.masking import shown
from winnow_dagster.core.window import WindowState
from winnow_dagster.fields import Color, Section, Text, Whole, WindowDays, invalid, number_in_quotes, one_or_list

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pydantic import ValidatorFunctionWrapHandler


def _accept_breakdown(value: object, check: ValidatorFunctionWrapHandler) -> object:
    """Accept the slug of a breakdown's badge, such as `python-3.12`, beside those that every package may have."""
    return value if isinstance(value, str) and split_slug(value) else check(value)


if TYPE_CHECKING:
    Slug = str
else:
    Slug = Annotated[Literal[(*SLUGS, PYTHONS)], WrapValidator(_accept_breakdown)]


def _check_svg(value: str) -> str:
    try:
        is_svg = ET.fromstring(value).tag in {"{http://www.w3.org/2000/svg}svg", "svg"}  # noqa: S314 - the user's own
    except ET.ParseError:
        is_svg = False
    if not is_svg:
        raise invalid("is not an SVG picture. Write all of it here, from <svg to </svg>")
    return value


def _check_labels(labels: dict[str, str]) -> dict[str, str]:
    for label in labels.values():
        if any(unicodedata.category(character) in {"Cc", "Cs", "Cn"} for character in label):
            raise invalid(f"{shown(label)} has a character that cannot be shown. Remove it")
        rest = label.replace("{days}", "")
        if "{" in rest or "}" in rest:
            raise invalid(f"{shown(label)} has an unknown placeholder. Use {{days}} only")
    return labels


def _drawn(value: object) -> object:
    if value == "social":
        raise invalid(
            "Winnow cannot draw 'social'. Use flat, flat-square, plastic or for-the-badge. Or remove the key, and add "
            "`&style=social` to the address of shields.io in your README"
        )
    return value


def one_label(value: object) -> object:
    """Take a text alone for the label of the headline."""
    return {HEADLINE: value} if isinstance(value, str) else value


Colors = Annotated[dict[Annotated[Whole, Field(ge=0)], Color], Field(min_length=1)]


class StyleSection(Section):
    """What may be said of one package or group, and under `defaults:` for all; None leaves it to those."""

    window_days: WindowDays | None = None
    """A number of days, `all` for every day since the first one read, or a list of these.

    The first is the headline's.
    """

    badges: Annotated[list[Slug], BeforeValidator(one_or_list)] | None = None
    """The badges to publish. By default every badge but those of single values, such as `python-3.12`."""

    label: Annotated[dict[Slug, Text], BeforeValidator(one_label), AfterValidator(_check_labels)] | None = None
    """The text on the left of the headline's badge, or a mapping from badges to texts.

    `{days}` is the window's length. With several windows the text needs it: no two badges may have the same text.
    """

    colors: Colors | None = None
    """The colours of the headline's badge: a mapping from the lowest count to its colour."""

    part_colors: Colors | None = None
    """As `colors`, for the badges of installers, systems and values. By default blue from 10 up, else grey."""

    label_color: Color | None = None
    """The colour of the left half, as `labelColor` of shields.io."""

    style: Annotated[Literal["flat", "flat-square", "plastic", "for-the-badge"], BeforeValidator(_drawn)] | None = None
    """The style, as of shields.io. By default flat."""

    logo_svg: Annotated[Text, AfterValidator(_check_svg)] | None = None
    """A logo as SVG text."""

    # shields.io takes what is lower for 300.
    cache_seconds: Annotated[Whole, Field(ge=300)] | None = None
    """How long shields.io keeps the badge."""


def resolve_style(
    section: StyleSection, defaults: StyleSection, breakdowns: Collection[str]
) -> tuple[tuple[int, ...], BadgeStyle]:
    """Return the windows and the style of a sound section."""
    said = {**_said(defaults), **_said(section)}
    usual_slugs = [PYTHONS] if PYTHON.name in breakdowns else []
    # The order in which shields.io documents them.
    extras = {
        "labelColor": said.get("label_color"), "style": said.get("style"), "logoSvg": said.get("logo_svg"),
        "cacheSeconds": said.get("cache_seconds"),
    }  # fmt: skip
    style = BadgeStyle(
        slugs=(
            *(slug for slug in SLUGS if slug == HEADLINE or slug in said.get("badges", SLUGS)),
            *dict.fromkeys(slug for slug in said.get("badges", usual_slugs) if split_slug(slug)),
        ),
        labels=said.get("label", {}),
        colors=_thresholds(said.get("colors"), DEFAULT_STYLE.colors),
        part_colors=_thresholds(said.get("part_colors"), DEFAULT_STYLE.part_colors),
        extras={key: value for key, value in extras.items() if value is not None},
    )
    return tuple(said.get("window_days", [30])), style


def _said(section: StyleSection) -> dict[str, Any]:
    found = {key: getattr(section, key) for key in StyleSection.model_fields}
    return {key: value for key, value in found.items() if value is not None}


def _thresholds(given: Mapping[int, str] | None, default: tuple[tuple[int, str], ...]) -> tuple[tuple[int, str], ...]:
    return default if given is None else tuple(sorted({0: GREY, **given}.items()))


FORMER_KEYS = {
    "logo": "Winnow cannot draw the logos of shields.io. Write the picture as `logo_svg: <svg ...>`. Or remove the key "
    "and add `&logo=` and the logo's name to the address of shields.io in your README",
    "logo_color": "Write the colour into the picture of logo_svg, and remove the key",
    "logo_size": "Write the size into the picture of logo_svg, and remove the key",
}
"""Keys of Winnow 0.1.0, and what to write instead."""


def find_repeated(place: str, section: Mapping[str, Any]) -> Iterator[str]:
    """Find windows and thresholds that stand twice in a section, which may have wrong values too."""
    days = section.get("window_days")
    if isinstance(days, list):
        repeated = [day for day, times in Counter(shown(number_in_quotes(d)) for d in days).items() if times > 1]
        for day in repeated:
            yield f"{place}.window_days: {day} stands twice. Keep one"
    for key in ("colors", "part_colors"):
        colors = section.get(key)
        if isinstance(colors, dict):
            counts = Counter(repr(number_in_quotes(count)) for count in colors)
            for count in (count for count, times in counts.items() if times > 1):
                yield f"{place}.{key}: {count} stands twice. Keep one"


def find_same_labels(days: Collection[int], style: BadgeStyle) -> str | None:
    """Return a sentence on two badges that would have the same label; None without such badges."""
    first: dict[str, Badge] = {}
    for slug in style.slugs:
        for length in dict.fromkeys(days):
            badge = Badge(slug, length, {})
            label = label_of(slug, style, WindowState(length, None, 0), is_headline=True)
            other = first.setdefault(" ".join(label.split()), badge)
            if other is badge:
                continue
            fix = "Give each a text of its own"
            if other.slug == slug:
                fix = f"Add the window to the text: {shown(f'{label} ({{days}}d)')}"
            return f"the badges {other.stem} and {badge.stem} would both say {shown(label)}. {fix}"
    return None
