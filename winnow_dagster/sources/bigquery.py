"""Raw counts from BigQuery's file_downloads: whole days, few queries side by side, each entered in the ledger."""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

import polars as pl
from google.api_core.exceptions import GoogleAPICallError, GoogleAPIError
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from requests.exceptions import RequestException

from winnow_dagster.core.cost import Budget, Entry, Figures, affordable, learn, month_total
from winnow_dagster.core.coverage import ONE_DAY, Cost, Failure, Reading, Request, contiguous, end_of
from winnow_dagster.core.honesty import RAW_SCHEMA
from winnow_dagster.core.names import is_name, matches_any
from winnow_dagster.core.query import CountQuery, plan_queries
from winnow_dagster.google_access import FIRST_SECONDS
from winnow_dagster.sources.bigquery_client import connect, last_modified
from winnow_dagster.sources.bigquery_errors import (
    FirstTries,
    Tries,
    concerns_all,
    describe,
    is_gone,
    is_passing,
    source_error,
)
from winnow_dagster.sources.interface import NotThereYetError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date
    from pathlib import Path

    from winnow_dagster.settings import BigQuerySettings
    from winnow_dagster.storage.ledger import Ledger

logger = logging.getLogger(__name__)

MOST_DOWNLOADS = 10**16
"""Of one package, installer and system on one day. All of PyPI has 10**10; years of this still fit 64 bits."""

MOST_SCANS = 2
"""How many scans for everything are sent, or answered and not yet stored, at a time."""

GOOGLE_ERRORS = (GoogleAPIError, GoogleAuthError, RequestException, TimeoutError)


class OddAnswerError(Exception):
    """An answer holds what no answer can hold; nothing of it is a number."""


class NotSentError(Exception):
    """A query was given up before it was sent; whatever the reason, another query tells it."""


@dataclass(frozen=True)
class Patience:
    """How long a call that may succeed later is tried again: jittered, doubling from `initial` to `maximum` seconds."""

    tries: int = 6
    initial: float = 1.0
    maximum: float = 30.0
    total: float = 300.0
    call: float = 60.0
    """How many seconds one call may take."""


