"""BigQuery jobs: Winnow enters each in the ledger before it sends it, and pays for none twice.

The ledger counts a job's estimate until BigQuery reports the billed bytes. If a job may exist, Winnow looks it up and
never sends it again.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl
from google.api_core.exceptions import Conflict, GoogleAPICallError, GoogleAPIError, NotFound
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from requests.exceptions import RequestException

from winnow_dagster.sources.bigquery.errors import RetryPredicate, fails_every_query, is_gone, is_transient, summarize
from winnow_dagster.sources.bigquery.settings import PUBLIC_TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from winnow_dagster.core.billing import Entry
    from winnow_dagster.sources.bigquery.settings import BigQuerySettings
    from winnow_dagster.store.ledger import Ledger

logger = logging.getLogger(__name__)

GOOGLE_ERRORS = (GoogleAPIError, GoogleAuthError, RequestException, TimeoutError)

RESULT_LIFETIME = timedelta(hours=24)
"""How long BigQuery keeps the results of a job."""

MAX_APPEARANCE_DELAY = timedelta(minutes=10)
"""The time within which a job that BigQuery does not find may still appear."""


class NotSentError(Exception):
    """Winnow did not send a query because another query's error fails every query."""


@dataclass(frozen=True)
class RetryPolicy:
    """The retry policy of calls: jittered waits that double from `initial` to `maximum` seconds."""

    tries: int = 6
    initial: float = 1.0
    maximum: float = 30.0
    total: float = 300.0
    call: float = 60.0
    """The timeout of one call in seconds."""

    def retry(self, predicate: Callable[[Exception], bool] | None = None) -> Retry:
        """Return the retry policy of one call."""
        predicate = predicate or RetryPredicate(self.tries, lambda: False)
        return Retry(
            predicate=predicate,
            initial=self.initial,
            maximum=self.maximum,
            timeout=self.total,
            on_error=lambda error: logger.info("BigQuery is asked again: %s", summarize(error)),
        )


@dataclass(frozen=True)
class Statement:
    """The query of a job, and its ledger entry without a job id."""

    text: str
    values: Mapping[str, datetime | str | list[str]]
    cap: int
    entry: Entry

    def is_of(self, job: bigquery.QueryJob) -> bool:
        """Return whether a job runs this statement with these values."""
        given = {
            p.name: p.values if isinstance(p, bigquery.ArrayQueryParameter) else p.value for p in job.query_parameters
        }
        return bool(job.query == self.text) and given == dict(self.values)


@dataclass
class _JobRetry:
    """Decides whether to look up a job again: for a moment, BigQuery may not find a job that exists."""

    tries: RetryPredicate
    may_appear: bool

    def __call__(self, error: BaseException) -> bool:
        if not isinstance(error, NotFound):
            return self.tries(error)
        self.tries.left -= 1
        return self.may_appear and self.tries.left > 0 and not self.tries.given_up()


