"""BigQuery's entry in the table of kinds. Imports Google's libraries only when it opens the source."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from winnow_dagster.core.reader_query import ReaderQuery
from winnow_dagster.sources.bigquery.costs import BigQueryCosts
from winnow_dagster.sources.bigquery.query import inlined_queries
from winnow_dagster.sources.bigquery.settings import EMULATOR_VARIABLE, PUBLIC_TABLE, BigQuerySection, BigQuerySettings
from winnow_dagster.sources.interface import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from winnow_dagster.core.names import Selector
    from winnow_dagster.sources.interface import Source, SourceContext


def _open(settings: BigQuerySettings, context: SourceContext) -> Source:
    # Google's libraries take seconds to import, and no other source needs them.
    from winnow_dagster.sources.bigquery.source import open_bigquery  # noqa: PLC0415

    return open_bigquery(settings, context)


def _identify(settings: BigQuerySettings, context: SourceContext) -> str:
    from winnow_dagster.sources.bigquery.client import identify  # noqa: PLC0415 - as above

    return identify(settings, context.credential_file)


def _address(settings: BigQuerySettings) -> str:
    del settings
    return os.environ.get(EMULATOR_VARIABLE, "https://bigquery.googleapis.com")


def _query_for_readers(selectors: Sequence[Selector], first: date, last: date) -> str:
    # Readers have access to the public table, but perhaps not to the table of the config.
    return inlined_queries(selectors, first, last, PUBLIC_TABLE)


BIGQUERY = Kind(
    name=BigQuerySettings.kind,
    section=BigQuerySection,
    open=_open,
    summary="PyPI's log in BigQuery; needs a key, free up to 1 TiB a month",
    costs=BigQueryCosts,
    # A pool of its own: a run may keep its slot for hours, and must not block other teams' runs.
    pool="winnow_bigquery",
    identify=_identify,
    address=_address,
    needs_google=True,
    reader_query=ReaderQuery(PUBLIC_TABLE, "In BigQuery, with an account of your own", _query_for_readers),
)
