"""What Google's client raises of a bucket, as a StorageError that names the object and the fix."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING

import requests
from google.api_core.exceptions import (
    Forbidden,
    GoogleAPICallError,
    NotFound,
    PreconditionFailed,
    RetryError,
    Unauthorized,
)
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage.exceptions import DataCorruption

from winnow_dagster.credentials import CredentialsError
from winnow_dagster.storage.errors import ChangedError, StorageError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from winnow_dagster.storage.places import ObjectPath

AGAIN = "What is there is whole: run again"
FIXES: dict[type[GoogleAPICallError], str] = {
    NotFound: "There is no such bucket. Make it, or choose another",
    Forbidden: "Give this account the role Storage Object User on the bucket",
    Unauthorized: "Look at the credentials: service.credential_file, or those of the environment",
}


@contextlib.contextmanager
def naming_object(place: ObjectPath) -> Iterator[None]:
    """Turn what Google's client raises into a StorageError of `place`; NotFound of an object is the caller's."""
    try:
        yield
    except PreconditionFailed:
        raise ChangedError(f"{place}: another process has changed it meanwhile. {AGAIN}") from None
    except GoogleAPICallError as error:
        fix = FIXES.get(type(error), AGAIN)
        kind = UnreachableError if type(error) in FIXES else StorageError
        # Not its own words, which are pages of JSON and addresses.
        raise kind(f"{place}: {HTTPStatus(error.code or 500).phrase.lower()} ({error.code}). {fix}") from None
    except DataCorruption:
        raise StorageError(f"{place}: it was damaged on its way. Run again") from None
    except CredentialsError as error:
        raise UnreachableError(f"{place}: {error}") from None
    except GoogleAuthError as error:
        raise UnreachableError(f"{place}: {str(error).splitlines()[0][:200]}. {FIXES[Unauthorized]}") from None
    except (RetryError, requests.RequestException) as error:
        cause = error.cause if isinstance(error, RetryError) else error
        raise UnreachableError(f"{place}: cannot be reached ({type(cause).__name__}). {AGAIN}") from None
