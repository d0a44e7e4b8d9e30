"""Causes of failures that only BigQuery has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from winnow_dagster.core.causes import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping

PARALLEL_HINT = "Winnow sends fewer at a time if `source.parallel` is lower"
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
        f"Run again later. {PARALLEL_HINT}",
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
