"""What is published, of the config: `packages:`, `groups:`, and the `defaults:` of both."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal
from xml.etree import ElementTree as ET

from pydantic import AfterValidator, BeforeValidator, Field, WrapValidator

from winnow_dagster.config.settings import GroupSettings, PackageSettings
from winnow_dagster.core.badge import BADGE_KINDS, DEFAULT_STYLE, GREY, PYTHONS, SLUGS, BadgeStyle, split_slug
from winnow_dagster.core.dimensions import BREAKDOWNS, KERNEL, PYTHON, in_order
from winnow_dagster.core.masking import shown
from winnow_dagster.core.names import EVERYTHING, Group, Selector, normalise
from winnow_dagster.fields import (
    Color,
    GroupName,
    Https,
    Section,
    SelectorText,
    Text,
    Whole,
    WindowDays,
    invalid,
    number_in_quotes,
    one_or_list,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pydantic import ValidatorFunctionWrapHandler

    from winnow_dagster.sources.interface import Kind

HEADLINE = BADGE_KINDS[0].slug


def _accept_breakdown(value: object, check: ValidatorFunctionWrapHandler) -> object:
    """Accept the slug of a breakdown's badge, such as `python-3.12`, beside those that every package may have."""
    return value if isinstance(value, str) and split_slug(value) else check(value)


if TYPE_CHECKING:
    Slug = str
else:
    Slug = Annotated[Literal[(*SLUGS, PYTHONS)], WrapValidator(_accept_breakdown)]
LOGOS = ("logo", "logo_svg")

if TYPE_CHECKING:
    Breakdowns = list[str]
else:
    Breakdowns = Annotated[list[Literal[BREAKDOWNS]], BeforeValidator(one_or_list)]


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


def _one_label(value: object) -> object:
    return {HEADLINE: value} if isinstance(value, str) else value


class StyleSection(Section):
    """What may be said of one package or group, and under `defaults:` for all; None leaves it to those."""

    window_days: WindowDays | None = None
    """A number of days, `all` for every day since the first one read, or a list of these.

    The first is the headline's.
    """

    badges: Annotated[list[Slug], BeforeValidator(one_or_list)] | None = None
    """The badges to publish. By default every badge but those of single values, such as `python-3.12`."""

    label: Annotated[dict[Slug, Text], BeforeValidator(_one_label), AfterValidator(_check_labels)] | None = None
    """The text on the left of the headline's badge, or a mapping from badges to texts.

    `{days}` is the window's length.
    """

    colors: Annotated[dict[Annotated[Whole, Field(ge=0)], Color], Field(min_length=1)] | None = None
    """The colours of counts: a mapping from the lowest count to its colour."""

    label_color: Color | None = None
    """The colour of the left half, as `labelColor` of shields.io."""

    style: Literal["flat", "flat-square", "plastic", "for-the-badge", "social"] | None = None
    """The style of shields.io. Winnow's own SVG is flat-square for `flat-square`, and flat for all others."""

    logo: Text | None = None
    """The name of a logo of shields.io. Winnow's own SVG does not draw it."""

    logo_svg: Annotated[Text, AfterValidator(_check_svg)] | None = None
    """A logo as SVG text. Winnow's own SVG draws it too."""

    logo_color: Color | None = None
    """The colour of `logo`."""

    logo_size: Literal["auto"] | None = None
    """As `logoSize` of shields.io."""

    # shields.io takes what is lower for 300.
    cache_seconds: Annotated[Whole, Field(ge=300)] | None = None
    """How long shields.io keeps the badge."""


class DefaultsSection(StyleSection):
    """`defaults:`."""

    breakdowns: Breakdowns | None = None
    """As in an entry of `packages`. By default `[python, version]` if the source is free, else none."""

    estimate_unsaid_ci: bool | None = None
    """As in an entry of `packages`. By default false."""


class LinksSection(Section):
    """`links:`."""

    repository: Https
    """The address of the source code, with https."""


class PackageSection(StyleSection):
    """An entry of `packages:`."""

    breakdowns: Breakdowns | None = None
    """By what Winnow breaks the downloads down on the page and in files. Each costs bytes if the source bills them."""

    estimate_unsaid_ci: bool | None = None
    """Whether the page estimates how many installs were CI jobs that did not say so. It costs bytes if billed."""

    name: SelectorText
    """A name on PyPI; `name-*` for every package whose name starts with `name-`; or `"*"` for every package on PyPI."""

    min_downloads: Annotated[Whole, Field(ge=0)] | None = None
    """For `"*"` only: Winnow publishes packages with at least this many honest downloads over the headline's window."""

    settle: bool | None = None
    """For `"*"` only: whether Winnow re-reads days once they have settled. This doubles the bytes."""

    links: LinksSection | None = None
    """`repository: https://...`: the source code, to which the page of the package links."""


