"""Map BigQuery's errors to causes, and describe each in one line with its fix.

causes.py has the table of causes.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth

from winnow_dagster.core.causes import CREDENTIALS
from winnow_dagster.core.escaping import shorten
from winnow_dagster.google_access import FIRST_SECONDS, AccessError
from winnow_dagster.sources.bigquery.causes import BIGQUERY
from winnow_dagster.sources.interface import SourceError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from winnow_dagster.core.causes import Cause

UNREACHABLE = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    auth.TransportError,
)
TRANSIENT_CODES = frozenset({408, 429, 500, 502, 503, 504})

CAUSES_OF_REASONS = {
    "accessNotConfigured": "api_disabled",
    "SERVICE_DISABLED": "api_disabled",
    "insufficientPermissions": "scopes",
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": "scopes",
    "USER_PROJECT_DENIED": "quota_project",
    "accessDenied": "table_permission",
    "policyViolation": "policy",
    "vpcServiceControls": "policy",
    "SECURITY_POLICY_VIOLATED": "policy",
    "blocked": "policy",
    "forbidden": "forbidden",
    "billingNotEnabled": "billing",
    "BILLING_DISABLED": "billing",
    "quotaExceeded": "quota",
    "rateLimitExceeded": "rate",
    "jobRateLimitExceeded": "rate",
    "userRateLimitExceeded": "rate",
    "RATE_LIMIT_EXCEEDED": "rate",
    "notFound": "no_table",
    "bytesBilledLimitExceeded": "bytes_cap",
    "invalidQuery": "query",
    "invalid": "invalid",
    "resourcesExceeded": "too_large",
    "responseTooLarge": "too_large",
    "stopped": "stopped",
    "timeout": "stopped",
    "backendError": "backend",
    "badGateway": "backend",
    "internalError": "backend",
    "jobBackendError": "backend",
    "jobInternalError": "backend",
    "serviceUnavailable": "backend",
    "tableUnavailable": "backend",
}
"""Causes by BigQuery's reason, which is in `errors` or `details`. Details are more specific, so they go first."""

CAUSES_OF_WORDS = {
    ("table_permission", r"bigquery\.jobs\.create"): "job_permission",
    ("table_permission", r"[Bb]illing has not been enabled"): "billing",
    ("forbidden", r"insufficient authentication scopes"): "scopes",
    ("forbidden", r"has not been used in project|it is disabled"): "api_disabled",
    ("forbidden", r"prohibited by organization's policy|vpcServiceControls"): "policy",
    ("quota", r"free query bytes"): "free_tier",
    ("quota", r"[Cc]ustom quota|QueryUsagePer"): "custom_quota",
    ("quota", r"concurrent|per (minute|second|100 seconds)|[Rr]ate"): "rate",
    ("no_table", r"[Nn]ot found: Job"): "no_job",
    ("no_table", r"[Nn]ot found: Project|[Uu]nknown project"): "no_project",
    ("invalid", r"has not enabled BigQuery"): "api_disabled",
    ("invalid", r"different locations|[Ll]ocation .* (not|is un)|CloudRegion"): "location",
    ("invalid", r"[Pp]roject ?[Ii][Dd]|[Uu]nknown project"): "no_project",
    ("query", r"Unrecognized name|does not exist|Name .* not found"): "schema",
}
"""Patterns in BigQuery's messages that distinguish causes with the same reason. The first match applies."""


@dataclass
class RetryPredicate:
    """Decides whether to retry a call: a bounded number of times, and never after `given_up`."""

    left: int
    given_up: Callable[[], bool]

    def __call__(self, error: BaseException) -> bool:
        """Return whether to try again after `error`; count the try."""
        if not is_transient(error) or self.given_up():
            return False
        self.left -= 1
        return self.left > 0


@dataclass
class FirstRequestPredicate(RetryPredicate):
    """Decides whether to retry the first request. Without a network, it gives up within a minute."""

    began: float = field(default_factory=time.monotonic)

    def __call__(self, error: BaseException) -> bool:
        """Return whether to try again. Do not wait long for a missing network."""
        is_late = time.monotonic() - self.began > FIRST_SECONDS
        return not (is_late and cause_of(error) is BIGQUERY["unreachable"]) and super().__call__(error)


