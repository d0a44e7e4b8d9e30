"""When Google is not well: what passes is tried again, what does not is told at once, and nothing is ever made up."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fake_bigquery import (
    COLUMNS,
    Answer,
    Cells,
    Service,
    encoded,
    hang,
    healthy,
    incomplete,
    job,
    plain,
    refused,
    reset,
)
from tests.rows import row
from tests.sources.bigquery.conftest import DAY, NEW, RETRY, ROW, ask, downloads, reasons
from winnow_dagster.core.billing import GB, Entry
from winnow_dagster.core.coverage import Failure, Reading
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.bigquery import client as bigquery_client
from winnow_dagster.sources.bigquery.billing import Figures
from winnow_dagster.sources.bigquery.budget import BudgetConfig
from winnow_dagster.sources.bigquery.settings import BigQuerySettings
from winnow_dagster.sources.bigquery.source import MAX_SCANS, BigQuerySource
from winnow_dagster.sources.interface import IncompleteDaysError, SourceError
from winnow_dagster.store.ledger import Ledger

PASSING = {
    "429": [refused(429, "rateLimitExceeded")],
    "403 rate limit": [refused(403, "rateLimitExceeded")],
    "500": [refused(500, "internalError")],
    "502 of a proxy": [plain(502, "<h1>Bad Gateway</h1>")],
    "503": [refused(503, "backendError"), refused(503, "serviceUnavailable")],
    "504": [refused(504, "")],
    "reset": [reset(), reset()],
}


@pytest.mark.parametrize("answers", PASSING.values(), ids=PASSING)
@pytest.mark.parametrize("operation", ["insert", "results", "table"])
def test_what_may_pass_is_tried_again(
    make_source: Callable[..., BigQuerySource], service: Service, operation: Any, answers: list[Answer]
) -> None:
    service.script(operation, *answers)
    assert downloads(list(make_source().read([ask()]))) == 7
    assert service.operations().count(operation) > len(answers)


def test_scans_for_everything_are_sent_as_their_answers_are_taken(
    make_source: Callable[..., BigQuerySource], service: Service
) -> None:
    service.rows_for = lambda given: [
        row(date.fromisoformat(given["start"][:10]), given.get("package", "a"), downloads=7)
    ]
    answers = make_source().read([ask("b"), ask("*", DAY - timedelta(days=9))])
    assert isinstance(next(answers), Reading)
    for taken in range(2, 12):
        assert isinstance(next(answers), Reading)
        assert service.operations().count("insert") <= taken + MAX_SCANS
    assert next(answers, None) is None
    assert service.operations().count("insert") == 11


def test_a_call_that_hangs_is_given_up_and_made_again(
    make_source: Callable[..., BigQuerySource], service: Service
) -> None:
    service.script("insert", hang())
    assert downloads(list(make_source().read([ask()]))) == 7
    assert service.operations().count("insert") == 2


@pytest.mark.parametrize("reason", ["jobInternalError", "backendError", "internalError", "jobBackendError"])
def test_a_job_that_failed_inside_bigquery_is_started_anew(
    make_source: Callable[..., BigQuerySource], service: Service, reason: str, ledger: Ledger
) -> None:
    service.script("insert", job("DONE", reason))
    assert downloads(list(make_source().read([ask()]))) == 7
    assert service.operations().count("insert") == 2
    assert len({call.body["jobReference"]["jobId"] for call in service.calls if call.operation == "insert"}) == 2
    assert [entry.billed for entry in ledger.entries()] == [10_485_760] * 2


def test_an_answer_lost_on_the_way_is_asked_for_again_under_the_same_job(
    make_source: Callable[..., BigQuerySource], service: Service
) -> None:
    service.script("insert", reset())
    list(make_source().read([ask()]))
    assert len({call.body["jobReference"]["jobId"] for call in service.calls if call.operation == "insert"}) == 1


def test_trying_again_ends_after_so_many_tries_and_says_what_it_was(
    make_source: Callable[..., BigQuerySource], service: Service
) -> None:
    service.script("insert", *[refused(503, "backendError", "the tubes are clogged")] * 20)
    assert reasons(list(make_source().read([ask()]))) == [
        "BigQuery says backendError: the tubes are clogged. Run again later"
    ]
    assert service.operations().count("insert") == RETRY.tries


def test_a_service_that_cannot_be_reached_is_one_line(
    service: Service, make_source: Callable[..., BigQuerySource]
) -> None:
    service.script("table", *[reset()] * 20)
    with pytest.raises(SourceError, match=r"^BigQuery cannot be reached\. Check the network and run again$"):
        list(make_source().read([ask()]))


FOR_ALL = {
    "permission denied": (refused(403, "accessDenied"), "roles/bigquery.jobUser"),
    "table not found": (refused(404, "notFound"), "Correct source.table"),
    "quota or free tier exhausted": (refused(403, "quotaExceeded"), "Wait until it renews"),
    "billing not enabled": (refused(403, "billingNotEnabled"), "Enable billing"),
}


@pytest.mark.parametrize(("answer", "fix"), FOR_ALL.values(), ids=FOR_ALL)
def test_what_fails_every_query_is_told_at_once_and_sent_once(
    make_source: Callable[..., BigQuerySource], service: Service, ledger: Ledger, answer: Answer, fix: str
) -> None:
    service.script("insert", *[answer] * 20)
    with pytest.raises(SourceError) as caught:
        list(make_source(parallel=1).read([ask(name) for name in "abcdefgh"]))
    assert fix in str(caught.value)
    assert "\n" not in str(caught.value)
    assert service.operations().count("insert") == 1
    assert sum(entry.counted_bytes for entry in ledger.entries() if entry.billed is not None) == 0


FOR_ONE = {
    "bad request": (refused(400, "invalidQuery"), "source.table has the schema"),
    "bytes cap exceeded": (refused(400, "bytesBilledLimitExceeded"), "maximum_bytes_billed_per_day"),
    "bytes cap exceeded while it ran": (job("DONE", "bytesBilledLimitExceeded"), "maximum_bytes_billed_per_day"),
    "resources exceeded": (job("DONE", "resourcesExceeded"), "fewer days at once"),
}


@pytest.mark.parametrize(("answer", "fix"), FOR_ONE.values(), ids=FOR_ONE)
def test_what_fails_one_query_is_not_tried_again_and_does_not_stop_the_rest(
    make_source: Callable[..., BigQuerySource], service: Service, answer: Answer, fix: str
) -> None:
    service.rows = []
    service.script("insert", healthy(), answer, healthy())
    answers = list(make_source(parallel=1).read([ask("a"), ask("b"), ask("c")]))
    assert [str(r.selector) for a in answers if isinstance(a, Reading) for r in a.requests] == ["a", "c"]
    (reason,) = reasons(answers)
    assert fix in reason
    assert service.operations().count("insert") == 3


OTHER = row(DAY, "a", system=None)
"""A row beside ROW, of the same package and day."""

ODD: dict[str, tuple[Mapping[str, str], Cells]] = {
    "a package that was not asked for": (COLUMNS, {**OTHER, "package": "b"}),
    "no package at all": (COLUMNS, {**OTHER, "package": None}),
    "a negative count": (COLUMNS, {**OTHER, "downloads": -1}),
    "a count of nothing": (COLUMNS, {**OTHER, "downloads": None}),
    "a day before the range": (COLUMNS, {**OTHER, "date": DAY - timedelta(days=1)}),
    "a day after the range": (COLUMNS, {**OTHER, "date": DAY + timedelta(days=1)}),
    "a missing column": ({name: kind for name, kind in COLUMNS.items() if name != "downloads"}, OTHER),
    "a count that is no integer": ({**COLUMNS, "downloads": "FLOAT"}, {**OTHER, "downloads": 1.5}),
}


@pytest.mark.parametrize(("columns", "odd"), ODD.values(), ids=ODD)
def test_an_odd_answer_is_an_error_and_never_a_number(
    make_source: Callable[..., BigQuerySource], service: Service, columns: Mapping[str, str], odd: Cells
) -> None:
    service.rows, service.columns = [ROW, odd], columns
    answers = list(make_source().read([ask()]))
    assert downloads(answers) == 0
    assert reasons(answers)[0].startswith("BigQuery's answer h")


def test_a_query_that_outlasts_its_deadline_is_cancelled(
    make_source: Callable[..., BigQuerySource], service: Service
) -> None:
    service.script("insert", job("RUNNING"))
    # More than any machine asks for in a second.
    service.script("get", *[job("RUNNING")] * 100_000)
    service.script("results", *[incomplete()] * 100_000)
    (reason,) = reasons(list(make_source(deadline_seconds=1).read([ask()])))
    assert reason.startswith("the query took longer than source.deadline_seconds and was cancelled")
    assert "cancel" in service.operations()


def test_a_cancelled_run_cancels_its_jobs(make_source: Callable[..., BigQuerySource], service: Service) -> None:
    service.rows = []
    service.script("results", healthy(), healthy(), hang(), hang())
    answers = make_source(parallel=1).read([ask("a"), ask("b"), ask("c")])
    assert isinstance(next(answers), Reading)
    service.wait_until(lambda calls: calls.count("insert") == 2 and calls[-1] == "results")
    assert isinstance(answers, Generator)
    closing = threading.Thread(target=answers.close)
    closing.start()
    service.wait_until(lambda calls: "cancel" in calls)
    service.release()
    closing.join()
    cancelled = {call.job for call in service.calls if call.operation == "cancel"}
    inserted = [call.body["jobReference"]["jobId"] for call in service.calls if call.operation == "insert"]
    assert cancelled == {inserted[1]}
    assert len(inserted) == 2


def test_a_day_that_the_table_does_not_hold_whole_yet_is_not_read(
    make_source: Callable[..., BigQuerySource], service: Service
) -> None:
    end = datetime(2025, 7, 1, tzinfo=UTC)
    service.modified = str(int(end.timestamp() * 1000) - 1)
    with pytest.raises(IncompleteDaysError, match="reaches to 2025-06-30 23:59 UTC only. Run again later"):  # noqa: RUF043
        list(make_source().read([ask()]))
    assert "insert" not in service.operations()
    service.rows = []
    answers = list(make_source().read([ask("a", DAY - timedelta(days=1), DAY)]))
    assert [a.request for a in answers if isinstance(a, Failure)] == [ask()]
    assert [r.last for a in answers if isinstance(a, Reading) for r in a.requests] == [DAY - timedelta(days=1)]
    service.modified = str(int(end.timestamp() * 1000))
    service.rows = [ROW]
    assert downloads(list(make_source().read([ask()]))) == 7


def test_a_table_whose_last_change_may_not_be_known_is_read_all_the_same(
    make_source: Callable[..., BigQuerySource], service: Service
) -> None:
    service.script("table", refused(403, "accessDenied"))
    assert downloads(list(make_source().read([ask()]))) == 7


def test_what_a_query_asks_for_goes_in_as_parameters_under_a_cap(
    make_source: Callable[..., BigQuerySource], service: Service
) -> None:
    service.rows = []
    list(
        make_source(strategy="batched").read(
            [ask("secret-name", DAY, DAY + timedelta(days=1)), ask("x-*", DAY, DAY + timedelta(days=1))]
        )
    )
    (insert,) = [call.body["configuration"] for call in service.calls if call.operation == "insert"]
    assert "secret-name" not in insert["query"]["query"]
    assert "2025" not in insert["query"]["query"]
    assert {p["name"]: p["parameterValue"].get("value") for p in insert["query"]["queryParameters"]} == {
        "start": "2025-06-30 00:00:00+00:00",
        "end": "2025-07-02 00:00:00+00:00",
        "package": "secret-name",
        "prefix_0": "x-",
    }
    assert int(insert["query"]["maximumBytesBilled"]) > 2 * 371 * GB
    assert insert["jobTimeoutMs"] == "600000"


def test_a_cap_of_the_users_holds_for_every_day(make_source: Callable[..., BigQuerySource], service: Service) -> None:
    service.rows = []
    list(
        make_source(maximum_bytes_billed_per_day=400 * GB).read([ask("a", DAY - timedelta(days=1)), ask("a", NEW, NEW)])
    )
    caps = [call.body["configuration"]["query"]["maximumBytesBilled"] for call in service.calls if call.body]
    assert sorted(caps) == [str(400 * GB), str(800 * GB)]


def test_nothing_is_sent_where_it_does_not_fit_the_budget(
    make_source: Callable[..., BigQuerySource], service: Service, ledger: Ledger
) -> None:
    spent = Entry("old", datetime.now(UTC), DAY, DAY, ["a"], "per_package", 0, billed=900_000_000)
    ledger.enter(spent)
    with pytest.raises(SourceError) as caught:
        list(make_source(budget_bytes=1e9).read([ask("a")]))
    assert "insert" not in service.operations()
    for text in ("take 900 MB", "about 334 MB more", "the budget is 1.0 GB", "Raise budget.tib_per_month"):
        assert text in str(caught.value)


def test_near_the_budget_second_readings_are_left_out_with_a_warning(
    make_source: Callable[..., BigQuerySource], service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    before = DAY - timedelta(days=3)
    answers = list(make_source(budget_bytes=400e6).read([ask(), ask("a", before, before, second=True)]))
    assert [r for a in answers if isinstance(a, Reading) for r in a.requests] == [ask()]
    assert reasons(answers) == []
    assert service.operations().count("insert") == 1
    assert "re-reads of 2025-06-27 are left out: the month's budget does not allow them" in caplog.text


def test_near_the_budget_the_last_entry_is_read_without_its_breakdown_with_a_warning(
    make_source: Callable[..., BigQuerySource], service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.rows_for = lambda given: [row(NEW, given["package"], downloads=7)]
    requests = [ask(name, NEW, NEW, by=("python",)) for name in "ab"]
    readings = [a for a in make_source(budget_bytes=220e6).read(requests) if isinstance(a, Reading)]
    found = {request: reading for reading in readings for request in reading.requests}
    assert set(found) == {requests[0], ask("b", NEW, NEW)}
    assert found[requests[0]].breakdowns.rows() == [(NEW, "a", "python", "", "pip", None, 7)]
    assert found[ask("b", NEW, NEW)].breakdowns.is_empty()
    assert downloads(readings) == 14
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["breakdowns of `b` are left out: the month's budget does not allow them"]


def test_an_answer_whose_breakdown_does_not_sum_to_its_counts_is_not_counted(
    make_source: Callable[..., BigQuerySource], service: Service, ledger: Ledger
) -> None:
    service.rows = [
        row(NEW, "a", downloads=7),
        {"date": NEW, "package": "a", "installer": "pip", "dimension": "python", "value": "3.12", "downloads": 6},
    ]
    (reason,) = reasons(list(make_source().read([ask("a", NEW, NEW, by=("python",))])))
    assert "a breakdown that does not sum to its counts" in reason
    assert [entry.rows for entry in ledger.entries()] == [None]


def test_one_entry_that_does_not_fit_the_budget_fails_with_the_sentence_and_the_others_are_read(
    make_source: Callable[..., BigQuerySource], service: Service
) -> None:
    answers = list(make_source(budget_bytes=1e9).read([ask("*"), ask("a")]))
    assert downloads(answers) == 7
    (failure,) = [answer for answer in answers if isinstance(answer, Failure)]
    assert failure.request == ask("*")
    assert "`*` needs about 0.34 TiB more, and the budget is 1.0 GB. Raise budget.tib_per_month" in failure.reason
    assert service.operations().count("insert") == 1


def test_re_reads_leave_room_for_the_first_readings_of_the_rest_of_the_month(
    service: Service, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    configured = BudgetConfig({Selector(f"p{n}"): 30 for n in range(1000)}, budget_bytes=90e9)
    settings = BigQuerySettings(strategy="per_package")
    source = BigQuerySource(settings, None, ledger, RETRY, configured)
    assert list(source.read([ask("a", second=True)])) == []
    assert "insert" not in service.operations()
    assert "re-reads of 2025-06-30 are left out" in caplog.text


# -- credentials: the real flow, with keys whose tokens the fake gives out ------------------------------------------


@pytest.fixture
def with_credentials(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Google's library still goes to the fake; Winnow no longer takes it for an emulator that needs no credentials.
    monkeypatch.setattr(bigquery_client, "EMULATOR_VARIABLE", "NOT_AN_EMULATOR")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("HOME", str(tmp_path))


def write_key(path: Path, service: Service, **changes: str) -> Path:
    path.write_text(json.dumps(service.key(**changes)))
    return path


@pytest.mark.usefixtures("with_credentials")
@pytest.mark.parametrize("way", ["credential_file", "GOOGLE_APPLICATION_CREDENTIALS", "GCP_CREDENTIALS"])
def test_credentials_come_from_the_file_the_variable_or_the_encoded_variable(
    make_source: Callable[..., BigQuerySource],
    service: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    key = write_key(tmp_path / "key.json", service, project_id="from-the-key")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key) if way.startswith("GOOGLE") else "")
    if way == "GCP_CREDENTIALS":
        monkeypatch.setenv(way, encoded(json.loads(key.read_text())))
    source = make_source(
        key=key if way == "credential_file" else None, project="" if way != "GCP_CREDENTIALS" else "p-1"
    )
    assert downloads(list(source.read([ask()]))) == 7
    assert "token" in service.operations()
    assert {call.project for call in service.calls if call.operation == "insert"} <= {"from-the-key", "p-1"}


BAD_KEYS = {
    "missing": (None, "cannot be read: No such file or directory"),
    "not JSON": ("-----BEGIN SECRET-----", "is not JSON"),
    "of the wrong type": ('{"type": "SECRET"}', "is not a Google credential file"),
    "not a key at all": ("[1]", "is not a Google credential file"),
    "without a private key": ('{"type": "service_account", "client_email": "SECRET"}', "no usable Google credentials"),
}


@pytest.mark.usefixtures("with_credentials")
@pytest.mark.parametrize(("content", "complaint"), BAD_KEYS.values(), ids=BAD_KEYS)
def test_a_credential_file_that_is_none_is_named_and_not_quoted(
    make_source: Callable[..., BigQuerySource], service: Service, tmp_path: Path, content: str | None, complaint: str
) -> None:
    key = tmp_path / "key.json"
    if content is not None:
        key.write_text(content)
    with pytest.raises(SourceError) as caught:
        list(make_source(key=key).read([ask()]))
    assert complaint in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert "source.credential_file" in str(caught.value)
    assert service.calls == []


@pytest.mark.usefixtures("with_credentials")
@pytest.mark.parametrize("value", ["%%%SECRET", "U0VDUkVU", "WzFd"])
def test_an_encoded_key_that_is_none_is_not_quoted(
    make_source: Callable[..., BigQuerySource], monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("GCP_CREDENTIALS", value)
    with pytest.raises(SourceError, match=r"^\$GCP_CREDENTIALS is not a key in base64|no usable") as caught:
        list(make_source(project="p-1").read([ask()]))
    assert "SECRET" not in str(caught.value)


@pytest.mark.usefixtures("with_credentials")
def test_no_credentials_at_all_says_the_three_ways_to_give_them(make_source: Callable[..., BigQuerySource]) -> None:
    with pytest.raises(SourceError) as caught:
        list(make_source(project="p-1").read([ask()]))
    for way in ("source.credential_file", "GOOGLE_APPLICATION_CREDENTIALS", "GCP_CREDENTIALS"):
        assert way in str(caught.value)


@pytest.mark.usefixtures("with_credentials")
@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("token", plain(400, '{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}')),
        ("table", refused(401, "authError", "Invalid Credentials")),
    ],
)
def test_rejected_credentials_are_told_without_trying_again_and_again(
    make_source: Callable[..., BigQuerySource], service: Service, tmp_path: Path, operation: Any, answer: Answer
) -> None:
    service.script(operation, *[answer] * 20)
    with pytest.raises(SourceError, match="Google rejects the credentials"):
        list(make_source(key=write_key(tmp_path / "key.json", service)).read([ask()]))
    assert service.operations().count(operation) <= 3
    assert "insert" not in service.operations()


def test_a_threshold_of_the_figures_decides_between_queries_and_a_scan(
    make_source: Callable[..., BigQuerySource], ledger: Ledger, service: Service
) -> None:
    service.rows = []
    figures = Figures(package_day_bytes=10e6, scan_day_bytes=35e6)
    source = make_source(figures=figures)
    list(source.read([ask(name, NEW, NEW) for name in "abc"]))
    list(source.read([ask(name, NEW, NEW) for name in "abcd"]))
    assert [(e.strategy, len(e.selectors)) for e in ledger.entries()] == [("per_package", 1)] * 3 + [("scan", 4)]
