"""What is published, of the config: `packages:`, `groups:`, and the `defaults:` of both."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError

from winnow_dagster.config.settings import GroupSettings, PackageSettings
from winnow_dagster.config.style import StyleSection, find_repeated, find_same_labels, resolve_style
from winnow_dagster.core.badge import HEADLINE
from winnow_dagster.core.dimensions import BREAKDOWNS, KERNEL, PYTHON, in_order
from winnow_dagster.core.names import EVERYTHING, Group, Selector, normalise
from winnow_dagster.fields import Flag, GroupName, Https, Section, SelectorText, Whole, one_or_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from winnow_dagster.sources.interface import Kind

S = TypeVar("S", bound=StyleSection)

if TYPE_CHECKING:
    Breakdowns = list[str]
else:
    Breakdowns = Annotated[list[Literal[BREAKDOWNS]], BeforeValidator(one_or_list)]


class DefaultsSection(StyleSection):
    """`defaults:`."""

    breakdowns: Breakdowns | None = None
    """As in an entry of `packages`. By default `[python, version]` if the source is free, else none."""

    estimate_unsaid_ci: Flag | None = None
    """As in an entry of `packages`. By default false."""


class LinksSection(Section):
    """`links:`."""

    repository: Https
    """The address of the source code, with https."""


class PackageSection(StyleSection):
    """An entry of `packages:`."""

    breakdowns: Breakdowns | None = None
    """By what Winnow breaks the downloads down on the page and in files. Each costs bytes if the source bills them."""

    estimate_unsaid_ci: Flag | None = None
    """Whether the page estimates how many installs were CI jobs that did not say so. It costs bytes if billed."""

    name: SelectorText
    """A name on PyPI; `name-*` for every package whose name starts with `name-`; or `"*"` for every package on PyPI."""

    min_downloads: Annotated[Whole, Field(ge=0)] | None = None
    """For `"*"` only: Winnow publishes packages with at least this many honest downloads over the headline's window."""

    settle: Flag | None = None
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
    """Resolve a valid entry of `packages:`."""
    selector = Selector.parse(section.name)
    said = [section.breakdowns, *([] if selector.is_all else [defaults.breakdowns, kind.usual_breakdowns]), []]
    estimates = [section.estimate_unsaid_ci, *([] if selector.is_all else [defaults.estimate_unsaid_ci])]
    # A source without kernels has no estimate. Its remarks say so.
    has_estimate = next((e for e in estimates if e is not None), False) and KERNEL.name in kind.open_dimensions
    named = next(names for names in said if names is not None)
    breakdowns = in_order([*named, *([KERNEL.name] if has_estimate else [])])
    days, style = resolve_style(section, defaults, breakdowns)
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
    """Resolve a valid entry of `groups:`."""
    # Its members say whether it is broken down by Python. If not, it has no badge of that.
    days, style = resolve_style(section, defaults, [PYTHON.name])
    group = Group(normalise(section.name), tuple(map(Selector.parse, section.packages)))
    return GroupSettings(group, days, style, section.links.repository if section.links else "")


def find_problems(content: Mapping[str, Any]) -> Iterator[str]:
    """Find what is wrong between keys of these sections, in a file that may have wrong values too."""
    packages, groups, defaults = (content.get(key) for key in ("packages", "groups", "defaults"))
    yield from _package_problems(packages if isinstance(packages, list) else [])
    yield from _group_problems(groups if isinstance(groups, list) else [], packages)
    sections = {"defaults": defaults, **_entries("packages", packages), **_entries("groups", groups)}
    for place, section in sections.items():
        if isinstance(section, dict):
            yield from find_repeated(place, section)


def find_label_problems(content: Mapping[str, Any], kind: Kind) -> Iterator[str]:
    """Find badges of one package that would have the same label. Skips sections with wrong values."""
    defaults = _validated(DefaultsSection, content.get("defaults", {}))
    if defaults is None:
        return
    is_told = False
    entries = {**_entries("packages", content.get("packages")), **_entries("groups", content.get("groups"))}
    for place, entry in entries.items():
        settings: PackageSettings | GroupSettings | None = None
        if package := _validated(PackageSection, entry):
            settings = resolve_package(package, defaults, kind)
        elif group := _validated(GroupSection, entry):
            settings = resolve_group(group, defaults)
        problem = find_same_labels(settings.window_days, settings.style) if settings else None
        if problem and "label" in entry:
            yield f"{place}.label: {problem}"
        elif problem and not is_told:
            # One sentence for all packages.
            is_told = True
            yield f"defaults.label: in {place}, {problem}"


def _entries(key: str, entries: object) -> dict[str, Any]:
    """Return the entries of a list by their places, such as `packages[2]`."""
    return {f"{key}[{index}]": entry for index, entry in enumerate(entries if isinstance(entries, list) else [])}


def _validated(model: type[S], section: object) -> S | None:
    try:
        return model.model_validate(section)
    except ValidationError:
        return None


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
        yield f"{place}.settle: is for '*' only. Remove it: source.settle_days says when other days are re-read"
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
                    f"groups[{index}].packages[{at}]: {member!r} is not under packages:, so Winnow does not count it. "
                    f"Add `- name: {member}` there"
                )


def _selector(text: object) -> Selector | None:
    try:
        return Selector.parse(text) if isinstance(text, str) else None
    except ValueError:
        return None
