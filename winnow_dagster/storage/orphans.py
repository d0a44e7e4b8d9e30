"""Orphans: published files that no entry of the config accounts for any more, and their removal.

Only what Winnow published is an orphan: files beside it, and folders without a record, are somebody else's.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import window_of
from winnow_dagster.core.names import selector_of
from winnow_dagster.site.record import FILE_NAME, format_record
from winnow_dagster.storage.files import replace_changed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from winnow_dagster.core.names import Selector
    from winnow_dagster.core.window import PackageState
    from winnow_dagster.storage.web import WebDir


def find_orphans(web: WebDir, windows: Mapping[Selector, Sequence[int]]) -> dict[str, list[str]]:
    """Return, for each folder that has some, the names of its orphans; the record last, which makes the rest known.

    `windows`: the lengths of each configured selector's windows in days.
    """
    found: dict[str, list[str]] = {}
    for name, state in web.read_all().items():
        configured = _configured(name, state, web, windows)
        badges = [path.name for path in sorted((web.folder / name).iterdir()) if window_of(path.name)]
        orphans = [badge for badge in badges if window_of(badge) not in configured]
        if not configured:
            orphans.append(FILE_NAME)
        if orphans:
            found[name] = orphans
    return found


def remove_orphans(web: WebDir, orphans: Mapping[str, Sequence[str]]) -> None:
    """Remove orphans, and folders that are empty then; a folder that stays forgets the windows that it has lost."""
    for name, files in orphans.items():
        folder, state = web.folder / name, web.read(name)
        if state is not None and FILE_NAME not in files:
            lost = {window_of(file) for file in files}
            kept = tuple(window for window in state.former if window.days not in lost)
            # First: what the record names is published again.
            replace_changed(folder, {FILE_NAME: format_record(replace(state, former=kept))})
        for file in files:
            (folder / file).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # Not empty: there are files of others in it.
            folder.rmdir()


def _configured(
    name: str, state: PackageState, web: WebDir, windows: Mapping[Selector, Sequence[int]]
) -> Sequence[int]:
    """Return the lengths of the windows that the config asks for in a folder; none where it asks for no such folder."""
    selector = selector_of(state.package, windows)
    is_wanted = name in {state.package, web.spellings.get(state.package)}
    return windows[selector] if selector is not None and is_wanted else ()
