"""What went wrong at Google, in one line that names cause and fix, and whether trying again can mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth

if TYPE_CHECKING:
    from collections.abc import Callable

PASSING_REASONS = frozenset(
    {
        "backendError",
        "badGateway",
        "internalError",
        "jobBackendError",
        "jobInternalError",
        "jobRateLimitExceeded",
        "rateLimitExceeded",
        "serviceUnavailable",
    }
)
PASSING_CODES = frozenset({408, 429, 500, 502, 503, 504})
PASSING_TYPES = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    auth.TransportError,
)

# What each of these says of one query holds for every other: sending more would only fail more.
FIXES_FOR_ALL = {
    "accessDenied": "Give the account the role BigQuery Job User (roles/bigquery.jobUser) in the project that runs the "
    "queries, and BigQuery Data Viewer (roles/bigquery.dataViewer) on a table of your own",
    "billingNotEnabled": "Enable billing for the project, or use a sandbox project within the free tier",
    "notFound": "Correct source.table, source.project or source.location",
    "quotaExceeded": "The free tier or a quota of the project is used up. Wait until it renews, or raise the quota",
}
FIXES_FOR_ONE = {
    "bytesBilledLimitExceeded": "Raise source.maximum_bytes_billed_per_day: it must lie above a whole day of the table",
    "invalidQuery": "Check that source.table has the schema of file_downloads",
    "invalid": "Check source.table and source.location",
    "resourcesExceeded": "Use `strategy: per_package`, or fetch fewer days at once",
    "stopped": "The query was cancelled. Run again",
}


@dataclass
class Tries:
    """Decides for one query whether to try again: a bounded number of times, and not once it was given up."""

    left: int
    given_up: Callable[[], bool]

    def __call__(self, error: BaseException) -> bool:
        """Tell whether `error` may pass by itself and there is a try left; counts the try."""
        if not is_passing(error) or self.given_up():
            return False
        self.left -= 1
        return self.left > 0


def is_passing(error: BaseException) -> bool:
    """Tell whether trying again can mend an error. What BigQuery gives as reason goes before the HTTP code."""
    if isinstance(error, api.GoogleAPICallError):
        reason = reason_of(error)
        # A cap that was hit as the query ran comes with code 500.
        if reason in FIXES_FOR_ALL or reason in FIXES_FOR_ONE:
            return False
        return reason in PASSING_REASONS or error.code in PASSING_CODES
    return isinstance(error, PASSING_TYPES)


def concerns_all(error: BaseException) -> bool:
    """Tell whether what failed for one query fails for all."""
    if isinstance(error, api.GoogleAPICallError):
        return isinstance(error, api.Unauthorized) or reason_of(error) in FIXES_FOR_ALL
    return isinstance(error, auth.GoogleAuthError)


def reason_of(error: api.GoogleAPICallError) -> str:
    """Return what BigQuery calls the reason, such as `accessDenied`; '' where it gives none."""
    first = error.errors[0] if error.errors else {}
    return str(first.get("reason", "")) if isinstance(first, dict) else ""


NO_CREDENTIALS = (
    "there are no usable Google credentials. Set source.credential_file to a service account's key, or "
    "GOOGLE_APPLICATION_CREDENTIALS to its path, or GCP_CREDENTIALS to its content in base64"
)
SENTENCES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (
        auth.RefreshError,
        "Google rejects the credentials. Make a new key for the service account, and check this machine's clock",
    ),
    (PASSING_TYPES, "BigQuery cannot be reached. Check the network and run again"),
    (auth.GoogleAuthError, NO_CREDENTIALS),
    (TimeoutError, "the query took longer than source.deadline_seconds and was cancelled. Run again, or raise it"),
)


def describe(error: BaseException) -> str:
    """Return cause and fix in one line, without secrets, addresses or job ids."""
    if isinstance(error, api.RetryError) and error.cause:
        return describe(error.cause)
    if isinstance(error, api.GoogleAPICallError):
        return _describe_call(error)
    for types, sentence in SENTENCES:
        if isinstance(error, types):
            return sentence
    return str(error).splitlines()[0] or type(error).__name__


def _describe_call(error: api.GoogleAPICallError) -> str:
    reason = reason_of(error)
    first = error.errors[0] if error.errors else {}
    message = str(first.get("message") or error.message).splitlines()[0].rstrip(".")
    if isinstance(error, api.Unauthorized):
        return f"Google rejects the credentials ({message}). Make a new key for the service account"
    fix = {**FIXES_FOR_ALL, **FIXES_FOR_ONE}.get(reason, "Run again later")
    return f"BigQuery says {reason or error.code}: {message}. {fix}"
