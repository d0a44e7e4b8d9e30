"""Where raw counts come from. One interface; each source is a module beside this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from winnow_dagster.sources.parquet import ParquetSource
from winnow_dagster.sources.sample import SampleSource

if TYPE_CHECKING:
    from winnow_dagster.config import SourceSettings
    from winnow_dagster.sources.interface import Source


def open_source(settings: SourceSettings) -> Source:
    """Return the configured source. Opens no file and no connection: that is for the first request."""
    if settings.kind == "parquet":
        return ParquetSource(settings.path)
    return SampleSource()
