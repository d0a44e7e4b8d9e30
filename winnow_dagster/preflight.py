"""Check that a config works on this machine before Winnow reads anything: keys, directories, files."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from winnow_dagster.credentials import (
    EXPOSED,
    CredentialsError,
    encoded_key,
    find_key_file,
    others_can_read,
    parse_key_file,
)
from winnow_dagster.files.errors import StorageError, to_storage_error
from winnow_dagster.files.operations import make_writable
from winnow_dagster.files.paths import local_path
from winnow_dagster.sources.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from winnow_dagster.config.settings import Settings
    from winnow_dagster.files.paths import StorePath


def find_problems(settings: Settings) -> list[str]:
    """Return the problems, one line each. Tests a bucket by writing and removing an object."""
    source = settings.source
    of_source = KINDS[source.kind].problems(source, settings.source_context)
    return [*find_credential_problems(settings), *_directories(settings), *of_source]


def needs_google(settings: Settings) -> bool:
    """Return whether the source or a directory needs Google credentials."""
    folders = (settings.output_dir, settings.data_dir)
    return KINDS[settings.source.kind].needs_google or any(str(folder).startswith("gs://") for folder in folders)


def key_file(settings: Settings) -> Path | None:
    """Return the file with the key that Winnow will use, if any."""
    return find_key_file(settings.credential_file) if needs_google(settings) else settings.credential_file


def find_credential_problems(settings: Settings) -> Iterator[str]:
    """Yield what is wrong with the key that Winnow will use."""
    try:
        if path := key_file(settings):
            parse_key_file(path)
        elif needs_google(settings):
            encoded_key()
    except CredentialsError as error:
        yield str(error)


def find_warnings(settings: Settings) -> list[str]:
    """Return what the user should know about a config that can be used, one line each."""
    found, key, variable = [], key_file(settings), settings.alerts_webhook_env
    if key and key.exists() and others_can_read(key):
        found.append(f"{key}: {EXPOSED}")
    # No problem: the process that sends alerts may have another environment.
    if variable and not os.environ.get(variable):
        found.append(f"alerts.webhook_env: ${variable} is not set here. Set it where Dagster or `winnow collect` runs")
    return found


def _directories(settings: Settings) -> Iterator[str]:
    for folder in dict.fromkeys((settings.output_dir, settings.data_dir)):
        try:
            check_writable(folder)
        except StorageError as error:
            yield str(error)


def nearest_existing(folder: Path) -> Path:
    """Return a folder, or the nearest folder above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists() or path.is_symlink())


def check_writable(place: StorePath) -> None:
    """Raise StorageError unless a folder can be written or created. Creates none on a disk."""
    folder = local_path(place)
    if folder is None:
        make_writable(place)
        return
    existing = nearest_existing(folder)
    if not existing.is_dir():
        raise to_storage_error(NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)), existing)
    if not os.access(existing, os.W_OK | os.X_OK):
        # Root may write wherever modes forbid it, but not on a file system that is read-only.
        code = errno.EROFS if os.statvfs(existing).f_flag & os.ST_RDONLY else errno.EACCES
        raise to_storage_error(OSError(code, os.strerror(code)), existing)
