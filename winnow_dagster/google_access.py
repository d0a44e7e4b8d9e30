"""Access to Google: credentials in memory, and a session with timeouts that explains refused credentials.

BigQuery and buckets share this module.
"""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from typing import TYPE_CHECKING, Any

import google.auth
import requests
from google.auth import (
    aws,
    compute_engine,
    exceptions,
    external_account,
    identity_pool,
    impersonated_credentials,
    pluggable,
)
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2 import credentials as user
from google.oauth2 import service_account
from requests.adapters import HTTPAdapter

from winnow_dagster.core.causes import CREDENTIALS
from winnow_dagster.core.escaping import shorten
from winnow_dagster.credentials import (
    ENCODED_VARIABLE,
    FILE_VARIABLE,
    CredentialsError,
    encoded_key,
    find_key_file,
    read_key_file,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from google.auth.credentials import Credentials

    from winnow_dagster.core.causes import Cause

CONNECT_SECONDS = 3
"""How long to wait for a connection to one address of a service. A service may have up to sixteen."""

TOKEN_SECONDS = 20
"""How long the token service may take for an answer. Google's own client waits for two minutes."""

FIRST_SECONDS = 20
"""How long Winnow retries a service that has not answered yet. So it notices a missing network within a minute."""

MAX_SECONDS = 600
"""The longest wait for an answer if the caller sets no time limit."""


class AccessError(exceptions.GoogleAuthError):
    """Google gives no token. The message says why, in the token service's own words, and what to do."""

    def __init__(self, cause: Cause, message: str) -> None:
        """Word a failure of this cause."""
        super().__init__(message, retryable=cause.is_transient)  # type: ignore[no-untyped-call]
        self.cause = cause


class _Adapter(HTTPAdapter):
    """An adapter with timeouts for each connection and, by `longest`, for each answer."""

    def __init__(self, pool_maxsize: int, longest: float) -> None:
        super().__init__(pool_maxsize=pool_maxsize)
        self._longest = longest

    def send(  # noqa: PLR0913, PLR0917 - as the library has it
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002
        timeout: Any = None,  # noqa: ANN401
        verify: bool | str = True,  # noqa: FBT001, FBT002
        cert: Any = None,  # noqa: ANN401
        proxies: Any = None,  # noqa: ANN401
    ) -> requests.Response:
        if timeout is None or isinstance(timeout, int | float):
            longest = min(timeout or self._longest, self._longest)
            timeout = (min(CONNECT_SECONDS, longest), longest)
        return super().send(request, stream, timeout, verify, cert, proxies)


def _mount(session: requests.Session, pool_maxsize: int, longest: float) -> requests.Session:
    for scheme in ("https://", "http://"):
        session.mount(scheme, _Adapter(pool_maxsize, longest))
    return session


def _token_request() -> Request:
    """Return a request for tokens with time limits: Google's own request retries a dead address for eight minutes."""
    return Request(_mount(requests.Session(), 10, TOKEN_SECONDS))


class Session(AuthorizedSession):
    """Requests with credentials. Raises AccessError if Google gives no token for them."""

    def __init__(self, credentials: Credentials, pool_maxsize: int) -> None:
        """Ask nothing yet."""
        super().__init__(credentials, auth_request=_token_request())  # type: ignore[no-untyped-call]
        _mount(self, pool_maxsize, MAX_SECONDS)

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - as the library has it
        """Send a request, with a new token if need be."""
        try:
            answer: requests.Response = super().request(*args, **kwargs)  # type: ignore[no-untyped-call]
        except (exceptions.RefreshError, exceptions.OAuthError) as error:
            raise explain(error, self.credentials) from None
        return answer


def load_credentials(key_file: Path | None, scopes: Sequence[str]) -> tuple[Credentials, str | None]:
    """Return the credentials of a key file, else of $GCP_CREDENTIALS, else of the usual Google environment.

    Also returns the project that they name, if any. Writes no file, so a killed process leaves no key behind. Raises
    CredentialsError and AccessError.
    """
    path = find_key_file(key_file)
    key = read_key_file(path) if path else encoded_key()
    try:
        found = google.auth.default(scopes, _token_request()) if key is None else _from_key(key, scopes)
    except (exceptions.RefreshError, exceptions.OAuthError) as error:
        raise explain(error, None) from None
    except exceptions.TransportError:
        raise
    except (exceptions.GoogleAuthError, ValueError, AttributeError, TypeError, KeyError):
        # The decoder's error quotes its input, which is the key.
        culprit = _culprit(key_file) if key is not None else "there are no usable Google credentials"
        raise CredentialsError(f"{culprit}. {CREDENTIALS['none'].fix}") from None
    credentials: Credentials = found[0]
    project = os.environ.get("GOOGLE_CLOUD_PROJECT") or os.environ.get("GCLOUD_PROJECT") or found[1]
    return credentials, project or getattr(credentials, "quota_project_id", None)


def _from_key(key: Mapping[str, Any], scopes: Sequence[str]) -> tuple[Credentials, str | None]:
    if key["type"] == "external_account":
        # Google's own loader looks up the project, which needs a token, an API and a network.
        kind: ModuleType = identity_pool
        if key.get("subject_token_type") == "urn:ietf:params:aws:token-type:aws4_request":
            kind = aws
        elif "executable" in key["credential_source"]:
            kind = pluggable
        return kind.Credentials.from_info(key, scopes=scopes), None
    with warnings.catch_warnings():
        # It warns of keys from untrusted sources. The user named this one.
        warnings.simplefilter("ignore", DeprecationWarning)
        found: tuple[Credentials, str | None] = google.auth.load_credentials_from_dict(  # type: ignore[no-untyped-call]
            key, scopes=scopes
        )
    return found


def name_account(credentials: Credentials) -> str:
    """Return whose credentials these are, as far as they say without a request."""
    if isinstance(credentials, compute_engine.Credentials):
        return "this machine's service account"
    if isinstance(credentials, user.Credentials):
        return "a user's own credentials"
    email = getattr(credentials, "service_account_email", None)
    return str(email or "an external account without a service account")


def find_project(credentials: Credentials) -> str | None:
    """Ask for the project of a workload identity pool. Raises AccessError."""
    if not isinstance(credentials, external_account.Credentials):
        return None
    try:
        found: str | None = credentials.get_project_id(_token_request())  # type: ignore[no-untyped-call]
    except (exceptions.RefreshError, exceptions.OAuthError) as error:
        raise explain(error, credentials) from None
    return found


def _culprit(key_file: Path | None) -> str:
    where = key_file or (f"${ENCODED_VARIABLE}" if os.environ.get(ENCODED_VARIABLE) else f"${FILE_VARIABLE}")
    return f"{where}: there are no usable Google credentials in it: a field is missing or damaged"


def explain(error: exceptions.GoogleAuthError, credentials: Credentials | None) -> AccessError:
    """Return why Google gives no token, by the token service's words and the kind of the credentials."""
    words = _words(error)
    cause = CREDENTIALS[_cause(error, credentials, words)]
    return AccessError(cause, f"Google rejects the credentials ({words}). {cause.fix}")


def _cause(error: exceptions.GoogleAuthError, credentials: Credentials | None, words: str) -> str:
    rules = {
        "token_service": error.retryable,
        "authorized_user": "Reauthentication is needed" in words
        or isinstance(error, exceptions.ReauthFailError)
        or isinstance(credentials, user.Credentials),
        "external_impersonation": "impersonated" in words and isinstance(credentials, external_account.Credentials),
        "impersonation": "impersonated" in words or isinstance(credentials, impersonated_credentials.Credentials),
        "external_account": isinstance(error, exceptions.OAuthError)
        or isinstance(credentials, external_account.Credentials),
        "machine": isinstance(credentials, compute_engine.Credentials),
        "clock": "short-lived token" in words,
        "service_account": isinstance(credentials, service_account.Credentials),
    }
    return next((name for name, holds in rules.items() if holds), "rejected")


def _words(error: exceptions.GoogleAuthError) -> str:
    """Return the token service's own words, in one line."""
    first, *rest = (*error.args, "")
    text = str(first)
    if rest and isinstance(rest[0], str):
        # Impersonation: the client appends the raw answer to its own sentence.
        with contextlib.suppress(ValueError, LookupError, TypeError):
            text += f": {json.loads(rest[0])['error']['message']}"
    return shorten(text).rstrip(".")
