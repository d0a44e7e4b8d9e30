"""A query is paid for once, whatever gets lost on the way, and the ledger books what BigQuery billed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fake_bigquery import Answer, Service, incomplete, job, lost, plain, refused, reset
from tests.rows import row
from tests.sources.bigquery.conftest import DAY, NEW, Make, ask, downloads, reasons
from winnow_dagster.core.billing import Entry
from winnow_dagster.core.coverage import ONE_DAY, Failure, Reading, Request
from winnow_dagster.core.planning import without_answered
from winnow_dagster.sources.bigquery.query import FILE_NAME, FIRST_COLUMNS
from winnow_dagster.sources.bigquery.recovery import find_unfinished
from winnow_dagster.sources.bigquery.source import BigQuerySource
from winnow_dagster.sources.interface import TransientError
from winnow_dagster.store.ledger import Ledger

BILLED = 10_485_760
"""What the fake bills for a query."""

NO_JOB = refused(404, "notFound", "Not found: Job winnow:US.winnow-1")
OTHER_SQL = Answer(body={"configuration": {"query": {"query": "SELECT 1", "queryParameters": []}}})


class Killed(BaseException):
    """The process dies."""


class DyingLedger(Ledger):
    """A ledger in whose process everything ends before the end of a query is entered."""

    def enter(self, entry: Entry) -> None:
        if entry.billed is not None:
            raise Killed
        super().enter(entry)


@pytest.fixture(autouse=True)
def _rows(service: Service) -> None:
    service.rows_for = lambda given: [
        row(date.fromisoformat(given["start"][:10]), given.get("package", "a"), downloads=7)
    ]


def killed(make_source: Make, ledger: Ledger, *requests: Request, **changes: Any) -> Entry:
    """Read until the process dies: the job has run, and the ledger has it without an end."""
    with pytest.raises(Killed):
        list(make_source(ledger=DyingLedger(ledger.path), **changes).read(requests))
    (entry,) = ledger.entries()
    assert entry.billed is None
    return entry


def read_after(source: BigQuerySource, *requests: Request) -> list[Reading | Failure]:
    """Read as a fetch does after an interrupted run: what that run paid for first."""
    recovered = list(source.recover(requests))
    answered = [request for answer in recovered for request in answer.requests]
    return [*recovered, *source.read(without_answered(requests, answered))]


def inserted(service: Service) -> list[str]:
    return [call.body["jobReference"]["jobId"] for call in service.calls if call.operation == "insert"]


# -- an answer that is lost ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [0, 1], ids=["found at once", "not found for a moment"])
def test_a_job_whose_answer_was_lost_is_followed_and_not_sent_again(
    make_source: Make, service: Service, ledger: Ledger, late: int
) -> None:
    service.script("insert", lost())
    service.script("get", *[NO_JOB] * late)
    assert downloads(list(make_source().read([ask()]))) == 7
    first, second = inserted(service)
    assert first == second
    assert [entry.billed for entry in ledger.entries()] == [BILLED]


def test_a_job_whose_answer_was_lost_is_followed_even_if_the_next_try_is_refused(
    make_source: Make, service: Service, ledger: Ledger
) -> None:
    service.script("insert", lost(), refused(403, "quotaExceeded"))
    assert downloads(list(make_source().read([ask()]))) == 7
    assert [entry.billed for entry in ledger.entries()] == [BILLED]


def test_a_job_that_asks_something_else_under_the_same_id_is_no_answer(
    make_source: Make, service: Service, ledger: Ledger
) -> None:
    service.script("insert", lost())
    service.script("get", OTHER_SQL)
    (reason,) = reasons(list(make_source().read([ask()])))
    assert "Already Exists: Job" in reason
    assert [entry.billed for entry in ledger.entries()] == [None]


def test_a_job_that_exists_and_is_never_found_counts_for_its_estimate(
    make_source: Make, service: Service, ledger: Ledger
) -> None:
    service.script("insert", lost())
    service.script("get", *[NO_JOB] * 20)
    assert len(reasons(list(make_source().read([ask()])))) == 1
    assert [entry.billed for entry in ledger.entries()] == [None]


def test_what_is_refused_at_once_has_billed_nothing(make_source: Make, service: Service, ledger: Ledger) -> None:
    service.script("insert", refused(400, "invalidQuery"))
    assert len(reasons(list(make_source().read([ask()])))) == 1
    assert service.operations()[-2:] == ["insert", "get"]
    assert [entry.billed for entry in ledger.entries()] == [0]


def test_a_refused_query_whose_job_ran_all_the_same_is_booked_with_what_it_billed(
    make_source: Make, service: Service, ledger: Ledger
) -> None:
    service.script("insert", lost(), refused(400, "invalid"))
    service.script("get", job("DONE", "resourcesExceeded"))
    assert len(reasons(list(make_source().read([ask()])))) == 1
    assert [entry.billed for entry in ledger.entries()] == [BILLED]


# -- a run that was interrupted ------------------------------------------------------------------------------------


def test_the_answer_to_an_interrupted_run_is_fetched_and_nothing_is_sent(
    make_source: Make, service: Service, ledger: Ledger
) -> None:
    entry = killed(make_source, ledger, ask())
    (reading,) = read_after(make_source(), ask())
    assert isinstance(reading, Reading)
    assert (downloads([reading]), reading.requests, reading.read_at) == (7, [ask()], entry.at)
    assert len(inserted(service)) == 1
    assert [(e.billed, e.rows) for e in ledger.entries()] == [(BILLED, 1)]
    read_after(make_source(), ask())
    assert len(inserted(service)) == 2


def test_an_answer_that_a_run_had_and_did_not_store_is_fetched_by_the_next_and_nothing_is_sent(
    make_source: Make, service: Service, ledger: Ledger
) -> None:
    # A caller asks for the next answer once it has stored the last one.
    next(make_source().read([ask()]))
    assert [entry.billed for entry in ledger.entries()] == [None]
    recovered = make_source().recover([ask()])
    assert downloads([next(recovered)]) == 7
    assert [entry.billed for entry in ledger.entries()] == [None]
    assert list(recovered) == []
    assert [(entry.billed, entry.rows) for entry in ledger.entries()] == [(BILLED, 1)]
    assert len(inserted(service)) == 1


def test_only_what_an_interrupted_run_did_not_ask_is_sent(make_source: Make, service: Service, ledger: Ledger) -> None:
    killed(make_source, ledger, ask("a", NEW, NEW + ONE_DAY), ask("b", NEW, NEW + ONE_DAY), strategy="batched")
    service.rows_for = lambda given: [
        row(date.fromisoformat(given["start"][:10]), name, downloads=7)
        for name in (["a", "b"] if "packages" in given else ["a"])
    ]
    answers = read_after(make_source(), ask("a", NEW - ONE_DAY, NEW + 2 * ONE_DAY))
    found = sorted((r, downloads([a])) for a in answers if isinstance(a, Reading) for r in a.requests)
    assert found == [
        (ask("a", NEW - ONE_DAY, NEW - ONE_DAY), 7),
        (ask("a", NEW, NEW + ONE_DAY), 7),
        (ask("a", NEW + 2 * ONE_DAY, NEW + 2 * ONE_DAY), 7),
    ]
    assert len(inserted(service)) == 3


def test_the_answer_to_an_interrupted_run_has_the_breakdowns_that_it_paid_for(
    make_source: Make, service: Service, ledger: Ledger
) -> None:
    entry = killed(make_source, ledger, ask(by=("python", "libc")))
    assert entry.columns == (*FIRST_COLUMNS, "details.python", "details.distro.libc.lib", FILE_NAME)
    (reading,) = read_after(make_source(), ask(by=("python",)))
    assert isinstance(reading, Reading)
    assert (downloads([reading]), reading.requests) == (7, [ask(by=("python", "libc"))])
    assert sorted(reading.breakdowns.select("dimension", "value", "downloads").rows()) == [
        ("libc", "", 7),
        ("python", "", 7),
    ]
    assert len(inserted(service)) == 1


def test_a_headline_that_is_paid_for_answers_a_first_reading_without_its_breakdowns(
    make_source: Make, service: Service, ledger: Ledger
) -> None:
    killed(make_source, ledger, ask())
    (reading,) = read_after(make_source(), ask(by=("python",)))
    assert (reading.requests, len(inserted(service))) == ([ask()], 1)


def test_a_headline_that_is_paid_for_does_not_replace_a_stored_day_with_breakdowns(
    make_source: Make, service: Service, ledger: Ledger
) -> None:
    killed(make_source, ledger, ask(second=True))
    again = ask(second=True, by=("python",))
    (reading,) = read_after(make_source(), again)
    assert (reading.requests, len(inserted(service))) == ([again], 2)


def test_a_job_that_still_runs_is_waited_for(make_source: Make, service: Service, ledger: Ledger) -> None:
    killed(make_source, ledger, ask())
    service.script("get", job("RUNNING"), job("RUNNING"))
    service.script("results", incomplete())
    assert downloads(read_after(make_source(), ask())) == 7
    assert len(inserted(service)) == 1


def test_a_job_is_looked_for_where_the_table_is(make_source: Make, service: Service, ledger: Ledger) -> None:
    killed(make_source, ledger, ask(), table="p.d.t")
    service.script("table", Answer(body={"location": "asia-east1"}))
    assert downloads(read_after(make_source(table="p.d.t"), ask())) == 7
    assert next(call.query["location"] for call in service.calls if call.operation == "get") == ["asia-east1"]


LEFT = {
    "its results are gone": ("results", NO_JOB),
    "it failed": ("get", job("DONE", "backendError")),
    "it ran other SQL": ("get", OTHER_SQL),
}


@pytest.mark.parametrize(("operation", "answer"), LEFT.values(), ids=LEFT)
def test_a_job_that_cannot_answer_is_booked_with_what_it_billed_and_the_query_is_sent(
    make_source: Make, service: Service, ledger: Ledger, operation: Any, answer: Answer
) -> None:
    killed(make_source, ledger, ask())
    service.script(operation, answer)
    assert downloads(read_after(make_source(), ask())) == 7
    assert len(set(inserted(service))) == 2
    assert [entry.billed for entry in ledger.entries()] == [BILLED, BILLED]


@pytest.mark.parametrize(("hours", "sent"), [(23.9, 0), (24.1, 1)])
def test_answers_are_fetched_for_as_long_as_bigquery_keeps_them(
    make_source: Make, service: Service, ledger: Ledger, hours: float, sent: int
) -> None:
    entry = killed(make_source, ledger, ask())
    ledger.enter(replace(entry, at=datetime.now(UTC) - timedelta(hours=hours)))
    assert downloads(read_after(make_source(), ask())) == 7
    assert len(inserted(service)) == 1 + sent


def test_a_job_that_nobody_waits_for_is_booked_with_what_it_billed(
    make_source: Make, service: Service, ledger: Ledger
) -> None:
    killed(make_source, ledger, ask("b"))
    assert downloads(read_after(make_source(), ask("a"))) == 7
    assert [(e.selectors, e.billed) for e in ledger.entries()] == [(["b"], BILLED), (["a"], BILLED)]


@pytest.mark.parametrize(("age", "billed"), [(timedelta(hours=1), 0), (timedelta(), None)])
def test_a_job_that_does_not_exist_billed_nothing_once_it_can_no_longer_appear(
    make_source: Make, ledger: Ledger, age: timedelta, billed: int | None
) -> None:
    ledger.enter(Entry("winnow-x", datetime.now(UTC) - age, DAY, DAY, ["a"], "per_package", 5.0))
    read_after(make_source(), ask())
    assert [entry.billed for entry in ledger.entries()] == [billed, BILLED]


@pytest.mark.parametrize("answer", [reset(), plain(502, "Bad Gateway")])
def test_nothing_is_sent_before_it_is_known_whether_a_job_ran(
    make_source: Make, service: Service, ledger: Ledger, answer: Answer
) -> None:
    killed(make_source, ledger, ask())
    service.script("get", *[answer] * 20)
    with pytest.raises(TransientError):
        read_after(make_source(), ask())
    assert len(inserted(service)) == 1


def test_an_unfinished_query_of_a_release_that_recorded_no_columns_read_the_first_ones(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.enter(Entry("1", datetime.now(UTC), DAY, DAY, ["a"], "per_package", 1.0))
    assert [entry.columns for entry in find_unfinished(ledger)] == [FIRST_COLUMNS]
