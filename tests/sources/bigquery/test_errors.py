"""Each cause that BigQuery may give: the client meets Google's own answer, and a line names cause and fix."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import google_answers as google
from tests.fake_bigquery import Answer, Service, job, plain
from tests.sources.bigquery.conftest import RETRY, Make, ask, downloads, reasons
from winnow_dagster.causes_page import SECTIONS, as_markdown
from winnow_dagster.core.coverage import Reading
from winnow_dagster.sources.bigquery import errors as bigquery_errors
from winnow_dagster.sources.bigquery.causes import BIGQUERY
from winnow_dagster.sources.interface import SourceError, TransientError


@pytest.mark.parametrize(("answer", "fix"), google.FOR_ALL.values(), ids=google.FOR_ALL)
def test_a_cause_that_concerns_all_packages_is_asked_for_once_and_named_with_its_fix(
    make_source: Make, service: Service, answer: Answer, fix: str
) -> None:
    service.script("insert", *[answer] * 20)
    with pytest.raises(SourceError) as caught:
        list(make_source(parallel=1).read([ask(name) for name in "abcdefgh"]))
    assert fix in str(caught.value)
    assert "gain later" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "POST http" not in str(caught.value)
    assert not isinstance(caught.value, TransientError)
    assert service.operations().count("insert") == 1


@pytest.mark.parametrize("name", ["API not enabled", "missing scopes", "quota project", "billing", "forbidden"])
def test_a_refusal_of_the_tables_metadata_sends_no_query(make_source: Make, service: Service, name: str) -> None:
    answer, fix = google.FOR_ALL[name]
    service.script("table", *[answer] * 20)
    with pytest.raises(SourceError, match="BigQuery says ") as caught:
        list(make_source().read([ask()]))
    assert fix in str(caught.value)
    assert service.operations() == ["table"]


@pytest.mark.parametrize("answer", google.TRANSIENT.values(), ids=google.TRANSIENT)
def test_an_exceeded_rate_is_a_transient_error(make_source: Make, service: Service, answer: Answer) -> None:
    service.script("insert", answer)
    assert downloads(list(make_source().read([ask()]))) == 7
    assert service.operations().count("insert") == 2


def test_a_quota_that_a_running_query_met_is_named_as_one_that_the_request_met(
    make_source: Make, service: Service
) -> None:
    service.script("insert", job(reason="quotaExceeded", message=google.CUSTOM))
    with pytest.raises(SourceError, match="midnight Pacific time"):
        list(make_source().read([ask()]))


@pytest.mark.parametrize("operation", ["results", "get"])
def test_a_lost_job_is_sent_again_and_is_not_a_missing_table(
    make_source: Make, service: Service, operation: Any
) -> None:
    service.script("insert", job("RUNNING"))
    service.script(operation, google.answer(404, "notFound", google.NO_JOB))
    assert downloads(list(make_source().read([ask()]))) == 7
    ids = {call.body["jobReference"]["jobId"] for call in service.calls if call.operation == "insert"}
    assert len(ids) == 2


def test_jobs_that_go_missing_every_time_fail_one_package_only(make_source: Make, service: Service) -> None:
    service.script("results", *[google.answer(404, "notFound", google.NO_JOB)] * 3)
    (reason,) = reasons(list(make_source().read([ask()])))
    assert "Not found: Job" in reason
    assert "source.table" not in reason
    assert service.operations().count("insert") == RETRY.tries


@pytest.mark.parametrize("kind", ["VIEW", "EXTERNAL", "MATERIALIZED_VIEW"])
def test_a_view_or_an_external_table_is_read_with_a_warning_that_names_it(
    make_source: Make, service: Service, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    service.script("table", replace(plain(200, ""), body={"type": kind, "lastModifiedTime": "1"}))
    assert isinstance(next(make_source(table="a.b.c").read([ask()])), Reading)
    assert re.search(r"source.table: .* is a.* a day may be read before it is complete. Set source.table", caplog.text)


def test_a_page_of_a_proxy_is_not_quoted(make_source: Make, service: Service) -> None:
    service.script("insert", plain(403, "<html><h1>Blocked by Example Corp"))
    with pytest.raises(SourceError, match=r"403: a web page, not an answer of BigQuery\. .* no proxy answers"):
        list(make_source().read([ask()]))


def test_very_long_words_are_cut(make_source: Make, service: Service) -> None:
    service.script("insert", google.answer(403, "forbidden", "x" * 10_000))
    with pytest.raises(SourceError) as caught:
        list(make_source().read([ask()]))
    assert len(str(caught.value)) < 600


def test_every_reason_leads_to_a_cause_of_the_table() -> None:
    named = {*bigquery_errors.CAUSES_OF_REASONS.values(), *bigquery_errors.CAUSES_OF_WORDS.values()}
    assert named <= BIGQUERY.keys()
    assert {name for name, _ in bigquery_errors.CAUSES_OF_WORDS} <= set(bigquery_errors.CAUSES_OF_REASONS.values())


def test_no_permanent_cause_says_run_again_later() -> None:
    found = [cause for section in SECTIONS.values() for cause in section.values()]
    assert [cause for cause in found if not cause.is_transient and "gain later" in cause.fix] == []


def test_the_page_of_errors_is_what_the_code_prints() -> None:
    assert (Path(__file__).parents[3] / "docs" / "errors.md").read_text() == as_markdown()
