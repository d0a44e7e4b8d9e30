"""Causes of failures outside Winnow: what each affects, whether it is transient, and how to fix it.

Error messages and retry policies use these tables. docs/errors.md prints them (`python -m winnow_dagster.causes_page`).
The module that talks to a service maps the service's answers to causes. A source keeps its own causes in its folder.
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
    """Whether it fails every query, so that Winnow sends no more. If not, Winnow goes on with the other packages."""

    is_transient: bool = False
    """Whether Winnow retries."""


LOGIN = "Run `gcloud auth application-default login`"

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
        "`external_account`: no token from the identity provider, or Google rejects it",
        "Check `credential_source` in the credential file, and the workload identity pool's provider and conditions",
    ),
    "external_impersonation": Cause(
        "`external_account`: the identity may not act as the service account",
        "Give the identity the role Workload Identity User (roles/iam.workloadIdentityUser) on that service account, "
        "and enable the API iamcredentials.googleapis.com",
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
    "invalid": Cause("dagster.yaml has a key or value that Dagster rejects", "Correct or remove that key"),
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
    "migration": Cause(
        "an older Dagster made the history of runs",
        "Run `dagster instance migrate` with the same DAGSTER_HOME",
    ),
    "history": Cause(
        "the history of runs cannot be read or written",
        "No number depends on it, and Winnow publishes without it. Free some space on its disk, or check its "
        "database; if nothing else helps, move it away",
    ),
}
