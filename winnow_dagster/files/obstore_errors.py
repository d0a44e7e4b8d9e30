"""Errors of obstore, as a StorageError that names the object, the cause and the fix."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from winnow_dagster.core.causes import BUCKETS
from winnow_dagster.files.errors import PreconditionFailedError, StorageError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from winnow_dagster.core.causes import Cause

MAX_WORDS = 300
CAUSES_OF_WORDS = {
    r"NoSuchBucket|ContainerNotFound|ContainerBeingDeleted": "no_bucket",
    r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken": "s3_credentials",
    r"169\.254\.169\.254|169\.254\.170\.2|(?i:credential)": "{scheme}_credentials",
    r"Account must be specified|AuthenticationFailed|AuthorizationFailure|InvalidAuthenticationInfo": "az_credentials",
    r"PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint": "s3_region",
    r"AccessDenied|AuthorizationPermissionMismatch|InsufficientAccountPermissions": "{scheme}_forbidden",
    r"ConditionalRequestConflict": "changed",
    r"status code: (429|5\d\d)": "rate",
    r"HTTP error": "unreachable",
}
"""The service's code, or the client's words, and the cause. The first that matches decides."""


@contextlib.contextmanager
def translating_obstore_errors(place: str, scheme: str) -> Iterator[None]:
    """Turn what obstore raises into a StorageError of `place`. `scheme`: `s3` or `az`."""
    try:
        yield
    except (AlreadyExistsError, PreconditionError):
        raise PreconditionFailedError(
            f"{place}: another process has changed it meanwhile. {BUCKETS['changed'].fix}"
        ) from None
    except (BaseError, FileNotFoundError, PermissionError) as error:
        raise _named(error, place, scheme) from None


def _named(error: Exception, place: str, scheme: str) -> StorageError:
    text = str(error).partition("\n\nDebug source")[0]
    cause = _cause(error, text, scheme)
    if cause is BUCKETS["changed"]:
        return PreconditionFailedError(f"{place}: another process has changed it meanwhile. {cause.fix}")
    kind = UnreachableError if cause.fails_every_query else StorageError
    return kind(f"{place}: {_words(text, cause)}. {cause.fix}")


def _cause(error: Exception, text: str, scheme: str) -> Cause:
    for pattern, name in CAUSES_OF_WORDS.items():
        if re.search(pattern, text):
            return BUCKETS[name.format(scheme=scheme)]
    if isinstance(error, PermissionDeniedError):
        return BUCKETS[f"{scheme}_forbidden"]
    if isinstance(error, UnauthenticatedError):
        return BUCKETS[f"{scheme}_credentials"]
    return BUCKETS["unknown"]


def _words(text: str, cause: Cause) -> str:
    """Return the service's own words, or what went wrong on the way to it."""
    status = re.search(r"status code: (\d+) ([A-Za-z ]+)", text)
    code, message = (re.search(rf"<{tag}>([^<]*)</{tag}>", text) for tag in ("Code", "Message"))
    if cause is BUCKETS["unreachable"]:
        return "cannot be reached"
    if code is None:
        return f"{status[2].strip().lower()} ({status[1]})" if status else " ".join(text.split())[:MAX_WORDS]
    line = " ".join((message[1] if message else "").partition("\nRequestId")[0].split()).rstrip(".")
    return f"{code[1]}: {line}"[:MAX_WORDS] if line else code[1]
