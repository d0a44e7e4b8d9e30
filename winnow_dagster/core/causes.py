"""Causes of failures outside Winnow: whom each concerns, whether it is transient, and how to fix it.

This is the only table of causes. Error messages and retry policies use it, and docs/errors.md prints it (`python -m
winnow_dagster.core.causes_page`). The module that talks to a service maps the service's answers to causes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Cause:
    """A kind of failure."""

    sign: str
    """What the service or the system reports."""

    fix: str
    fails_every_query: bool = True
    """Whether it fails every package, so that Winnow asks only once. If not, the other packages go on."""

    is_transient: bool = False
    """Whether it is a transient error, so that Winnow tries again."""


RATE = "Winnow sends fewer at a time if `source.parallel` is lower"
LOGIN = "Run `gcloud auth application-default login`"

BIGQUERY: Mapping[str, Cause] = {
    "api_disabled": Cause(
        "`accessNotConfigured`, `SERVICE_DISABLED`: the BigQuery API is not enabled",
        "Run `gcloud services enable bigquery.googleapis.com` for the project that runs the queries, and wait a few "
        "minutes",
    ),
    "scopes": Cause(
        "`insufficientPermissions`, `ACCESS_TOKEN_SCOPE_INSUFFICIENT`: the token is not for BigQuery",
        "Give the machine or the login the scope https://www.googleapis.com/auth/cloud-platform, or set "
        "source.credential_file to a service account's key",
    ),
    "job_permission": Cause(
        "`accessDenied` with `bigquery.jobs.create`: the account may not run queries in the project",
        "Give the account the role BigQuery Job User (roles/bigquery.jobUser) in the project that runs the queries, or "
        "set source.project to a project in which it has that role",
    ),
    "table_permission": Cause(
        "`accessDenied`: the account may not read the table, or the table does not exist",
        "Give the account the role BigQuery Data Viewer (roles/bigquery.dataViewer) on the table that source.table "
        "names, and BigQuery Job User (roles/bigquery.jobUser) in the project that runs the queries",
    ),
    "quota_project": Cause(
        "`USER_PROJECT_DENIED`: the account may not use the quota project of the credentials",
        "Give the account the role Service Usage Consumer (roles/serviceusage.serviceUsageConsumer) in that project, "
        "or name another with `gcloud auth application-default set-quota-project`",
    ),
    "policy": Cause(
        "`policyViolation`, `vpcServiceControls`, `blocked`: a policy of the organisation or of Google forbids it",
        "Ask the administrator of the Google Cloud organisation to allow BigQuery from this machine",
    ),
    "forbidden": Cause(
        "`forbidden`, any other 403: the account or this machine may not do that",
        "Check that the account may use BigQuery in the project, and that no proxy answers in BigQuery's place",
    ),
    "billing": Cause(
        "`billingNotEnabled`, `BILLING_DISABLED`: the project has no billing account in good standing",
        "Enable billing for the project, or use a sandbox project within the free tier",
    ),
    "free_tier": Cause(
        "`quotaExceeded` for free query bytes: the free tier of the month is used up",
        "Enable billing for the project, or wait: the free tier renews on the first day of the month",
    ),
    "custom_quota": Cause(
        "`quotaExceeded` for a custom quota (`QueryUsagePerDay`, `QueryUsagePerUserPerDay`)",
        "Ask the administrator to raise that quota, or wait: it renews at midnight Pacific time",
    ),
    "quota": Cause(
        "`quotaExceeded`: another quota of the project is used up",
        "Wait until it renews, or raise it under IAM & Admin, Quotas",
    ),
    "rate": Cause(
        "`rateLimitExceeded`, `jobRateLimitExceeded`, `userRateLimitExceeded`, `quotaExceeded` for concurrent queries "
        "or requests per minute, 429",
        f"Run again later. {RATE}",
        fails_every_query=False,
        is_transient=True,
    ),
    "no_table": Cause(
        "`notFound` of a table or dataset, also `was not found in location`",
        "Correct source.table; if it is right, set source.location to where its dataset is (the public table is in US)",
    ),
    "location": Cause(
        "`invalid` with `different locations`, or an unknown location",
        "Set source.location to where the dataset of source.table is (the public table is in US), or leave it out",
    ),
    "no_project": Cause(
        "`notFound` of a project, or `Unknown project`",
        "Correct source.project",
    ),
    "no_job": Cause(
        "`notFound` of a job: BigQuery no longer knows the query that it took",
        "Winnow sends the query again. If that fails too, run again later",
        fails_every_query=False,
        is_transient=True,
    ),
    "not_a_table": Cause(
        "source.table is a view or an external table: BigQuery does not report when its rows last changed, or how many "
        "a day has",
        "Set source.table to a table, such as the one that the view reads",
        fails_every_query=False,
    ),
    "schema": Cause(
        "`invalidQuery` with `Unrecognized name` or `does not exist`: a column is missing",
        "Check that source.table has the schema of file_downloads",
    ),
    "bytes_cap": Cause(
        "`bytesBilledLimitExceeded`",
        "Raise source.maximum_bytes_billed_per_day: it must lie above a whole day of the table",
        fails_every_query=False,
    ),
    "query": Cause(
        "`invalidQuery`", "Check that source.table has the schema of file_downloads", fails_every_query=False
    ),
    "invalid": Cause("`invalid`", "Check source.table and source.location", fails_every_query=False),
    "too_large": Cause(
        "`resourcesExceeded`, `responseTooLarge`",
        "Use `strategy: per_package`, or fetch fewer days at once",
        fails_every_query=False,
    ),
    "stopped": Cause(
        "`stopped`, `timeout`: somebody cancelled the query, or it reached BigQuery's own limit",
        "Run again, or raise source.deadline_seconds",
        fails_every_query=False,
    ),
    "deadline": Cause(
        "the query took longer than source.deadline_seconds, and Winnow cancelled it",
        "Run again, or raise it",
        fails_every_query=False,
    ),
    "backend": Cause(
        "`backendError`, `internalError`, `tableUnavailable`, 408, any 5xx",
        "Run again later",
        fails_every_query=False,
        is_transient=True,
    ),
    "unreachable": Cause(
        "no connection to BigQuery, or to Google's token service",
        "Check the network and run again",
        is_transient=True,
    ),
    "unknown": Cause(
        "any other refusal",
        "Winnow does not know this reason: Google's page `BigQuery error messages` explains it",
        fails_every_query=False,
    ),
}

CREDENTIALS: Mapping[str, Cause] = {
    "none": Cause(
        "no credentials",
        "Set source.credential_file to a service account's key, or GOOGLE_APPLICATION_CREDENTIALS to its path, or "
        "GCP_CREDENTIALS to its content in base64",
    ),
    "service_account": Cause(
        "`service_account`: the token service refuses its key",
        "Make a new key for the service account, and check this machine's clock",
    ),
    "clock": Cause(
        "`service_account`: `Token must be a short-lived token`: this machine's clock is wrong",
        "Set this machine's clock",
    ),
    "authorized_user": Cause(
        "`authorized_user`: `invalid_grant`, also `invalid_rapt`: the login has ended or was revoked",
        LOGIN,
    ),
    "external_account": Cause(
        "`external_account`: no token from the identity provider, or Google does not take it",
        "Check `credential_source` in the credential file, and the workload identity pool's provider and conditions",
    ),
    "impersonation": Cause(
        "impersonation: the account may not act as the service account",
        "Give the account the role Service Account Token Creator (roles/iam.serviceAccountTokenCreator) on that "
        "service account, and enable the API iamcredentials.googleapis.com",
    ),
    "machine": Cause(
        "the machine's own account: the metadata server gives no token",
        "Attach a service account to the machine, or set source.credential_file",
    ),
    "rejected": Cause(
        "401: the service refuses the token",
        "Make a new key for the service account, and check this machine's clock",
    ),
    "token_service": Cause(
        "an internal error of the token service (5xx, `internal_failure`)",
        "Run again later",
        is_transient=True,
    ),
}

BUCKETS: Mapping[str, Cause] = {
    "no_bucket": Cause(
        "404: no such bucket, `NoSuchBucket`, `ContainerNotFound`",
        "There is no such bucket. Create it, or choose another",
    ),
    "forbidden": Cause("GCS: 403", "Give this account the role Storage Object User on the bucket"),
    "unauthorized": Cause("GCS: 401", "Check the credentials: service.credential_file, or those of the environment"),
    "s3_forbidden": Cause(
        "S3: 403 `AccessDenied`",
        "Allow this account s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on its "
        "objects",
    ),
    "s3_credentials": Cause(
        "S3: no credentials, `InvalidAccessKeyId`, `SignatureDoesNotMatch`, `ExpiredToken`",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN for temporary ones), or attach a role "
        "to the machine; for another service than AWS, set AWS_ENDPOINT_URL too",
    ),
    "s3_region": Cause(
        "S3: `PermanentRedirect`, `AuthorizationHeaderMalformed`: the bucket is in another region",
        "Set AWS_REGION to the region of the bucket",
    ),
    "az_forbidden": Cause(
        "Azure: 403 `AuthorizationPermissionMismatch`",
        "Give this account the role Storage Blob Data Contributor on the container",
    ),
    "az_credentials": Cause(
        "Azure: no credentials, `AuthenticationFailed`, `AuthorizationFailure`",
        "Set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, or attach a managed "
        "identity to the machine",
    ),
    "no_preconditions": Cause(
        "an endpoint that ignores `If-Match` or `If-None-Match`",
        "Two workers could overwrite each other there. Use a service, or a release of it, with conditional writes, "
        "such as S3, R2 or MinIO",
    ),
    "scopes": Cause(
        "403 `insufficientPermissions`, `ACCESS_TOKEN_SCOPE_INSUFFICIENT`",
        "Give the machine the scope https://www.googleapis.com/auth/devstorage.read_write, or set "
        "service.credential_file",
    ),
    "requester_pays": Cause(
        "400 `required`, `UserProjectMissing`: the bucket has requester pays on",
        "Turn that off: `gcloud storage buckets update gs://BUCKET --no-requester-pays`",
    ),
    "retention": Cause(
        "403 `retentionPolicyNotMet`: a retention policy or a hold keeps objects from being replaced",
        "Winnow replaces its objects: use a bucket without a retention policy and without holds",
    ),
    "billing": Cause("403 `accountDisabled`", "Enable billing for the project of the bucket"),
    "rate": Cause("429, 5xx", "Nothing is damaged: run again later", fails_every_query=False, is_transient=True),
    "changed": Cause(
        "412: another process has changed the object", "Nothing is damaged: run again", fails_every_query=False
    ),
    "unreachable": Cause("no connection", "Nothing is damaged: check the network and run again", is_transient=True),
    "unknown": Cause("any other refusal", "Nothing is damaged: run again", fails_every_query=False),
}

_SPACE = "Free some space, and run again: the files from before are intact"
_RIGHTS = "Give this user the right to read and write there, or choose another directory"
_IN_THE_WAY = "A file is where a directory should be: move it away"

FILES: Mapping[str, Cause] = {
    "ENOSPC": Cause("the disk is full", _SPACE),
    "EDQUOT": Cause("the quota of the disk is used up", _SPACE),
    "EROFS": Cause("a file system that is read-only", "Make it writable, or choose another directory"),
    "EACCES": Cause("permission denied", _RIGHTS),
    "EPERM": Cause("operation not permitted", _RIGHTS),
    "ENOENT": Cause("a directory is gone", "Create the directory, and run again"),
    "ENOTDIR": Cause("a file is in the way of a directory", _IN_THE_WAY),
    "EEXIST": Cause("a file is in the way of a directory", _IN_THE_WAY),
    "ENOTEMPTY": Cause(
        "a directory is not empty", "Another process just put something there: run again", fails_every_query=False
    ),
    "EISDIR": Cause(
        "a directory is in the way of a file",
        "A directory is where a file should be: move it away",
        fails_every_query=False,
    ),
    "ENOSYS": Cause(
        "a file system without `flock`", "Choose a data_dir on a local disk, or on NFS with locking, or in a bucket"
    ),
    "ENOLCK": Cause(
        "a file system without locks", "Choose a data_dir on a local disk, or on NFS with locking, or in a bucket"
    ),
    "ELOOP": Cause("a lock file is a symbolic link", "Remove the link: the lock file has to be a file of this user"),
    "unknown": Cause("any other error of the system", "Check the disk that holds it"),
}

INSTANCE: Mapping[str, Cause] = {
    "invalid": Cause("dagster.yaml holds a key or value that Dagster does not take", "Correct or remove that key"),
    "malformed": Cause("dagster.yaml is not YAML", "Correct that line"),
    "variable": Cause(
        "dagster.yaml takes a value from a variable that is not set",
        "Set the variable, or write the value into the file",
    ),
    "package": Cause(
        "dagster.yaml names a module or class that is not installed",
        "Install the package that has it, or correct the name",
    ),
    "database": Cause(
        "the database that dagster.yaml names does not answer",
        "Start the database, or correct host, port, user and password",
    ),
    "history": Cause(
        "the history of runs cannot be read or written",
        "No number depends on it, and Winnow publishes without it. Free some space on its disk, or check its "
        "database; if nothing else helps, move it away",
    ),
}

SECTIONS = {
    "BigQuery": BIGQUERY,
    "Google credentials": CREDENTIALS,
    "Buckets": BUCKETS,
    "Files": FILES,
    "Dagster's instance": INSTANCE,
}
