"""What Google's services really answer when they refuse, as their clients, users and documentation show it.

Projects, accounts and ids are made up; the shape and the words are Google's.
"""

from __future__ import annotations

from typing import Any

from tests.fake_bigquery import Answer

ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


def answer(status: int, reason: str, message: str, detail: str = "", **metadata: str) -> Answer:
    """Answer as Google's JSON APIs do: one error, and a detail where the newer front end has one."""
    names = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}
    error: dict[str, Any] = {
        "code": status,
        "message": message,
        "errors": [{"message": message, "domain": "global", "reason": reason}],
        "status": names.get(status, "UNAVAILABLE"),
    }
    if detail:
        error["details"] = [
            {"@type": ERROR_INFO, "reason": detail, "domain": "googleapis.com", "metadata": metadata},
            {"@type": "type.googleapis.com/google.rpc.LocalizedMessage", "locale": "en-US", "message": message},
        ]
    return Answer(status, {"error": error})


def bare(status: int, message: str, detail: str, **metadata: str) -> Answer:
    """Answer as the newer front end does by itself: details, and no list of errors."""
    whole = answer(status, "", message, detail, **metadata)
    assert isinstance(whole.body, dict)
    del whole.body["error"]["errors"]
    return whole


def refused_token(error: str, description: str, subtype: str = "", status: int = 400) -> Answer:
    """Answer as the token service does."""
    body = {"error": error, "error_description": description}
    return Answer(status, body | ({"error_subtype": subtype} if subtype else {}))


DISABLED = (
    "BigQuery API has not been used in project 1234567890 before or it is disabled. Enable it by visiting "
    "https://console.developers.google.com/apis/api/bigquery.googleapis.com/overview?project=1234567890 then retry. "
    "If you enabled this API recently, wait a few minutes for the action to propagate to our systems and retry."
)
SCOPES = "Request had insufficient authentication scopes."
JOBS_CREATE = (
    "Access Denied: Project winnow-test: User does not have bigquery.jobs.create permission in project winnow-test."
)
TABLE_DENIED = (
    "Access Denied: Table winnow-test:logs.downloads: User does not have permission to query table "
    "winnow-test:logs.downloads, or perhaps it does not exist."
)
NO_TABLE = "Not found: Table bigquery-public-data:pypi.downloads was not found in location US"
NO_DATASET = "Not found: Dataset bigquery-public-data:pypi was not found in location EU"
NO_JOB = "Not found: Job winnow-test:EU.winnow-1"
NO_BILLING = (
    "Access Denied: BigQuery BigQuery: Billing has not been enabled for this project. Enable billing at "
    "https://console.cloud.google.com/billing. DML queries are not allowed in the free tier."
)
FREE_TIER = (
    "Quota exceeded: Your project exceeded quota for free query bytes scanned. For more information, see "
    "https://cloud.google.com/bigquery/docs/troubleshoot-quotas"
)
CUSTOM = (
    "Custom quota exceeded: Your usage exceeded the custom quota for QueryUsagePerDay, which is set by your "
    "administrator. For more information, see https://cloud.google.com/bigquery/cost-controls"
)
CONCURRENT = (
    "Quota exceeded: Your project_and_region exceeded quota for concurrent queries. For more information, see "
    "https://cloud.google.com/bigquery/docs/troubleshoot-quotas"
)
PER_MINUTE = (
    "Quota exceeded for quota metric 'API requests' and limit 'API requests per minute' of service "
    "'bigquery.googleapis.com' for consumer 'project_number:1234567890'."
)
PERIMETER = "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: aBcD1234"
QUOTA_PROJECT = (
    "Caller does not have required permission to use project winnow-test. Grant the caller the "
    "roles/serviceusage.serviceUsageConsumer role, or a custom role with the serviceusage.services.use permission."
)

FOR_ALL = {
    "API not enabled": (answer(403, "accessNotConfigured", DISABLED, "SERVICE_DISABLED"), "gcloud services enable"),
    "API not enabled, bare": (bare(403, DISABLED, "SERVICE_DISABLED"), "gcloud services enable"),
    "API not enabled, as it was": (
        answer(400, "invalid", "The project winnow-test has not enabled BigQuery."),
        "gcloud services enable",
    ),
    "missing scopes": (answer(403, "insufficientPermissions", "Insufficient Permission"), "the scope https://"),
    "missing scopes, new": (
        answer(403, "insufficientPermissions", SCOPES, "ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
        "the scope https://",
    ),
    "missing scopes, as it was": (answer(403, "forbidden", SCOPES), "the scope https://"),
    "no jobs.create": (answer(403, "accessDenied", JOBS_CREATE), "BigQuery Job User (roles/bigquery.jobUser)"),
    "no right to the table": (answer(403, "accessDenied", TABLE_DENIED), "roles/bigquery.dataViewer"),
    "forbidden": (answer(403, "forbidden", "The caller does not have permission"), "may use BigQuery in the project"),
    "a perimeter": (answer(403, "vpcServiceControls", PERIMETER, "SECURITY_POLICY_VIOLATED"), "administrator"),
    "quota project": (answer(403, "forbidden", QUOTA_PROJECT, "USER_PROJECT_DENIED"), "set-quota-project"),
    "billing": (answer(403, "billingNotEnabled", NO_BILLING), "Enable billing"),
    "free tier": (answer(403, "quotaExceeded", FREE_TIER), "renews on the first day of the month"),
    "custom quota": (answer(403, "quotaExceeded", CUSTOM), "midnight Pacific time"),
    "no table": (answer(404, "notFound", NO_TABLE), "Correct source.table"),
    "wrong location": (answer(404, "notFound", NO_DATASET), "set source.location to where its dataset is"),
    "two locations": (
        answer(400, "invalid", "Cannot read and write in different locations: source: US, destination: EU"),
        "Set source.location to where",
    ),
    "no project": (answer(404, "notFound", "Not found: Project no-such-project"), "Correct source.project"),
    "another schema": (
        answer(400, "invalidQuery", "Unrecognized name: details at [2:5]"),
        "source.table has the schema of file_downloads",
    ),
}
"""What BigQuery answers for a cause that fails every query, and what the fix says."""

TRANSIENT = {
    "concurrent queries": answer(403, "quotaExceeded", CONCURRENT),
    "requests per minute": answer(403, "rateLimitExceeded", PER_MINUTE, "RATE_LIMIT_EXCEEDED"),
    "requests per minute, 429": bare(429, PER_MINUTE, "RATE_LIMIT_EXCEEDED"),
    "a user's rate": answer(403, "userRateLimitExceeded", "User Rate Limit Exceeded"),
    "an unavailable table": answer(400, "tableUnavailable", "Table is unavailable"),
}

SPACE = "winnow@winnow-test.iam.gserviceaccount.com"
NO_OBJECT_RIGHT = (
    f"{SPACE} does not have storage.objects.create access to the Google Cloud Storage object. Permission "
    "'storage.objects.create' denied on resource (or it may not exist)."
)
REQUESTER_PAYS = "Bucket is a requester pays bucket but no user project provided."
RETENTION = (
    "Object 'public-bucket/badges/a/counts.json' is subject to bucket's retention policy or object retention and "
    "cannot be deleted or overwritten until 2031-09-20T12:18:15.93713-07:00"
)
HOLD = "Object 'public-bucket/badges/a/counts.json' is under active Temporary hold and cannot be deleted, overwritten."
NO_TOKEN_CREATOR = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."
