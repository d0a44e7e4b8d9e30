"""Orphans: published files that no entry of the config accounts for any more, and their removal.

Only what Winnow published is an orphan: files beside it, and folders without a record, are somebody else's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import parse_name
from winnow_dagster.core.names import EVERYTHING, Selector, selector_of
from winnow_dagster.files.operations import exists, list_names, remove, remove_folder, replace_changed
from winnow_dagster.site.everything import FOLDER as EVERYTHING_FOLDER
from winnow_dagster.site.folder import PAGES
from winnow_dagster.site.history import JSON_NAME
from winnow_dagster.site.record import FILE_NAME, format_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from winnow_dagster.core.names import Group
    from winnow_dagster.core.window import PackageState
    from winnow_dagster.publishing.directory import WebDir


def find_orphans(web: WebDir, windows: Mapping[Selector | Group, Sequence[int]]) -> dict[str, list[str]]:
    """Return, for each folder that has some, the names of its orphans; the record last, which makes the rest known.

    `*` stands for the folders of all packages that only `*` selects.
    `windows`: the lengths of the windows in days of each selector and group that is configured.
    """
    found: dict[str, list[str]] = {}
    for name, state in web.read_all().items():
        configured, look = _configured(name, state, web, windows), web.site.look_of(state.package)
        badges = {file: parse_name(file) for file in sorted(list_names(web.folder / name))}
        orphans = [
            file
            for file, badge in badges.items()
            if badge and (look is None or badge[0] not in look.slugs or badge[1] not in configured)
        ]
        if not configured:
            orphans += [page for page in reversed(PAGES) if exists(web.folder / name / page)]
        if orphans:
            found[name] = orphans
    shards = web.wide.files() if EVERYTHING not in windows else []
    # Of each package: there may be a million.
    if dropped := web.wide.dropped(windows.get(EVERYTHING, ())):
        found[str(EVERYTHING)] = [*dropped, *([JSON_NAME] if shards else [])]
    if shards:
        found[EVERYTHING_FOLDER] = shards
    return found


def count_orphans(web: WebDir, orphans: Mapping[str, Sequence[str]]) -> int:
    """Return how many files are orphans: what is so of `*` is so of each package."""
    many = len(web.wide.names()) if str(EVERYTHING) in orphans else 0
    return sum(len(files) * (many if name == str(EVERYTHING) else 1) for name, files in orphans.items())


def remove_orphans(web: WebDir, orphans: Mapping[str, Sequence[str]]) -> None:
    """Remove orphans, and folders that are empty then; a folder that stays forgets the windows that it has lost."""
    for name, files in orphans.items():
        if name == EVERYTHING_FOLDER:
            web.wide.remove()
            continue
        if name == str(EVERYTHING):
            if EVERYTHING_FOLDER not in orphans:
                web.wide.remove_badges(files)
            continue
        folder, state = web.folder / name, web.read(name)
        if state is not None and FILE_NAME not in files:
            lost = {badge[1] for badge in map(parse_name, files) if badge}
            kept = tuple(window for window in state.former if window.days not in lost)
            # First: what the record names is published again.
            replace_changed(folder, {FILE_NAME: format_record(replace(state, former=kept))})
        for file in files:
            remove(folder / file)
        remove_folder(folder)


def _configured(
    name: str, state: PackageState, web: WebDir, windows: Mapping[Selector | Group, Sequence[int]]
) -> Sequence[int]:
    """Return the lengths of the windows that the config asks for in a folder; none where it asks for no such folder."""
    by_text = {str(which): days for which, days in windows.items()}
    if state.package in by_text and name == state.package:
        return by_text[state.package]
    selector = selector_of(state.package, [which for which in windows if isinstance(which, Selector)])
    is_wanted = name in {state.package, web.spellings.get(state.package)}
    return windows[selector] if selector is not None and is_wanted else ()
