"""Find private files and folders in `output_dir`, which web servers publish."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from winnow_dagster.config.settings import HOME_VARIABLE, IDS_FOLDER, INSTANCE_FILE
from winnow_dagster.credentials import FILE_VARIABLE
from winnow_dagster.files.paths import bucket_of, local_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from winnow_dagster.config.settings import Settings
    from winnow_dagster.files.paths import StorePath

DAGSTER_FOLDERS = ("history", "schedules", "storage", "logs")
"""What Dagster makes in $DAGSTER_HOME, or in a `base_dir` of dagster.yaml."""


def find_exposed(settings: Settings) -> Iterator[str]:
    """Find private paths that lie in `output_dir`, and an `output_dir` that lies in a private folder."""
    served = local_path(settings.output_dir)
    if served is None:
        if bucket_of(settings.data_dir) == bucket_of(settings.output_dir):
            yield (
                f"service.data_dir: {settings.data_dir} is in the bucket of output_dir, {settings.output_dir}. "
                "Public access is granted per bucket, so all may read it too. Use another bucket"
            )
        return
    found: list[Path] = []
    for place, what in _private(settings):
        local = local_path(place) if place else None
        path = _resolve(local) if local else None
        is_served = local is not None and any(_is_within(step, served) for step in _steps(local))
        if path and is_served and not any(path.is_relative_to(other) for other in found):
            found.append(path)
            yield (
                f"service.output_dir: {served} is served to the world and holds {what} ({place}). "
                "Use a directory of its own, such as `public`"
            )
    for place in _private_throughout(settings):
        if _is_within(_resolve(served), place) and not found:
            yield (
                f"service.output_dir: {served} is served to the world and lies in {place}, where Winnow or Dagster "
                "keeps private files. Use a directory of its own, such as `public`"
            )
            return


def _private(settings: Settings) -> Iterator[tuple[StorePath | None, str]]:
    """Yield private paths with a description, each folder before the paths in it."""
    yield settings.data_dir, "data_dir"
    yield settings.store_folder, "the stored days"
    yield settings.local_dir, "the history of runs"
    yield settings.default_home, "the history of runs"
    yield _in_environment(HOME_VARIABLE), f"${HOME_VARIABLE}"
    for folder in _instance_folders(settings):
        yield folder, "the history of runs"
    yield settings.credential_file, "credential_file"
    yield _in_environment(FILE_VARIABLE), f"${FILE_VARIABLE}"
    yield settings.config_file, "this config file"


def _private_throughout(settings: Settings) -> Iterator[Path]:
    """Yield the folders in which everything is private. `output_dir` may not lie in them."""
    places = [settings.store_folder, settings.data_dir / IDS_FOLDER, settings.default_home]
    yield from filter(None, map(local_path, places))
    for home in (_in_environment(HOME_VARIABLE), *_instance_folders(settings)):
        if home:
            yield from (home / name for name in DAGSTER_FOLDERS)


def _instance_folders(settings: Settings) -> Iterator[Path]:
    """Yield the folders that dagster.yaml names. Skips a file that is not valid: winnow_dagster.instance reports it."""
    home = _in_environment(HOME_VARIABLE) or settings.folder
    with suppress(OSError, ValueError, yaml.YAMLError):
        left = [yaml.safe_load((home / INSTANCE_FILE).read_text(encoding="utf-8"))]
        while left:
            content = left.pop()
            if isinstance(content, dict):
                left.extend(content.values())
                if isinstance(folder := content.get("base_dir"), str):
                    yield settings.folder / folder


def _in_environment(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(os.path.expanduser(value)) if value else None  # noqa: PTH111 - Path's raises for an unknown user


def _resolve(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve raises for a link that leads to itself


def _steps(path: Path) -> Iterator[Path]:
    """Yield the resolved path, and each link on the way to it. Web servers follow links in the served folder."""
    yield _resolve(path)
    left, known = [path.absolute()], set[Path]()
    while left:
        path = left.pop()
        for part in (*reversed(path.parents), path):
            place = _resolve(part.parent) / part.name
            if place not in known and place.is_symlink():
                known.add(place)
                yield place
                left.append(place.parent / place.readlink())


def _is_within(path: Path, folder: Path) -> bool:
    """Return whether a resolved path is in a folder. Ignores case, as some file systems do."""
    inner, outer = str(path).casefold(), str(_resolve(folder)).casefold()
    return Path(inner).is_relative_to(outer)
