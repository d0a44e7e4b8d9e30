"""Parquet's entry in the table of kinds: its section of the config, and its settings."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from winnow_dagster.core.dimensions import USUAL_BREAKDOWNS
from winnow_dagster.core.escaping import visible
from winnow_dagster.fields import LocalPaths  # noqa: TC001 - pydantic reads it
from winnow_dagster.files.paths import local_path
from winnow_dagster.sources.interface import Kind, SourceError, SourceSection, SourceSettings
from winnow_dagster.sources.parquet.files import find_files
from winnow_dagster.sources.parquet.source import ParquetSource
from winnow_dagster.sources.parquet.survey import find_footer_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from winnow_dagster.sources.interface import SourceContext

MAX_NAMED = 10
"""The maximum number of unusable files that `winnow check` names."""


@dataclass(frozen=True, kw_only=True)
class ParquetSettings(SourceSettings):
    """The absolute paths of files or folders, or globs."""

    kind: ClassVar[str] = "parquet"
    paths: tuple[str, ...] = ()
    written_paths: tuple[str, ...] = ()
    """The paths as the config has them, so that the stored days survive a move of the config's folder."""

    @property
    def variant(self) -> str:
        """The paths as written, sorted."""
        return "\n".join(sorted(self.written_paths))

    def __str__(self) -> str:
        """Return the kind and the paths."""
        return f"{self.kind} {', '.join(self.paths)}".strip()


class ParquetSection(SourceSection):
    """`source:` with `kind: parquet`."""

    location_keys: ClassVar[frozenset[str]] = frozenset({"path"})
    required: ClassVar[Mapping[str, str]] = {
        "path": "Say where the Parquet files are: `path: exports/*.parquet`",
    }

    path: LocalPaths = ()
    """A file, a folder with all folders in it, a glob, or a list of these."""

    def resolve(self, folder: Path) -> ParquetSettings:
        """Return the settings, with absolute paths."""
        return ParquetSettings(
            settle_days=self.settle_days,
            paths=tuple(_resolve_glob(folder, path) for path in self.path),
            written_paths=self.path,
        )


def _resolve_glob(folder: Path, path: str) -> str:
    """Return an absolute glob. Wildcards in the name of `folder` itself are escaped."""
    expanded = str(Path(path).expanduser())
    return os.path.normpath(os.path.join(glob.escape(str(folder)), expanded))  # noqa: PTH118 - a glob is no Path


def _open(settings: ParquetSettings, context: SourceContext) -> ParquetSource:
    return ParquetSource(settings.paths, context.local_dir / ".reading-exports", local_path(context.data_dir))


def _find_problems(settings: ParquetSettings, context: SourceContext) -> list[str]:
    try:
        files = find_files(settings.paths, local_path(context.data_dir))
    except SourceError as error:
        return [str(error)]
    problems = [visible(problem) for problem in map(find_footer_problem, files) if problem]
    more = len(problems) - MAX_NAMED
    rest = [f"source.path: {more} more files cannot be used"] if more > 0 else []
    return problems[:MAX_NAMED] + rest


def _find_unusable(settings: ParquetSettings, context: SourceContext) -> list[str]:
    return _open(settings, context).find_unusable()


PARQUET = Kind(
    name=ParquetSettings.kind,
    section=ParquetSection,
    open=_open,
    summary="your own files in the schema of BigQuery's file_downloads",
    usual_breakdowns=USUAL_BREAKDOWNS,
    problems=_find_problems,
    find_unusable=_find_unusable,
)
