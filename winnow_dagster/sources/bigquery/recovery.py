"""Recover the paid answers of jobs that an interrupted run left behind, before Winnow sends a query."""

from __future__ import annotations

import logging
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from winnow_dagster.core.coverage import Cost, Failure, Reading, Request, describe_requests
from winnow_dagster.core.names import Selector
from winnow_dagster.core.planning import without_answered
from winnow_dagster.sources.bigquery.answers import read_answer
from winnow_dagster.sources.bigquery.billing import columns_of
from winnow_dagster.sources.bigquery.errors import describe, is_gone, is_transient
from winnow_dagster.sources.bigquery.jobs import GOOGLE_ERRORS, RESULT_LIFETIME, Jobs, Statement
from winnow_dagster.sources.bigquery.query import CountQuery, dimensions_of
from winnow_dagster.sources.interface import InvalidResponseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from google.cloud import bigquery

    from winnow_dagster.core.billing import Entry
    from winnow_dagster.store.ledger import Ledger

logger = logging.getLogger(__name__)

Answers = Generator[Reading | Failure, None, list[Request]]


def find_unfinished(ledger: Ledger) -> list[Entry]:
    """Return the ledger's unfinished entries whose answer or bill still matters."""
    now = datetime.now(UTC)
    return [
        replace(entry, columns=columns_of(entry))
        for entry in ledger.entries()
        if entry.billed is None
        and ((entry.at.year, entry.at.month) == (now.year, now.month) or now - entry.at < RESULT_LIFETIME)
    ]


def recover(jobs: Jobs, unfinished: Sequence[Entry], requests: Sequence[Request]) -> Iterator[Reading | Failure]:
    """Answer requests from unfinished jobs.

    For a job whose answer it cannot fetch, this enters the billed bytes in the ledger. Raises transient errors: Winnow
    has to know whether a job ran before it sends the query again.
    """
    left = list(requests)
    for entry in unfinished:
        job = jobs.find(entry)
        if job is not None:
            left = yield from _answer_from(job, entry, jobs, left)


def _answer_from(job: bigquery.QueryJob, entry: Entry, jobs: Jobs, requests: list[Request]) -> Answers:
    are_results_kept = datetime.now(UTC) - entry.at < RESULT_LIFETIME
    query = _query_of(entry) if are_results_kept else None
    wanted = _asked_for(query, requests) if query else []
    statement = Statement(query.text(jobs.settings.table), query.parameters(), 0, entry) if query else None
    has_failed = job.state == "DONE" and job.error_result is not None
    if not query or not statement or not wanted or has_failed or not statement.is_of(job):
        jobs.enter_end(entry, job)
        return requests
    logger.info("BigQuery is asked for the answer that an interrupted run has paid for: %s", describe_requests(wanted))
    try:
        frame, ended = jobs.follow(job, entry)
    except TimeoutError as error:
        yield from (Failure(request, describe(error)) for request in wanted)
        return without_answered(requests, wanted)
    except GOOGLE_ERRORS as error:
        if is_transient(error) and not is_gone(error):
            raise
        return requests
    try:
        answer = read_answer(frame, query).keep_requested(wanted)
    except InvalidResponseError:
        jobs.ledger.enter(replace(ended, rows=None))
        return requests
    cost = Cost(1, ended.processed or 0, ended.billed or 0)
    yield Reading(
        wanted,
        answer.counts,
        cost,
        answer.unnamed,
        read_at=entry.at,
        job_id=entry.job_id,
        breakdowns=answer.breakdowns,
    )
    jobs.ledger.enter(ended)
    return without_answered(requests, wanted)


def _query_of(entry: Entry) -> CountQuery | None:
    """Return the query of an entry; None if this release has no such query."""
    try:
        dimensions = dimensions_of(entry.columns or ())
        requests = [
            Request(Selector.parse(text), entry.first, entry.last, dimensions=dimensions) for text in entry.selectors
        ]
        query = CountQuery(requests, entry.strategy)
    except (ValueError, IndexError):
        return None
    return query if query.columns == entry.columns else None


def _asked_for(query: CountQuery, requests: Sequence[Request]) -> list[Request]:
    """Return the parts of these requests that a query answers.

    They have the breakdowns of the query. A query without a breakdown of a stored day does not replace that day.
    """
    selectors, known = {request.selector for request in query.requests}, set(query.dimensions)
    parts = [
        replace(r, first=max(r.first, query.first), last=min(r.last, query.last), dimensions=query.dimensions)
        for r in requests
        if r.selector in selectors and (known.issuperset(r.dimensions) or not (r.is_reread or r.is_replacing))
    ]
    return [part for part in parts if part.first <= part.last]
