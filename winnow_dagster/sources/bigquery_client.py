"""The connection to BigQuery: credentials from where the user keeps them, through dagster-gcp's resource."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from dagster_gcp import BigQueryResource
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from winnow_dagster.credentials import ENCODED_VARIABLE, NOT_BASE64, CredentialsError, key_in_environment
from winnow_dagster.sources.bigquery_errors import describe
from winnow_dagster.sources.interface import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from winnow_dagster.settings import BigQuerySettings

EMULATOR_VARIABLE = "BIGQUERY_EMULATOR_HOST"
EMULATOR_PROJECT = "winnow"


@contextlib.contextmanager
def connect(settings: BigQuerySettings, credential_file: Path | None) -> Iterator[bigquery.Client]:
    """Open a client: from `credential_file`, else $GCP_CREDENTIALS (base64), else the usual Google environment.

    With $BIGQUERY_EMULATOR_HOST it needs no credentials. Raises SourceError that names what is wrong with them.
    """
    project, location = settings.project or None, settings.location or None
    if os.environ.get(EMULATOR_VARIABLE):
        anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
        with bigquery.Client(project or EMULATOR_PROJECT, anonymous, location=location) as client:
            yield client
        return
    encoded = None if credential_file else os.environ.get(ENCODED_VARIABLE)
    resource = BigQueryResource(project=project, location=location, gcp_credentials=encoded)
    try:
        with key_in_environment(credential_file), resource.get_client() as client:
            pass  # Made with the credentials of this moment; it needs the variable no more.
    except CredentialsError as error:
        raise SourceError(str(error)) from None
    except GoogleAuthError as error:
        raise SourceError(describe(error)) from None
    except (ValueError, AttributeError):
        # The decoder's own words quote what it was given, and that is the key.
        raise SourceError(NOT_BASE64) from None
    except OSError:
        raise SourceError("the credentials name no Google Cloud project. Set source.project") from None
    with client:
        yield client