class GroupSection(StyleSection):
    """An entry of `groups:`."""

    name: GroupName
    """The group's name. Its files are in `_group/<name>/`."""

    packages: Annotated[list[SelectorText], Field(min_length=1)]
    """The names and prefixes to add up. Each must be selected under `packages:` too."""

    links: LinksSection | None = None
    """`repository: https://...`: the source code, to which the page of the group links."""


def resolve_package(section: PackageSection, defaults: DefaultsSection, kind: Kind) -> PackageSettings:
    """Return what a sound entry of `packages:` comes to."""
    selector = Selector.parse(section.name)
    said = [section.breakdowns, *([] if selector.is_all else [defaults.breakdowns, kind.usual_breakdowns]), []]
    estimates = [section.estimate_unsaid_ci, *([] if selector.is_all else [defaults.estimate_unsaid_ci])]
    # A source without kernels has no estimate. Its remarks say so.
    has_estimate = next((e for e in estimates if e is not None), False) and KERNEL.name in kind.open_dimensions
    named = next(names for names in said if names is not None)
    breakdowns = in_order([*named, *([KERNEL.name] if has_estimate else [])])
    days, style = _resolve_style(section, defaults, breakdowns)
    if selector.is_all and section.badges is None:
        style = replace(style, slugs=(HEADLINE,))
    settles = not selector.is_all if section.settle is None else section.settle
    return PackageSettings(
        selector,
        section.name,
        days,
        style,
        section.min_downloads or 0,
        settles,
        breakdowns,
        section.links.repository if section.links else "",
    )


def resolve_group(section: GroupSection, defaults: StyleSection) -> GroupSettings:
    """Return what a sound entry of `groups:` comes to."""
    # Its members say whether it is broken down by Python. If not, it has no badge of that.
    days, style = _resolve_style(section, defaults, [PYTHON.name])
    group = Group(normalise(section.name), tuple(map(Selector.parse, section.packages)))
    return GroupSettings(group, days, style, section.links.repository if section.links else "")


def _resolve_style(
    section: StyleSection, defaults: StyleSection, breakdowns: Collection[str]
) -> tuple[tuple[int, ...], BadgeStyle]:
    said = _merge(_said(defaults), _said(section))
    usual_slugs = [PYTHONS] if PYTHON.name in breakdowns else []
    # The order in which shields.io documents them.
    extras = {
        "labelColor": said.get("label_color"), "style": said.get("style"), "namedLogo": said.get("logo"),
        "logoSvg": said.get("logo_svg"), "logoColor": said.get("logo_color"), "logoSize": said.get("logo_size"),
        "cacheSeconds": said.get("cache_seconds"),
    }  # fmt: skip
    colors = {0: GREY, **said["colors"]} if "colors" in said else dict(DEFAULT_STYLE.colors)
    style = BadgeStyle(
        slugs=(
            *(slug for slug in SLUGS if slug == HEADLINE or slug in said.get("badges", SLUGS)),
            *dict.fromkeys(slug for slug in said.get("badges", usual_slugs) if split_slug(slug)),
        ),
        labels=said.get("label", {}),
        colors=tuple(sorted(colors.items())),
        extras={key: value for key, value in extras.items() if value is not None},
    )
    return tuple(said.get("window_days", [30])), style


def _said(section: StyleSection) -> dict[str, Any]:
    found = {key: getattr(section, key) for key in StyleSection.model_fields}
    return {key: value for key, value in found.items() if value is not None}


