"""Find the files that `source.path` names, and copies among them. Does not parse Parquet."""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import hashlib
import os
import stat
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from winnow_dagster.sources.interface import SourceError
from winnow_dagster.store.folders import is_stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ENDING = ".parquet"
"""The ending of the files that are read in a folder, in capitals or not."""

HIDDEN = "."
"""The prefix of the names that a wildcard does not match."""

NOT_DATA = (HIDDEN, "_")
"""The prefixes of the temporary files and folders of other tools, such as `_temporary`."""


def find_files(paths: Iterable[str], data_dir: Path | None = None) -> list[str]:
    """Return the files at these absolute paths of files, folders or globs. Follow links; return no file twice.

    Leaves out Winnow's own files in `data_dir`, so that a path such as `.` may have that folder in it.

    Raises SourceError for a folder or file that cannot be read. Also raises it if a path has no file: its disk may not
    be mounted, and missing rows must not count as zero.
    """
    with translating_os_errors():
        found = {path: _find(path, data_dir) for path in paths}
    if empty := [path for path, files in found.items() if not files]:
        raise SourceError(f"source.path: no file at {', '.join(empty)}. Correct the path, or export the files there")
    # A symlink beside its file, such as latest.parquet, must not count the same rows twice.
    files = sorted(set().union(*found.values()))
    return sorted({os.path.realpath(file): str(file) for file in files}.values())


@contextlib.contextmanager
def translating_os_errors() -> Iterator[None]:
    """Turn an OSError of a file or folder into a SourceError with its path and the fix."""
    try:
        yield
    except OSError as error:
        fix = "Let Winnow's user read it, or leave it out of source.path"
        if isinstance(error, FileNotFoundError):
            fix = "Remove it if it is a broken link, or put the file back"
        raise SourceError(f"{error.filename}: cannot be read: {error.strerror or error}. {fix}") from None


def _find(path: str, data_dir: Path | None) -> set[Path]:
    files = {file for match in _expand(Path("/"), Path(path).parts[1:]) for file in _within(match)}
    if data_dir:
        store = Path(os.path.realpath(data_dir))
        files = {file for file in files if not is_stored(Path(os.path.realpath(file)), store)}
    return {file for file in files if stat.S_ISREG(file.stat().st_mode)}


def _expand(base: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Yield the matches of a glob below `base`. An existing name matches itself, even if it contains wildcards.

    Unlike the library's globs, this one raises OSError for a folder that cannot be read, and follows no link twice.
    """
    if not parts:
        yield base
    elif _exists(base / parts[0]):
        yield from _expand(base / parts[0], parts[1:])
    elif parts[0] == "**":
        for folder, _ in _walk(base, HIDDEN):
            yield from _expand(folder, parts[1:])
    elif glob.has_magic(parts[0]) and base.is_dir():
        for name in fnmatch.filter([entry.name for entry in base.iterdir()], parts[0]):
            if not name.startswith(HIDDEN) or parts[0].startswith(HIDDEN):
                yield from _expand(base / name, parts[1:])


def _exists(path: Path) -> bool:
    """Return whether a path exists. Raises OSError if the system does not tell, unlike Path.exists of Python 3.14."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _within(path: Path) -> Iterator[Path]:
    """Yield a file itself, or the Parquet files of a folder and of those below it."""
    if not path.is_dir():
        yield path
        return
    for folder, names in _walk(path, NOT_DATA):
        yield from (folder / name for name in names if name.lower().endswith(ENDING) and not name.startswith(NOT_DATA))


def _walk(top: Path, skipped: str | tuple[str, ...]) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder and those below it, each with the names of its files. Follow links, but visit no folder twice."""
    visited = set[str]()
    for folder, folders, files in os.walk(top, onerror=_raise, followlinks=True):
        place = os.path.realpath(folder)
        folders[:] = [] if place in visited else sorted(name for name in folders if not name.startswith(skipped))
        if place not in visited:
            visited.add(place)
            yield Path(folder), files


def _raise(error: OSError) -> None:
    # A folder that another process has just removed has no files.
    if not isinstance(error, FileNotFoundError):
        raise error


def find_copies(files: Iterable[str]) -> dict[str, str]:
    """Return the files that have the same bytes as an earlier file, each with that file."""
    by_size: dict[int, list[str]] = defaultdict(list)
    for file in files:
        by_size[Path(file).stat().st_size].append(file)
    copies: dict[str, str] = {}
    for alike in by_size.values():
        first_with: dict[bytes, str] = {}
        for file in alike if len(alike) > 1 else ():
            with Path(file).open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").digest()
            if first_with.setdefault(digest, file) != file:
                copies[file] = first_with[digest]
    return copies
