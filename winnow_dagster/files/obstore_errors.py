"""Errors of obstore, as a StorageError that names the object, the cause and the fix."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, NamedTuple

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from winnow_dagster.core.causes import BUCKETS
from winnow_dagster.core.escaping import shorten
from winnow_dagster.files.errors import PreconditionFailedError, StorageError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from winnow_dagster.core.causes import Cause

CAUSES_OF_WORDS = {
    r"NoSuchBucket|ContainerNotFound|ContainerBeingDeleted": "no_bucket",
    r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken": "s3_credentials",
    r"169\.254\.169\.254|169\.254\.170\.2|(?i:credential)": "{scheme}_credentials",
    r"Account must be specified|AuthenticationFailed|AuthorizationFailure|InvalidAuthenticationInfo": "az_credentials",
    r"PermanentRedirect|redirect without LOCATION|AuthorizationHeaderMalformed|IllegalLocationConstraint": "s3_region",
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


def is_transient(error: Exception, scheme: str) -> bool:
    """Return whether the same request may succeed a moment later."""
    return _cause(error, _Answer.parse(error), scheme).is_transient


class _Answer(NamedTuple):
    """What obstore says of a request, without the key: a package may be called `credentials`."""

    status: str
    code: str
    message: str
    words: str

    @classmethod
    def parse(cls, error: Exception) -> _Answer:
        text = str(error).partition("\n\nDebug source")[0]
        request = re.search(r"Error performing [A-Z]+ (?:https?://([^/\s]+)\S*|\S+) .*? - (.*)", text, re.DOTALL)
        words = f"{request[1] or ''} {request[2]}" if request else text
        status = re.search(r"status code: (\d+ [A-Za-z' ]+)", words)
        code, message = (re.search(rf"<{tag}>([^<]*)</{tag}>", words) for tag in ("Code", "Message"))
        return cls(status[1] if status else "", code[1] if code else "", message[1] if message else "", words)


def _named(error: Exception, place: str, scheme: str) -> StorageError:
    answer = _Answer.parse(error)
    cause = _cause(error, answer, scheme)
    if cause is BUCKETS["changed"]:
        return PreconditionFailedError(f"{place}: another process has changed it meanwhile. {cause.fix}")
    kind = UnreachableError if cause.fails_every_query else StorageError
    return kind(f"{place}: {_words(answer, cause)}. {cause.fix}")


def _cause(error: Exception, answer: _Answer, scheme: str) -> Cause:
    text = f"{answer.code} status code: {answer.status}" if answer.code else answer.words
    for pattern, name in CAUSES_OF_WORDS.items():
        if re.search(pattern, text):
            return BUCKETS[name.format(scheme=scheme)]
    if isinstance(error, PermissionDeniedError):
        return BUCKETS[f"{scheme}_forbidden"]
    if isinstance(error, UnauthenticatedError):
        return BUCKETS[f"{scheme}_credentials"]
    return BUCKETS["unknown"]


def _words(answer: _Answer, cause: Cause) -> str:
    """Return the service's own words, or what went wrong on the way to it."""
    if cause is BUCKETS["unreachable"]:
        return "cannot be reached"
    if answer.code:
        line = shorten(answer.message.partition("\nRequestId")[0]).rstrip(".")
        return f"{answer.code}: {line}" if line else answer.code
    if answer.status:
        number, _, phrase = answer.status.strip().partition(" ")
        return f"{phrase.lower()} ({number})"
    return shorten(answer.words)