def _merge(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the own keys before the defaults'; a logo of its own has nothing of the default's."""
    drops = {"logo", "logo_svg", "logo_color", "logo_size"} if any(key in own for key in LOGOS) else set()
    return {**{key: value for key, value in defaults.items() if key not in drops}, **own}


def find_problems(content: Mapping[str, Any]) -> Iterator[str]:
    """Find what is wrong between keys of these sections, in a file that may have wrong values too."""
    packages, groups, defaults = (content.get(key) for key in ("packages", "groups", "defaults"))
    yield from _package_problems(packages if isinstance(packages, list) else [])
    yield from _group_problems(groups if isinstance(groups, list) else [], packages)
    said = defaults if isinstance(defaults, dict) else {}
    yield from _look_problems("defaults", said, {})
    for key, sections in (("packages", packages), ("groups", groups)):
        for index, section in enumerate(sections if isinstance(sections, list) else []):
            if isinstance(section, dict):
                yield from _look_problems(f"{key}[{index}]", section, said)


def _look_problems(place: str, section: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[str]:
    days = section.get("window_days")
    if isinstance(days, list):
        repeated = [day for day, times in Counter(shown(number_in_quotes(d)) for d in days).items() if times > 1]
        for day in repeated:
            yield f"{place}.window_days: {day} stands twice. Keep one"
    colors = section.get("colors")
    if isinstance(colors, dict):
        repeated = [count for count, times in Counter(repr(number_in_quotes(c)) for c in colors).items() if times > 1]
        for count in repeated:
            yield f"{place}.colors: {count} stands twice. Keep one"
    if all(key in section for key in LOGOS):
        yield f"{place}.logo_svg: logo is set too. Keep one"
    named = "logo" in _merge(defaults, section)
    for key in ("logo_color", "logo_size"):
        if key in section and not named:
            yield f"{place}.{key}: has no use without logo. Set `logo:` to a logo's name, or remove it"


def _package_problems(packages: list[object]) -> Iterator[str]:
    first: dict[Selector, int] = {}
    for index, package in enumerate(packages):
        selector = _selector(package.get("name")) if isinstance(package, dict) else None
        if selector in first:
            name, other = package["name"], packages[first[selector]]["name"]  # type: ignore[index]  # both are mappings
            yield (
                f"packages[{index}].name: {name!r} is the same package as packages[{first[selector]}] ({other!r}). "
                "Keep one; for several windows write `window_days: [7, 30]`"
            )
        elif selector:
            first[selector] = index
    entries: dict[Selector, dict[str, Any]] = {s: e for s, n in first.items() if isinstance(e := packages[n], dict)}
    for selector, entry in entries.items():
        yield from _selector_problems(f"packages[{first[selector]}]", entry, selector)
        # What would publish it without its entry. Beside `*`, an entry has a page at least.
        covers = [other for other in entries if other != selector and other.covers(selector)]
        other = max(covers, key=lambda cover: len(cover.stem), default=EVERYTHING)
        if other.is_all:
            continue
        cover = entries[other]
        if {**entry, "name": None} == {**cover, "name": None} and entry["name"] == str(selector):
            yield (
                f"packages[{first[selector]}].name: {entry['name']!r} is selected by packages[{first[other]}] "
                f"({cover['name']!r}) with the same windows and badges. Remove it, or say what is different of it"
            )


def _selector_problems(place: str, package: Mapping[str, Any], selector: Selector) -> Iterator[str]:
    """Find keys that have no meaning for this kind of selector."""
    if "min_downloads" in package and not selector.is_all:
        yield f"{place}.min_downloads: is for '*' only. Remove it: all others are always published"
    if "settle" in package and not selector.is_all:
        yield f"{place}.settle: is for '*' only. Remove it: source.settle_days says when days of others are read again"
    if "links" in package and selector.is_all:
        yield f"{place}.links: '*' has no pages of packages. Remove it"
    days = package.get("window_days")
    if selector.is_all and "all" in (days if isinstance(days, list) else [days]):
        yield f"{place}.window_days: '*' has no window over all days. Write numbers of days"


def _group_problems(groups: list[object], packages: object) -> Iterator[str]:
    known = [_selector(p.get("name")) for p in packages if isinstance(p, dict)] if isinstance(packages, list) else []
    seen: set[Selector] = set()
    for index, group in enumerate(groups):
        if not isinstance(group, dict):
            continue
        named = _selector(group.get("name"))
        if named and named in seen:
            yield f"groups[{index}].name: {group['name']!r} stands twice. Give each group a name of its own"
        seen |= {named} if named else set()
        members = group.get("packages")
        for at, member in enumerate(members if isinstance(members, list) else []):
            selector = _selector(member)
            if selector and not any(k.covers(selector) for k in known if k):
                yield (
                    f"groups[{index}].packages[{at}]: {member!r} is not under packages:, so nobody counts it. "
                    f"Add `- name: {member}` there"
                )


def _selector(text: object) -> Selector | None:
    try:
        return Selector.parse(text) if isinstance(text, str) else None
    except ValueError:
        return None