@dataclass
class _Jobs:
    """The jobs that are running, so that they can be cancelled."""

    running: dict[str, bigquery.QueryJob] = field(default_factory=dict)
    given_up: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Cancel all that runs, and let nothing new start."""
        self.given_up.set()
        for job in list(self.running.values()):
            with contextlib.suppress(*GOOGLE_ERRORS):
                job.cancel(retry=None, timeout=5)


class BigQuerySource:
    """The table of the settings, read with the credentials of the user."""

    def __init__(
        self, settings: BigQuerySettings, credential_file: Path | None, ledger: Ledger, patience: Patience | None = None
    ) -> None:
        """Connect to nothing yet."""
        self._settings = settings
        self._credential_file = credential_file
        self._ledger = ledger
        self._patience = patience or Patience()
        self._figures = settings.figures

    def read(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:
        """Answer requests as queries end. Second readings that the budget does not allow stay unanswered.

        Raises SourceError where nothing can be read, and NotThereYetError where no day asked for is complete yet.
        """
        if not requests:
            return
        with connect(self._settings, self._credential_file) as client:
            modified = self._last_modified(client)
            there = [part for r in requests for part in _split(r, modified, there=True)]
            absent = [part for r in requests for part in _split(r, modified, there=False)]
            why = f"PyPI's log reaches to {modified:%Y-%m-%d %H:%M} UTC only. Run again later" if modified else ""
            if absent and not there:
                raise NotThereYetError(why)
            yield from (Failure(request, why) for request in absent)
            yield from self._answer(client, self._afford(there))

    def figures(self) -> Figures:
        """Return what queries cost, from the ledger where it knows."""
        return learn(self._settings.figures, self._ledger.entries())

    def newest_day(self, today: date) -> date | None:
        """Return the newest day before `today` that was over when the table was last written to. Asks for no row."""
        with connect(self._settings, self._credential_file) as client:
            modified = self._last_modified(client)
        return min(modified.astimezone(UTC).date(), today) - ONE_DAY if modified else None

    def dry_run(self, query: CountQuery) -> int:
        """Return BigQuery's own upper bound for the bytes of a query; nothing is read or billed."""
        with connect(self._settings, self._credential_file) as client:
            config = self._job_config(query)
            config.dry_run = True
            try:
                job = client.query(query.text(self._settings.table), job_config=config, job_retry=None)
            except GOOGLE_ERRORS as error:
                raise source_error(error) from None
            return int(job.total_bytes_processed or 0)

    def _last_modified(self, client: bigquery.Client) -> datetime | None:
        """Return when the table was last written to; None where the account may not know."""
        p = self._patience
        # The first request of all: whether there is a network is found out here.
        retry = self._retry(FirstTries(p.tries, lambda: False))
        return last_modified(client, self._settings.table, retry, min(p.call, FIRST_SECONDS))

    def _afford(self, requests: Sequence[Request]) -> list[CountQuery]:
        entries = self._ledger.entries()
        figures = self._figures = learn(self._settings.figures, entries)
        queries = plan_queries(requests, self._settings.strategy, figures.scan_above)
        budget, spent = Budget(self._settings.budget_bytes), month_total(entries, datetime.now(UTC))
        try:
            sent, dropped = affordable(queries, figures, budget, spent)
        except ValueError as error:
            raise SourceError(f"nothing was sent: {error}") from None
        if dropped:
            days = sorted({f"{q.first}" if q.days == 1 else f"{q.first} to {q.last}" for q in dropped})
            logger.warning(
                "second readings of %s are left out: the month's budget does not allow them", ", ".join(days)
            )
        return sent

    def _answer(self, client: bigquery.Client, queries: Sequence[CountQuery]) -> Iterator[Reading | Failure]:
        """Run queries side by side; stop sending where what failed for one fails for all, and raise SourceError."""
        jobs = _Jobs()
        # Each scan answers with a million rows or two: those of a month would not fit in memory.
        scans = [query for query in queries if query.asks_for_all]
        with ThreadPoolExecutor(self._settings.parallel, thread_name_prefix="bigquery") as pool:
            try:
                for some, most in (
                    ([query for query in queries if not query.asks_for_all], 2 * self._settings.parallel),
                    (scans, MOST_SCANS),
                ):
                    yield from self._answer_some(pool, client, some, most, jobs)
            finally:
                # Also where a run was cancelled, or its reader wants no more: what still runs would be paid for.
                pool.shutdown(wait=False, cancel_futures=True)
                jobs.cancel()

    def _answer_some(
        self, pool: Executor, client: bigquery.Client, queries: Sequence[CountQuery], most: int, jobs: _Jobs
    ) -> Iterator[Reading | Failure]:
        """Run queries, of which only so many are sent, or answered and not yet taken, at a time."""
        waiting: dict[Future[Reading], CountQuery] = {}
        left = iter(queries)
        while True:
            for query in islice(left, most - len(waiting)):
                waiting[pool.submit(self._run, client, query, jobs)] = query
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                query = waiting.pop(future)
                yield from _answer_of(future, query)

    def _run(self, client: bigquery.Client, query: CountQuery, jobs: _Jobs) -> Reading:
        """Run one query to its end, again from the start where BigQuery failed inside."""
        if jobs.given_up.is_set():
            raise NotSentError
        tries = Tries(self._patience.tries, jobs.given_up.is_set)
        attempt = self._retry(tries)(lambda: self._attempt(client, query, jobs, tries))
        try:
            reading: Reading = attempt()
        except GOOGLE_ERRORS as error:
            if concerns_all(error):
                jobs.given_up.set()
            raise
        return reading

    def _attempt(self, client: bigquery.Client, query: CountQuery, jobs: _Jobs, tries: Tries) -> Reading:
        entry = Entry(
            f"winnow-{uuid.uuid4()}", datetime.now(UTC), query.first, query.last, query.names, query.strategy,
            self._figures.estimate(query),
        )  # fmt: skip
        self._ledger.enter(entry)
        try:
            # The same job id at each call: an answer lost on the way is asked for again, not paid for again.
            job = client.query(
                query.text(self._settings.table), job_config=self._job_config(query), job_id=entry.job_id,
                retry=self._retry(tries), job_retry=None, timeout=self._patience.call,
            )  # fmt: skip
        except GoogleAPICallError as error:
            if not is_passing(error):
                self._ledger.enter(replace(entry, billed=0))
            raise
        jobs.running[entry.job_id] = job
        # A job that has failed stays failed however often it is asked; only a new one may succeed.
        asking = self._retry(lambda error: job.error_result is None and not is_gone(error) and tries(error))
        try:
            rows = job.result(retry=asking, job_retry=None, timeout=self._settings.deadline_seconds)
            frame = pl.DataFrame(rows.to_arrow(create_bqstorage_client=False))
        except TimeoutError:
            with contextlib.suppress(*GOOGLE_ERRORS):
                job.cancel(retry=None, timeout=5)
            raise
        finally:
            del jobs.running[entry.job_id]
            entry = self._enter_end(entry, job)
        frame = check_answer(frame, query)
        self._ledger.enter(replace(entry, rows=frame.height))
        return Reading(query.requests, frame, Cost(1, entry.processed or 0, entry.billed or 0))

    def _enter_end(self, entry: Entry, job: bigquery.QueryJob) -> Entry:
        """Enter what a job billed, once it is over; a job that is not keeps its estimate."""
        if job.state != "DONE":
            return entry
        ended = replace(
            entry,
            billed=int(job.total_bytes_billed or 0),
            processed=int(job.total_bytes_processed or 0),
            cache_hit=bool(job.cache_hit),
        )
        self._ledger.enter(ended)
        return ended

    def _job_config(self, query: CountQuery) -> bigquery.QueryJobConfig:
        parameters: list[bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter] = []
        for name, value in query.parameters().items():
            if isinstance(value, list):
                parameters.append(bigquery.ArrayQueryParameter(name, "STRING", value))
            else:
                kind = "TIMESTAMP" if isinstance(value, datetime) else "STRING"
                parameters.append(bigquery.ScalarQueryParameter(name, kind, value))
        return bigquery.QueryJobConfig(
            query_parameters=parameters,
            maximum_bytes_billed=query.days * self._settings.maximum_bytes_billed_per_day,
            job_timeout_ms=self._settings.deadline_seconds * 1000,
            labels={"app": "winnow"},
        )

    def _retry(self, tries: Callable[[Exception], bool] | None = None) -> Retry:
        p = self._patience
        predicate = tries or Tries(p.tries, lambda: False)
        return Retry(predicate=predicate, initial=p.initial, maximum=p.maximum, timeout=p.total)