@dataclass(frozen=True)
class Jobs:
    """The jobs of one run."""

    client: bigquery.Client
    settings: BigQuerySettings
    ledger: Ledger
    retry_policy: RetryPolicy
    running: dict[str, bigquery.QueryJob] = field(default_factory=dict)
    given_up: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Cancel all running jobs, and start no new one."""
        self.given_up.set()
        for job in list(self.running.values()):
            with contextlib.suppress(*GOOGLE_ERRORS):
                job.cancel(retry=None, timeout=5)

    def run(self, statement: Statement) -> tuple[pl.DataFrame, Entry]:
        """Run a statement to its end. Start it again after an internal error of BigQuery.

        Returns the answer, and the entry to record once the caller has stored the answer. If a run dies before that,
        the ledger lacks the job's end, and the next run fetches the answer.
        """
        if self.given_up.is_set():
            raise NotSentError
        tries = RetryPredicate(self.retry_policy.tries, self.given_up.is_set)
        attempt = self.retry_policy.retry(tries)(lambda: self._attempt(statement, tries))
        try:
            answer: tuple[pl.DataFrame, Entry] = attempt()
        except GOOGLE_ERRORS as error:
            if fails_every_query(error):
                self.given_up.set()
            raise
        return answer

    def find(self, entry: Entry) -> bigquery.QueryJob | None:
        """Return the job of an unfinished entry; None if Winnow cannot follow it.

        If no job exists, this enters 0 bytes in the ledger. Raises transient errors: until BigQuery says whether the
        job ran, sending its query again may pay twice.
        """
        try:
            job = self._get(entry)
        except NotFound:
            if datetime.now(UTC) - entry.at > MAX_APPEARANCE_DELAY:
                self.ledger.enter(replace(entry, billed=0))
            return None
        except GoogleAPICallError as error:
            if is_transient(error):
                raise
            return None
        return job if isinstance(job, bigquery.QueryJob) else None

    def follow(self, job: bigquery.QueryJob, entry: Entry) -> tuple[pl.DataFrame, Entry]:
        """Await a job's end; return its answer, and the entry to record once the caller has stored the answer."""
        return self._await(job, entry, RetryPredicate(self.retry_policy.tries, self.given_up.is_set))

    def enter_end(self, entry: Entry, job: bigquery.QueryJob) -> None:
        """Enter the bytes that a finished job billed. An unfinished job keeps its estimate."""
        ended = self._end_of(entry, job)
        if ended != entry:
            self.ledger.enter(ended)

    def _end_of(self, entry: Entry, job: bigquery.QueryJob) -> Entry:
        if job.state != "DONE":
            return entry
        if job.total_bytes_billed is None:
            with contextlib.suppress(*GOOGLE_ERRORS):
                job.reload(retry=self.retry_policy.retry(), timeout=self.retry_policy.call)
        return replace(
            entry,
            billed=int(job.total_bytes_billed or 0),
            processed=int(job.total_bytes_processed or 0),
            cache_hit=bool(job.cache_hit),
        )

    def config(self, statement: Statement) -> bigquery.QueryJobConfig:
        """Return the job configuration of a statement."""
        parameters: list[bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter] = []
        for name, value in statement.values.items():
            if isinstance(value, list):
                parameters.append(bigquery.ArrayQueryParameter(name, "STRING", value))
            else:
                kind = "TIMESTAMP" if isinstance(value, datetime) else "STRING"
                parameters.append(bigquery.ScalarQueryParameter(name, kind, value))
        return bigquery.QueryJobConfig(
            query_parameters=parameters,
            maximum_bytes_billed=statement.cap,
            job_timeout_ms=self.settings.deadline_seconds * 1000,
            labels={"app": "winnow"},
        )

    def _attempt(self, statement: Statement, tries: RetryPredicate) -> tuple[pl.DataFrame, Entry]:
        entry = replace(
            statement.entry, job_id=f"winnow-{uuid.uuid4()}", at=datetime.now(UTC), project=self.client.project
        )
        self.ledger.enter(entry)
        return self._await(self._insert(statement, entry, tries), entry, tries)

    def _insert(self, statement: Statement, entry: Entry, tries: RetryPredicate) -> bigquery.QueryJob:
        """Send a statement. Each try has the same job id, so BigQuery never runs it twice."""
        tries_before = tries.left
        try:
            return self.client.query(
                statement.text, job_config=self.config(statement), job_id=entry.job_id,
                retry=self.retry_policy.retry(tries), job_retry=None, timeout=self.retry_policy.call,
            )  # fmt: skip
        except GoogleAPICallError as error:
            if is_transient(error):
                raise
            # The job of an earlier try may run although its response was lost.
            job = self._existing(entry, error, was_tried=tries.left < tries_before)
            if job is None or not statement.is_of(job):
                raise
            if job.error_result is not None:
                self.enter_end(entry, job)
                raise
            return job

    def _existing(self, entry: Entry, error: Exception, *, was_tried: bool) -> bigquery.QueryJob | None:
        """Return the job that exists although BigQuery refused its insert. Without one, enter 0 bytes in the ledger."""
        may_exist = isinstance(error, Conflict) or was_tried
        try:
            job = self._get(entry, may_appear=may_exist)
        except NotFound:
            if not isinstance(error, Conflict):
                self.ledger.enter(replace(entry, billed=0))
            return None
        except GOOGLE_ERRORS:
            if not may_exist:
                self.ledger.enter(replace(entry, billed=0))
            return None
        return job if isinstance(job, bigquery.QueryJob) else None

    def _get(self, entry: Entry, *, may_appear: bool = False) -> object:
        asking = _JobRetry(RetryPredicate(self.retry_policy.tries, self.given_up.is_set), may_appear)
        return self.client.get_job(
            entry.job_id,
            project=entry.project or None,
            location=self._location,
            retry=self.retry_policy.retry(asking),
            timeout=self.retry_policy.call,
        )

    @cached_property
    def _location(self) -> str | None:
        """The location of jobs, which is the table's. Outside of the US and the EU, BigQuery needs it to find a job."""
        if self.settings.location or self.settings.table == PUBLIC_TABLE:
            return self.settings.location or None
        retry_policy = self.retry_policy
        try:
            table = self.client.get_table(self.settings.table, retry=retry_policy.retry(), timeout=retry_policy.call)
        except GOOGLE_ERRORS:
            return None
        return str(table.location) if table.location else None

    def _await(self, job: bigquery.QueryJob, entry: Entry, tries: RetryPredicate) -> tuple[pl.DataFrame, Entry]:
        self.running[entry.job_id] = job
        # Do not retry for a failed or lost job. Only a new job may succeed.
        asking = self.retry_policy.retry(lambda error: job.error_result is None and not is_gone(error) and tries(error))
        frame = None
        try:
            rows = job.result(retry=asking, job_retry=None, timeout=self.settings.deadline_seconds)
            frame = pl.DataFrame(rows.to_arrow(create_bqstorage_client=False))
        except TimeoutError:
            with contextlib.suppress(*GOOGLE_ERRORS):
                job.cancel(retry=None, timeout=5)
            raise
        finally:
            del self.running[entry.job_id]
            if frame is None:
                self.enter_end(entry, job)
        return frame, replace(self._end_of(entry, job), rows=frame.height)
