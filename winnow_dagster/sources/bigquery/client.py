"""The connection to BigQuery: its client, and the metadata of the table."""

from __future__ import annotations

import contextlib
import logging
import os
from datetime import datetime
from typing import TYPE_CHECKING

from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from requests.exceptions import RequestException

from winnow_dagster.credentials import CredentialsError
from winnow_dagster.google_access import Session, find_project, load_credentials, name_account
from winnow_dagster.sources.bigquery.causes import BIGQUERY
from winnow_dagster.sources.bigquery.errors import cause_of, source_error
from winnow_dagster.sources.bigquery.settings import EMULATOR_VARIABLE
from winnow_dagster.sources.interface import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from google.api_core.retry import Retry

    from winnow_dagster.sources.bigquery.settings import BigQuerySettings

logger = logging.getLogger(__name__)

EMULATOR_PROJECT = "winnow"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
TABLES_WITHOUT_DATES = {"VIEW": "a view", "EXTERNAL": "an external table", "MATERIALIZED_VIEW": "a materialized view"}
"""Kinds of tables for which BigQuery does not report when their rows last changed."""


@contextlib.contextmanager
def connect(settings: BigQuerySettings, credential_file: Path | None) -> Iterator[bigquery.Client]:
    """Open a client with `credential_file`, else $GCP_CREDENTIALS (base64), else Google's default credentials.

    With $BIGQUERY_EMULATOR_HOST it needs no credentials. Raises SourceError, which says what is wrong with them.
    """
    project, location = settings.project or None, settings.location or None
    if os.environ.get(EMULATOR_VARIABLE):
        anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
        with bigquery.Client(project or EMULATOR_PROJECT, anonymous, location=location) as client:
            yield client
        return
    try:
        credentials, named = load_credentials(credential_file, SCOPES)
        project = project or named or find_project(credentials)
    except CredentialsError as error:
        raise SourceError(str(error)) from None
    except (GoogleAuthError, RequestException) as error:
        raise source_error(error) from None
    if not project:
        raise SourceError("the credentials name no Google Cloud project. Set source.project")
    session = Session(credentials, settings.parallel)
    with session, bigquery.Client(project, credentials, _http=session, location=location) as client:
        yield client


def identify(settings: BigQuerySettings, credential_file: Path | None) -> str:
    """Return whose credentials these are, and the project that pays. Raises SourceError."""
    if os.environ.get(EMULATOR_VARIABLE):
        return f"none, since ${EMULATOR_VARIABLE} is set"
    with connect(settings, credential_file) as client:
        return f"{name_account(client._credentials)}, paid by project {client.project}"  # noqa: SLF001 - no public name


def look_up_table(client: bigquery.Client, table: str, retry: Retry, timeout: float) -> bigquery.Table | None:
    """Return BigQuery's metadata of a table; None if the account may not read it. Raises SourceError."""
    try:
        return client.get_table(table, retry=retry, timeout=timeout)
    except (GoogleAPIError, GoogleAuthError, RequestException, TimeoutError) as error:
        # An account may run queries without the right to this call. The query itself reports a missing table.
        may_be_asked = cause_of(error) in (BIGQUERY["table_permission"], BIGQUERY["no_table"])
        if isinstance(error, Forbidden | NotFound) and may_be_asked:
            return None
        raise source_error(error) from None


def last_modified(table: bigquery.Table | None) -> datetime | None:
    """Return when somebody last wrote to a table; None if BigQuery does not report it."""
    if table is None:
        return None
    if kind := TABLES_WITHOUT_DATES.get(table.table_type or ""):
        logger.warning(
            "source.table: %s is %s. BigQuery does not report when its rows last changed, so a day may be read before "
            "it is complete. %s",
            table.full_table_id or table.table_id, kind, BIGQUERY["not_a_table"].fix,
        )  # fmt: skip
        return None
    return table.modified if isinstance(table.modified, datetime) else None