def _answer_of(future: Future[Reading], query: CountQuery) -> Iterator[Reading | Failure]:
    """Give what a query came to. Raises SourceError where it failed of something that fails every query."""
    try:
        yield future.result()
    except NotSentError:
        return
    except (*GOOGLE_ERRORS, OddAnswerError) as error:
        if concerns_all(error):
            raise source_error(error) from None
        yield from (Failure(request, describe(error), is_passing(error)) for request in query.requests)


def check_answer(frame: pl.DataFrame, query: CountQuery) -> pl.DataFrame:
    """Return an answer without what a prefix selects and is no package's name.

    Raises OddAnswerError unless it holds the columns, packages and days asked for, and counts that can be.
    """
    if frame.schema != RAW_SCHEMA:
        raise OddAnswerError(f"BigQuery's answer has the columns {dict(frame.schema)}, not {dict(RAW_SCHEMA)}")
    if any(request.selector.is_prefix for request in query.requests):
        frame = frame.filter(is_name("package"))
    asked_for = matches_any([request.selector for request in query.requests], "package")
    odd = {
        "a package that was not asked for": frame.filter(~asked_for.fill_null(value=False)),
        "a count twice": frame.filter(frame.select(pl.exclude("downloads")).is_duplicated()),
        "a day that was not asked for": frame.filter(
            ~pl.col("date").is_between(query.first, query.last).fill_null(value=False)
        ),
        "a count that cannot be": frame.filter(
            ~pl.col("downloads").is_between(1, MOST_DOWNLOADS).fill_null(value=False)
        ),
    }
    for what, rows in odd.items():
        if not rows.is_empty():
            raise OddAnswerError(f"BigQuery's answer holds {what}: {rows.row(0)}. Nothing of it is counted; run again")
    return frame


def _split(request: Request, modified: datetime | None, *, there: bool) -> Iterator[Request]:
    """Split off a request the days that the table holds whole, or those that it does not."""
    days = (d for d in request.days() if (modified is None or end_of(d) <= modified) is there)
    for run in contiguous(days):
        yield replace(request, first=run[0], last=run[-1])
