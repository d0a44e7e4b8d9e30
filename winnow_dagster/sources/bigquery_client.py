"""The connection to BigQuery: credentials from where the user keeps them, through dagster-gcp's resource."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from typing import TYPE_CHECKING

from dagster_gcp import BigQueryResource
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from winnow_dagster.sources.bigquery_errors import describe
from winnow_dagster.sources.interface import EXPOSED, SourceError
from winnow_dagster.storage.files import others_can_read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from winnow_dagster.settings import BigQuerySettings

logger = logging.getLogger(__name__)

EMULATOR_VARIABLE = "BIGQUERY_EMULATOR_HOST"
ENCODED_VARIABLE = "GCP_CREDENTIALS"
FILE_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
KEY_TYPES = ("service_account", "authorized_user", "external_account", "impersonated_service_account")
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
    if credential_file:
        _check_key_file(credential_file)
    encoded = None if credential_file else os.environ.get(ENCODED_VARIABLE)
    resource = BigQueryResource(project=project, location=location, gcp_credentials=encoded)
    try:
        with _key_variable(credential_file, encoded), resource.get_client() as client:
            pass  # Made with the credentials of this moment; it needs the variable no more.
    except GoogleAuthError as error:
        raise SourceError(describe(error)) from None
    except (ValueError, AttributeError):
        # The decoder's own words quote what it was given, and that is the key.
        raise SourceError(f"${ENCODED_VARIABLE} is not a key in base64. Set it to `base64 -w0 key.json`") from None
    except OSError:
        raise SourceError("the credentials name no Google Cloud project. Set source.project") from None
    with client:
        yield client


def _check_key_file(path: Path) -> None:
    """Raise SourceError, saying what is wrong with the file and never what is in it; warn if others may read it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if others_can_read(path):
            logger.warning("%s: %s", path, EXPOSED)
    except OSError as error:
        raise SourceError(_say(f"{path}: cannot be read: {error.strerror}")) from None
    except ValueError:
        raise SourceError(_say(f"{path}: is not JSON")) from None
    found = content.get("type") if isinstance(content, dict) else None
    if found not in KEY_TYPES:
        raise SourceError(
            _say(f"{path}: is not a Google credential file, whose `type` is one of {', '.join(KEY_TYPES)}")
        )


def _say(problem: str) -> str:
    return f"{problem}. Set source.credential_file to a service account's key, as downloaded from Google"


@contextlib.contextmanager
def _key_variable(path: Path | None, encoded: str | None) -> Iterator[None]:
    """Set the variable in which Google's library looks for a key file; put back what it was.

    The variable, not the resource's own setting, which would write the key into a temporary file.
    """
    before = os.environ.get(FILE_VARIABLE)
    if path:
        os.environ[FILE_VARIABLE] = str(path)
    elif encoded or not before:
        # dagster-gcp takes no key while the variable is set, even to nothing.
        os.environ.pop(FILE_VARIABLE, None)
    try:
        yield
    finally:
        os.environ.pop(FILE_VARIABLE, None)
        if before is not None:
            os.environ[FILE_VARIABLE] = before
