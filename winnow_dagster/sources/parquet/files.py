"""Find the files that `source.path` names, and copies among them. Does not parse Parquet."""

from __future__ import annotations

import glob
import hashlib
import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from winnow_dagster.sources.interface import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ENDING = ".parquet"
"""The ending of the files that are read in a folder."""

NOT_DATA = (".", "_")
"""The prefixes of the temporary files and folders of other tools, such as `_temporary`."""


def find_files(paths: Iterable[str]) -> list[str]:
    """Return the files at these absolute paths of files, folders or globs. Follow links; return no file twice.

    Raises SourceError if a path has no file: its disk may not be mounted, and missing rows must not count as zero.
    """
    found = {path: _find(path) for path in paths}
    if empty := [path for path, files in found.items() if not files]:
        raise SourceError(f"source.path: no file at {', '.join(empty)}. Correct the path, or export the files there")
    # A symlink beside its file, such as latest.parquet, must not count the same rows twice.
    files = sorted(set().union(*found.values()))
    return sorted({os.path.realpath(file): str(file) for file in files}.values())


def _find(path: str) -> set[Path]:
    return {file for match in _expand(Path("/"), Path(path).parts[1:]) for file in _within(match)}


def _expand(base: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Yield the matches of a glob below `base`. An existing name matches itself, even if it contains wildcards."""
    if not parts:
        yield base
    elif (base / parts[0]).exists():
        yield from _expand(base / parts[0], parts[1:])
    elif "**" in parts[0]:
        for match in glob.iglob(os.path.join(*parts), root_dir=base, recursive=True):  # noqa: PTH118, PTH207 - a glob
            yield base / match
    else:
        for match in glob.iglob(parts[0], root_dir=base):  # noqa: PTH207 - pathlib's glob matches hidden files too
            yield from _expand(base / match, parts[1:])


def _within(path: Path) -> Iterator[Path]:
    """Yield a file itself, or the Parquet files of a folder and of those below it."""
    if path.is_file():
        yield path
    for folder, folders, files in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(NOT_DATA)]
        yield from (Path(folder, name) for name in files if name.endswith(ENDING) and not name.startswith(NOT_DATA))


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
