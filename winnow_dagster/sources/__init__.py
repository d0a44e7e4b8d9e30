"""Where raw counts come from. One interface; each source is a module beside this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from winnow_dagster.sources.bigquery.budget import Configured
from winnow_dagster.sources.parquet.source import ParquetSource
from winnow_dagster.sources.sample import SampleSource
from winnow_dagster.store.ledger import ledger_of

if TYPE_CHECKING:
    from winnow_dagster.config.settings import Settings
    from winnow_dagster.sources.interface import Source


def open_source(settings: Settings) -> Source:
    """Return the configured source. Opens no file and no connection: that is for the first request."""
    source = settings.source
    if source.kind == "bigquery":
        # Google's libraries take seconds to import, and no other source needs them.
        from winnow_dagster.sources.bigquery.source import BigQuerySource  # noqa: PLC0415

        settling = frozenset(p.selector for p in settings.packages if p.settle and source.settle_days)
        configured = Configured(settings.longest_windows, settling)
        ledger = ledger_of(settings.data_dir)
        return BigQuerySource(source.bigquery, source.credential_file, ledger, configured=configured)
    if source.kind == "parquet":
        return ParquetSource(source.paths, settings.local_dir / ".reading-exports")
    return SampleSource()
