"""Raw counts from BigQuery's file_downloads: whole days, in parallel queries, within the month's budget."""

from __future__ import annotations

import logging
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from winnow_dagster.core.billing import Entry, month_total
from winnow_dagster.core.coverage import ONE_DAY, Cost, Failure, Reading, Request, describe_requests, end_of
from winnow_dagster.core.planning import contiguous
from winnow_dagster.google_access import FIRST_SECONDS
from winnow_dagster.sources.bigquery.answers import read_answer
from winnow_dagster.sources.bigquery.billing import Figures, learn
from winnow_dagster.sources.bigquery.budget import Budget, BudgetConfig, describe_left_out
from winnow_dagster.sources.bigquery.client import connect, last_modified, look_up_table
from winnow_dagster.sources.bigquery.errors import (
    FirstRequestPredicate,
    describe,
    fails_every_query,
    is_transient,
    source_error,
)
from winnow_dagster.sources.bigquery.jobs import GOOGLE_ERRORS, Jobs, NotSentError, RetryPolicy, Statement
from winnow_dagster.sources.bigquery.query import CountQuery, plan_queries
from winnow_dagster.sources.bigquery.recovery import find_unfinished, recover
from winnow_dagster.sources.bigquery.rows import PartitionRows
from winnow_dagster.sources.interface import IncompleteDaysError, InvalidResponseError, SourceError
from winnow_dagster.store.ledger import ledger_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from google.cloud import bigquery

    from winnow_dagster.sources.bigquery.settings import BigQuerySettings
    from winnow_dagster.sources.interface import SourceContext
    from winnow_dagster.store.ledger import Ledger

logger = logging.getLogger(__name__)

MAX_SCANS = 2
"""The maximum number of scans for `*` that run, or whose answers wait to be stored."""


def open_bigquery(settings: BigQuerySettings, context: SourceContext) -> BigQuerySource:
    """Return the source of a config, not connected yet."""
    configured = BudgetConfig(context.windows, context.settling, context.budget_bytes, context.dimensions)
    ledger = ledger_of(context.data_dir)
    return BigQuerySource(settings, context.credential_file, ledger, configured=configured)


