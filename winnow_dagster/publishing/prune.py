"""Find and remove orphans: published files that no entry of the config asks for any more.

Only files that Winnow published are orphans. Other files, and folders without a record, belong to somebody else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import SLUGS, Badge, parse_file_name, split_slug
from winnow_dagster.core.dimensions import FORMER_DIMENSIONS, OPEN_DIMENSIONS
from winnow_dagster.core.names import EVERYTHING, Selector, selector_of
from winnow_dagster.files.operations import exists, list_names, remove, remove_folder, replace_changed
from winnow_dagster.site.all_packages import HEADLINE_STYLE, SHARDS_FOLDER
from winnow_dagster.site.breakdown_days import csv_name
from winnow_dagster.site.breakdown_files import JSON_NAME as BREAKDOWNS_NAME
from winnow_dagster.site.breakdown_files import format_breakdowns
from winnow_dagster.site.folder import FILES_BESIDE_BADGES
from winnow_dagster.site.history import JSON_NAME
from winnow_dagster.site.record import RECORD_NAME, format_record

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from winnow_dagster.core.badge import BadgeStyle
    from winnow_dagster.core.names import Group
    from winnow_dagster.core.window import PackageState
    from winnow_dagster.publishing.all_packages import AllPackagesDir
    from winnow_dagster.publishing.directory import WebDir


def find_orphans(web: WebDir, windows: Mapping[Selector | Group, Sequence[int]]) -> dict[str, list[str]]:
    """Return the names of the orphans by folder. A record comes last, since it identifies the other files.

    The key `*` stands for the folders of all packages that only `*` selects. `windows`: the lengths of the windows in
    days of each configured selector and group.
    """
    found: dict[str, list[str]] = {}
    for name, state in web.read_all().items():
        configured, style = _configured(name, state, web, windows), web.site.style_of(state.package)
        badges = {file: parse_file_name(file) for file in sorted(list_names(web.folder / name))}
        dimensions = set(web.site.dimensions_of(state.package)) if configured else set()
        orphans = [
            file
            for file, badge in badges.items()
            if badge and not (_is_wanted(badge, style, configured) and _is_known(badge[0], dimensions))
        ]
        orphans += [file for file in _breakdown_orphans(dimensions) if file in badges]
        if not configured:
            orphans += [page for page in reversed(FILES_BESIDE_BADGES) if exists(web.folder / name / page)]
        if orphans:
            found[name] = orphans
    return found | _find_orphans_of_all(web.all_packages, windows.get(EVERYTHING, ()))


def _is_known(slug: str, dimensions: Collection[str]) -> bool:
    """Return whether a badge shows no breakdown, or a breakdown by one of these dimensions."""
    parts = None if slug in SLUGS else split_slug(slug)
    return parts is None or parts[0] in dimensions


def _breakdown_orphans(wanted: Collection[str]) -> list[str]:
    """Return the files of breakdowns by dimensions that are not wanted."""
    files = [csv_name(name) for name in (*OPEN_DIMENSIONS, *FORMER_DIMENSIONS) if name not in wanted]
    return files if wanted else [*files, BREAKDOWNS_NAME]


def _find_orphans_of_all(web: AllPackagesDir, configured: Sequence[int]) -> dict[str, list[str]]:
    """Return the orphans that each package of `*` has, and the shards' files if `*` is not configured."""
    summary = web.summary()
    if summary is None:
        return {}
    style = web.site.styles.get(str(EVERYTHING), HEADLINE_STYLE)
    badges = [Badge(slug, days, {}) for days in summary.as_of for slug in summary.style.slugs]
    former = [badge for badge in badges if not _is_wanted((badge.slug, badge.days), style, configured)]
    orphans = [name for badge in former for name in (badge.file_name, badge.picture_name)]
    if configured:
        return {str(EVERYTHING): orphans} if orphans else {}
    return {str(EVERYTHING): [*orphans, JSON_NAME], SHARDS_FOLDER: web.files()}


def _is_wanted(badge: tuple[str, int], style: BadgeStyle | None, windows: Collection[int]) -> bool:
    """Return whether the config asks for a badge. `badge`: its slug and its window's length."""
    slug, days = badge
    return style is not None and slug in style.slugs and days in windows


def count_orphans(web: WebDir, orphans: Mapping[str, Sequence[str]]) -> int:
    """Return the number of orphans. The key `*` counts once for each of its packages."""
    packages = len(web.all_packages.names()) if str(EVERYTHING) in orphans else 0
    return sum(len(files) * (packages if name == str(EVERYTHING) else 1) for name, files in orphans.items())


def remove_orphans(web: WebDir, orphans: Mapping[str, Sequence[str]]) -> None:
    """Remove orphans, then empty folders. Remove the windows of removed badges from the remaining records."""
    for name, files in orphans.items():
        if name == SHARDS_FOLDER:
            web.all_packages.remove()
        elif name == str(EVERYTHING):
            if SHARDS_FOLDER not in orphans:
                _remove_badges_of_all(web.all_packages, files)
        else:
            _remove_files(web, name, files)


def _remove_files(web: WebDir, name: str, files: Sequence[str]) -> None:
    folder, state = web.folder / name, web.read(name)
    if state is not None and RECORD_NAME not in files:
        lost = {badge[1] for badge in map(parse_file_name, files) if badge}
        kept = tuple(window for window in state.former if window.days not in lost)
        # The record first: Winnow renews every badge that the record names.
        replace_changed(folder, {RECORD_NAME: format_record(replace(state, former=kept))})
        if exists(folder / BREAKDOWNS_NAME):
            stems = {Badge(*badge, {}).stem for badge in map(parse_file_name, files) if badge}
            dimensions = [dimension for dimension in OPEN_DIMENSIONS if csv_name(dimension) in files]
            left = web.read_breakdowns(name).without(dimensions, stems)
            replace_changed(folder, {BREAKDOWNS_NAME: format_breakdowns(state.package, left)})
    for file in files:
        remove(folder / file)
    remove_folder(folder)


def _remove_badges_of_all(web: AllPackagesDir, names: Collection[str]) -> None:
    """Remove these badges of each package, and from the shards the windows without a badge."""
    summary = web.summary()
    if summary is None:
        return
    gone = set(filter(None, map(parse_file_name, names)))
    left = {days: [slug for slug in summary.style.slugs if (slug, days) not in gone] for days in summary.as_of}
    lost = {days for days, slugs in left.items() if not slugs}
    slugs = [slug for slug in summary.style.slugs if any(slug in kept for kept in left.values())]
    # The files first: after an interruption, the next prune finds the rest by the windows in the shards.
    for package in sorted(web.names()):
        for name in names:
            remove(web.package_folder(package) / name)
    for key in summary.shards:
        if shard := web.shard(key):
            web.write_shard(key, shard.without(lost))
    web.write_summary(summary.without(lost, slugs))


def _configured(
    name: str, state: PackageState, web: WebDir, windows: Mapping[Selector | Group, Sequence[int]]
) -> Sequence[int]:
    """Return the lengths of the windows that the config wants in a folder; empty if it does not want the folder."""
    by_text = {str(which): days for which, days in windows.items()}
    if state.package in by_text and name == state.package:
        return by_text[state.package]
    selector = selector_of(state.package, [which for which in windows if isinstance(which, Selector)])
    is_wanted = name in {state.package, web.spellings.get(state.package)}
    return windows[selector] if selector is not None and is_wanted else ()