def is_transient(error: BaseException) -> bool:
    """Return whether an error is transient."""
    cause = cause_of(error)
    return cause is not None and cause.is_transient


def fails_every_query(error: BaseException) -> bool:
    """Return whether this error will fail all other queries too."""
    cause = cause_of(error)
    return cause is not None and cause.fails_every_query


def is_gone(error: BaseException) -> bool:
    """Return whether BigQuery no longer knows the job, so that only a new job can answer."""
    return cause_of(error) is BIGQUERY["no_job"]


def source_error(error: BaseException) -> SourceError:
    """Return an error as TransientError or SourceError, which end all reading."""
    return (TransientError if is_transient(error) else SourceError)(describe(error))


def cause_of(error: BaseException) -> Cause | None:
    """Return the cause of an error; None if the error is not Google's."""
    if isinstance(error, api.RetryError) and error.cause:
        return cause_of(error.cause)
    if isinstance(error, AccessError):
        return error.cause
    if isinstance(error, api.GoogleAPICallError):
        return _cause_of_call(error)
    if isinstance(error, UNREACHABLE):
        return BIGQUERY["unreachable"]
    if isinstance(error, auth.GoogleAuthError):
        return CREDENTIALS["none"]
    return BIGQUERY["deadline"] if isinstance(error, TimeoutError) else None


def describe(error: BaseException) -> str:
    """Return the cause and the fix in one line, without secrets, addresses or job ids."""
    if isinstance(error, api.RetryError) and error.cause:
        return describe(error.cause)
    cause = cause_of(error)
    if cause is None or isinstance(error, AccessError):
        return summarize(error)
    return f"{summarize(error)}. {cause.fix}"


def summarize(error: BaseException) -> str:
    """Return what went wrong, in the words of `describe`, without the fix."""
    cause = cause_of(error)
    if cause is None or isinstance(error, AccessError):
        return next(iter(str(error).splitlines()), "") or type(error).__name__
    if isinstance(error, api.Unauthorized):
        return f"Google rejects the credentials ({_words(error)})"
    if isinstance(error, api.GoogleAPICallError):
        reasons = _reasons(error)
        return f"BigQuery says {reasons[-1] if reasons else error.code}: {_words(error)}"
    return _SUMMARIES[cause.sign]


_SUMMARIES = {
    BIGQUERY["unreachable"].sign: "BigQuery cannot be reached",
    BIGQUERY["deadline"].sign: "the query took longer than source.deadline_seconds and was cancelled",
    CREDENTIALS["none"].sign: "there are no usable Google credentials",
}


def _cause_of_call(error: api.GoogleAPICallError) -> Cause:
    if isinstance(error, api.Unauthorized):
        return CREDENTIALS["rejected"]
    # Reasons go before codes: BigQuery reports code 500 if a running query exceeds its cap.
    for reason in _reasons(error):
        if name := CAUSES_OF_REASONS.get(reason):
            for (of, pattern), found in CAUSES_OF_WORDS.items():
                if of == name and re.search(pattern, _words(error)):
                    return BIGQUERY[found]
            return BIGQUERY[name]
    if error.code in TRANSIENT_CODES:
        return BIGQUERY["rate" if error.code == api.TooManyRequests.code else "backend"]
    return BIGQUERY["forbidden" if isinstance(error, api.Forbidden) else "unknown"]


def _reasons(error: api.GoogleAPICallError) -> list[str]:
    """Return BigQuery's reasons, such as `accessDenied`, the more specific one first."""
    first = error.errors[0] if error.errors else {}
    given = first.get("reason") if isinstance(first, dict) else None
    return [str(reason) for reason in (error.reason, given) if reason]


def _words(error: api.GoogleAPICallError) -> str:
    """Return BigQuery's own words, on one line."""
    first = error.errors[0] if error.errors else {}
    own = first.get("message") if isinstance(first, dict) else None
    # Google's client puts the address before the message.
    words = str(own) if own else re.sub(r"^[A-Z]+ https?://\S+: ", "", str(error.message))
    line = (words.splitlines() or [""])[0].strip()
    if "<" in line and not own:
        return "a web page, not an answer of BigQuery"
    return shorten(line).rstrip(".") or "no reason given"
