"""Private files and folders: none may lie in `output_dir`, which is served to the world."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from winnow_dagster.credentials import FILE_VARIABLE
from winnow_dagster.settings import HOME_VARIABLE
from winnow_dagster.storage.places import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterator

    from winnow_dagster.settings import Settings
    from winnow_dagster.storage.places import Place


def find_exposed(settings: Settings) -> Iterator[str]:
    """Find private paths that lie in `output_dir`, and an `output_dir` that lies in a private folder."""
    served = settings.output_dir
    if isinstance(served, ObjectPath):
        if isinstance(settings.data_dir, ObjectPath) and settings.data_dir.bucket == served.bucket:
            yield (
                f"service.data_dir: {settings.data_dir} is in the bucket of output_dir, {served}. Public access is "
                "granted per bucket, so all may read it too. Use another bucket"
            )
        return
    resolved = _resolve(served)
    found: list[Path] = []
    for place, what in _private(settings):
        path = _resolve(place) if isinstance(place, Path) else None
        if path and path.is_relative_to(resolved) and not any(path.is_relative_to(other) for other in found):
            found.append(path)
            yield (
                f"service.output_dir: {served} is served to the world and holds {what} ({place}). "
                "Use a directory of its own, such as `public`"
            )
    for place in (settings.store_folder, settings.default_home):
        if isinstance(place, Path) and resolved.is_relative_to(_resolve(place)) and not found:
            yield (
                f"service.output_dir: {served} is served to the world and lies in {place}, where Winnow keeps private "
                "files. Use a directory of its own, such as `public`"
            )


def _private(settings: Settings) -> Iterator[tuple[Place | None, str]]:
    """Yield the private places, each folder before its content."""
    yield settings.data_dir, "data_dir"
    yield settings.store_folder, "the stored days"
    yield settings.local_dir, "the history of runs"
    yield settings.default_home, "the history of runs"
    yield _in_environment(HOME_VARIABLE), f"${HOME_VARIABLE}"
    yield settings.source.credential_file, "credential_file"
    yield _in_environment(FILE_VARIABLE), f"${FILE_VARIABLE}"
    yield settings.config_file, "this config file"


def _in_environment(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(os.path.expanduser(value)) if value else None  # noqa: PTH111 - Path's raises for an unknown user


def _resolve(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve raises for a link that leads to itself
