"""Where raw counts come from. One interface; each source is a module beside this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from winnow_dagster.sources.parquet import ParquetSource
from winnow_dagster.sources.sample import SampleSource
from winnow_dagster.storage.ledger import ledger_of

if TYPE_CHECKING:
    from pathlib import Path

    from winnow_dagster.settings import SourceSettings
    from winnow_dagster.sources.interface import Source
    from winnow_dagster.storage.places import Place


def open_source(settings: SourceSettings, data_dir: Place, local_dir: Path) -> Source:
    """Return the configured source. Opens no file and no connection: that is for the first request."""
    if settings.kind == "bigquery":
        # Google's libraries take seconds to import, and no other source needs them.
        from winnow_dagster.sources.bigquery import BigQuerySource  # noqa: PLC0415

        return BigQuerySource(settings.bigquery, settings.credential_file, ledger_of(data_dir))
    if settings.kind == "parquet":
        return ParquetSource(settings.paths, local_dir / ".reading-exports")
    return SampleSource()