class BigQuerySource:
    """Reads the configured table with the user's credentials."""

    def __init__(
        self,
        settings: BigQuerySettings,
        credential_file: Path | None,
        ledger: Ledger,
        retry_policy: RetryPolicy | None = None,
        configured: BudgetConfig | None = None,
    ) -> None:
        """Take the settings. Each method connects by itself."""
        self._settings = settings
        self._credential_file = credential_file
        self._ledger = ledger
        self._retry_policy = retry_policy or RetryPolicy()
        self._configured = configured or BudgetConfig()

    def read(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:
        """Yield answers as queries end. Re-reads that exceed the budget stay unanswered.

        Raises SourceError if nothing can be read, and IncompleteDaysError if none of the days is complete yet.
        """
        if not requests:
            return
        with connect(self._settings, self._credential_file) as client:
            modified = self._last_modified(client)
            there = [part for r in requests for part in _split(r, modified, there=True)]
            absent = [part for r in requests for part in _split(r, modified, there=False)]
            why = f"PyPI's log reaches to {modified:%Y-%m-%d %H:%M} UTC only. Run again later" if modified else ""
            if absent and not there:
                raise IncompleteDaysError(why)
            yield from (Failure(request, why) for request in absent)
            yield from self._read_what_fits(self._jobs(client), there)

    def recover(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:
        """Yield the answers of jobs that are unfinished in the ledger. Raises SourceError."""
        jobs_without_end = find_unfinished(self._ledger)
        if not jobs_without_end:
            return
        with connect(self._settings, self._credential_file) as client:
            try:
                yield from recover(self._jobs(client), jobs_without_end, requests)
            except GOOGLE_ERRORS as error:
                raise source_error(error) from None

    def figures(self) -> Figures:
        """Return the sizes and prices of queries, corrected by the ledger."""
        return learn(self._settings.figures, self._ledger.entries())

    def newest_day(self, today: date) -> date | None:
        """Return the newest day before `today` that had ended at the last write to the table. Reads no row."""
        with connect(self._settings, self._credential_file) as client:
            modified = self._last_modified(client)
        return min(modified.astimezone(UTC).date(), today) - ONE_DAY if modified else None

    def day_rows(self, first: date, last: date) -> Mapping[date, int]:
        """Return the table's number of rows on each complete day; empty if BigQuery does not report it."""
        with connect(self._settings, self._credential_file) as client:
            table = self._look_up(client)
            try:
                return PartitionRows(self._jobs(client), table).count(first, last, self._budget()) if table else {}
            except GOOGLE_ERRORS as error:
                raise source_error(error) from None

    def dry_run(self, query: CountQuery) -> int:
        """Return BigQuery's upper bound for the bytes of a query. A dry run reads and bills nothing."""
        with connect(self._settings, self._credential_file) as client:
            statement = self._statement(query, self.figures())
            config = self._jobs(client).config(statement)
            config.dry_run = True
            try:
                job = client.query(statement.text, job_config=config, job_retry=None)
            except GOOGLE_ERRORS as error:
                raise source_error(error) from None
            return int(job.total_bytes_processed or 0)

    def _jobs(self, client: bigquery.Client) -> Jobs:
        return Jobs(client, self._settings, self._ledger, self._retry_policy)

    def _last_modified(self, client: bigquery.Client) -> datetime | None:
        """Return the time of the last write to the table; None if the account may not read it."""
        return last_modified(self._look_up(client))

    def _look_up(self, client: bigquery.Client) -> bigquery.Table | None:
        p = self._retry_policy
        # This is the first request, so it notices a missing network.
        retry = p.retry(FirstRequestPredicate(p.tries, lambda: False))
        return look_up_table(client, self._settings.table, retry, min(p.call, FIRST_SECONDS))

    def _budget(self) -> Budget:
        entries = self._ledger.entries()
        return Budget(
            self._configured.budget_bytes,
            month_total(entries, datetime.now(UTC)),
            learn(self._settings.figures, entries),
            self._settings.strategy,
            self._configured,
        )

    def _read_what_fits(self, jobs: Jobs, requests: Sequence[Request]) -> Iterator[Reading | Failure]:
        """Read the requests that fit the budget. Raises SourceError if no missing day fits."""
        budget = self._budget()
        choice = budget.choose(requests, datetime.now(UTC))
        logger.info("%s. Requests to send: %d; refused: %d", budget.state(), len(choice.chosen), len(choice.refused))
        if left_out := describe_left_out(choice):
            logger.warning("%s are left out: the month's budget does not allow them", left_out)
        missing = [why for request, why in choice.refused.items() if not request.is_recount]
        if missing and not choice.chosen:
            raise SourceError(f"nothing was sent: {missing[0]}")
        yield from (Failure(request, why) for request, why in choice.refused.items())
        queries = plan_queries(choice.chosen, budget.strategy, budget.figures.scan_above)
        yield from self._answer(jobs, queries, budget.figures)

    def _answer(self, jobs: Jobs, queries: Sequence[CountQuery], figures: Figures) -> Iterator[Reading | Failure]:
        """Run queries in parallel. On an error that fails every query, send no more and raise SourceError."""
        # A scan's answer has one or two million rows, so a month of answers does not fit in memory.
        scans = [query for query in queries if query.asks_for_all]
        with ThreadPoolExecutor(self._settings.parallel, thread_name_prefix="bigquery") as pool:
            try:
                for batch, limit in (
                    ([query for query in queries if not query.asks_for_all], 2 * self._settings.parallel),
                    (scans, MAX_SCANS),
                ):
                    yield from self._answer_batch(pool, jobs, batch, limit, figures)
            finally:
                # Cancel jobs also if the run is cancelled or the caller stops reading: running queries cost money.
                pool.shutdown(wait=False, cancel_futures=True)
                jobs.cancel()

    def _answer_batch(
        self, pool: Executor, jobs: Jobs, queries: Sequence[CountQuery], limit: int, figures: Figures
    ) -> Iterator[Reading | Failure]:
        """Run queries, at most `limit` at a time. A query counts until the caller takes its answer."""
        waiting: dict[Future[tuple[Reading, Entry]], CountQuery] = {}
        left = iter(queries)
        while True:
            for query in islice(left, limit - len(waiting)):
                waiting[pool.submit(self._run, jobs, query, figures)] = query
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                query = waiting.pop(future)
                yield from _answer_of(future, query, self._ledger)

    def _run(self, jobs: Jobs, query: CountQuery, figures: Figures) -> tuple[Reading, Entry]:
        """Return an answer, and the entry to record once the caller has stored the answer."""
        what = describe_requests(query.requests)
        logger.info("BigQuery is asked for %s", what)
        frame, ended = jobs.run(self._statement(query, figures))
        logger.info("BigQuery has answered for %s: %d rows, %d bytes billed", what, frame.height, ended.billed or 0)
        try:
            answer = read_answer(frame, query)
        except InvalidResponseError:
            self._ledger.enter(replace(ended, rows=None))
            raise
        cost = Cost(1, ended.processed or 0, ended.billed or 0)
        reading = Reading(
            query.requests,
            answer.counts,
            cost,
            answer.unnamed,
            job_id=ended.job_id,
            breakdowns=answer.breakdowns,
        )
        return reading, ended

    def _statement(self, query: CountQuery, figures: Figures) -> Statement:
        cap = self._settings.maximum_bytes_billed_per_day
        entry = Entry(
            "", datetime.now(UTC), query.first, query.last, query.names, query.strategy, figures.estimate(query),
            columns=query.columns,
        )  # fmt: skip
        return Statement(
            query.text(self._settings.table),
            query.parameters(),
            figures.cap(query) if cap is None else query.days * cap,
            entry,
        )


def _answer_of(future: Future[tuple[Reading, Entry]], query: CountQuery, ledger: Ledger) -> Iterator[Reading | Failure]:
    """Yield a query's reading or its failures. After the caller has stored a reading, enter the query's end.

    Raises SourceError if the error fails every query.
    """
    try:
        reading, ended = future.result()
    except NotSentError:
        return
    except (*GOOGLE_ERRORS, InvalidResponseError) as error:
        if fails_every_query(error):
            raise source_error(error) from None
        yield from (Failure(request, describe(error), is_transient(error)) for request in query.requests)
        return
    yield reading
    ledger.enter(ended)


def _split(request: Request, modified: datetime | None, *, there: bool) -> Iterator[Request]:
    """Yield the parts of a request for days that are complete in the table; with `there=False`, the other parts."""
    days = (d for d in request.days() if (modified is None or end_of(d) <= modified) is there)
    for run in contiguous(days):
        yield replace(request, first=run[0], last=run[-1])
