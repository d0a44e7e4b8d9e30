"""The log has a line for each request, answer, retry and decision about the budget. A run's page shows them."""

from __future__ import annotations

import logging

import pytest

from tests.fake_bigquery import Service, refused
from tests.sources.bigquery.conftest import DAY, Make, ask, downloads
from winnow_dagster.core.billing import TIB


def test_requests_answers_retries_and_the_budget_are_logged(
    make_source: Make, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "winnow_dagster")
    service.script("insert", refused(503, "backendError"))
    assert downloads(list(make_source(budget_bytes=TIB).read([ask()]))) == 7
    budget, sent, again, answered = caplog.messages
    assert budget == "Billed this month: 0 MB of 1.00 TiB. Requests to send: 1; refused: 0"
    assert sent == f"BigQuery is asked for a, {DAY}"
    assert again == "BigQuery is asked again: BigQuery says backendError: scripted"
    assert answered == f"BigQuery has answered for a, {DAY}: 1 rows, 10485760 bytes billed"
