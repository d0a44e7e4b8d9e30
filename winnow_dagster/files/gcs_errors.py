"""Errors of Google's bucket client, as a StorageError that names the object, the cause and the fix."""

from __future__ import annotations

import contextlib
import re
from http import HTTPStatus
from typing import TYPE_CHECKING

import requests
from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound, RetryError, Unauthorized
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud.storage.exceptions import DataCorruption

from winnow_dagster.core.causes import BUCKETS
from winnow_dagster.core.escaping import shorten
from winnow_dagster.credentials import CredentialsError
from winnow_dagster.files.errors import PreconditionFailedError, StorageError, UnreachableError
from winnow_dagster.google_access import AccessError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from winnow_dagster.core.causes import Cause

CAUSES_OF_REASONS = {
    "accountDisabled": "billing",
    "insufficientPermissions": "scopes",
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": "scopes",
    "UserProjectMissing": "requester_pays",
    "retentionPolicyNotMet": "retention",
    "objectUnderActiveHold": "retention",
}
CAUSES_OF_WORDS = {
    r"requester pays": "requester_pays",
    r"retention policy|object retention|under active .* hold": "retention",
    r"billing account .* is (disabled|closed)|billing .* not enabled": "billing",
    r"insufficient authentication scopes|scope\(s\) are not authorized": "scopes",
}
"""Google gives `forbidden` or `required` as reason for many causes. These words distinguish them."""


@contextlib.contextmanager
def translating_gcs_errors(place: str) -> Iterator[None]:
    """Turn what Google's client raises into a StorageError of `place`; NotFound of an object is the caller's."""
    try:
        yield
    except GoogleAPICallError as error:
        raise _named(error, place) from None
    except DataCorruption:
        raise StorageError(f"{place}: it was damaged on its way. Run again") from None
    except (CredentialsError, AccessError) as error:
        raise UnreachableError(f"{place}: {error}") from None
    except (RetryError, requests.RequestException, GoogleAuthError) as error:
        cause = error.cause if isinstance(error, RetryError) else error
        if isinstance(cause, GoogleAPICallError):
            raise _named(cause, place) from None
        if isinstance(cause, GoogleAuthError) and not isinstance(cause, TransportError):
            raise UnreachableError(
                f"{place}: there are no usable credentials ({type(cause).__name__}). {BUCKETS['unauthorized'].fix}"
            ) from None
        raise UnreachableError(
            f"{place}: cannot be reached ({type(cause).__name__}). {BUCKETS['unreachable'].fix}"
        ) from None


def _named(error: GoogleAPICallError, place: str) -> StorageError:
    reasons, words = _told(error)
    cause = _cause(error, reasons, words)
    if cause is BUCKETS["changed"]:
        return PreconditionFailedError(f"{place}: another process has changed it meanwhile. {cause.fix}")
    what = f"{HTTPStatus(error.code or 500).phrase.lower()} ({error.code})" + (f": {words}" if words else "")
    kind = UnreachableError if cause.fails_every_query else StorageError
    return kind(f"{place}: {what}. {cause.fix}")


def _cause(error: GoogleAPICallError, reasons: list[str], words: str) -> Cause:
    if error.code == HTTPStatus.PRECONDITION_FAILED:
        return BUCKETS["changed"]
    names = [CAUSES_OF_REASONS[reason] for reason in reasons if reason in CAUSES_OF_REASONS]
    names += [name for pattern, name in CAUSES_OF_WORDS.items() if re.search(pattern, words, re.IGNORECASE)]
    of_codes: dict[type[GoogleAPICallError], str] = {
        NotFound: "no_bucket",
        Forbidden: "forbidden",
        Unauthorized: "unauthorized",
    }
    is_transient = error.code is not None and (
        error.code >= HTTPStatus.INTERNAL_SERVER_ERROR
        or error.code in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT)
    )
    return BUCKETS[names[0] if names else of_codes.get(type(error), "rate" if is_transient else "unknown")]


def _told(error: GoogleAPICallError) -> tuple[list[str], str]:
    """Return Google's reasons and words. For an upload the client passes on only the answer."""
    try:
        refusal = error.response.json()["error"]
        reasons = [str(each.get("reason", "")) for each in (*refusal.get("errors", ()), *refusal.get("details", ()))]
        line = shorten(str(refusal.get("message", "")).rstrip(". \n"))
    except (ValueError, LookupError, TypeError, AttributeError):
        return [], ""
    return reasons, line
