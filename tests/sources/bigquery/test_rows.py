"""The number of rows that BigQuery's table has of each day: free if it tells, else for 10 MB, else unknown."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from tests.fake_bigquery import Answer, Service, plain, refused, reset
from tests.sources.bigquery.conftest import Make
from winnow_dagster.core.billing import MB, Entry
from winnow_dagster.core.coverage import ONE_DAY, days_between
from winnow_dagster.sources.bigquery.rows import MAX_FREE_CALLS
from winnow_dagster.sources.interface import TransientError
from winnow_dagster.store.ledger import Ledger

DAY = date(2026, 9, 30)
ROWS = {DAY - 2 * ONE_DAY: 100, DAY - ONE_DAY: 90, DAY: 80}
LOST = DAY - 3 * ONE_DAY


@pytest.fixture(autouse=True)
def _partitions(service: Service) -> None:
    service.partitions = ROWS


def test_metadata_of_partitions_costs_nothing(make_source: Make, service: Service) -> None:
    assert make_source().day_rows(LOST, DAY) == {LOST: 0, **ROWS}
    assert service.operations() == ["table"] * 5


def test_if_metadata_of_partitions_equals_that_of_the_table_one_query_asks(
    make_source: Make, service: Service, ledger: Ledger
) -> None:
    service.tells_partitions = False
    assert make_source().day_rows(LOST, DAY) == {LOST: 0, **ROWS}
    assert service.operations().count("table") == 2
    (entry,) = ledger.entries()
    assert (entry.strategy, entry.first, entry.last, entry.billed) == ("partitions", LOST, DAY, 10_485_760)
    assert (entry.estimate, entry.columns, list(entry.selectors)) == (10 * MB, (), [])


@pytest.mark.parametrize("rows", [{LOST: 5, DAY: 5}, {DAY: 5}], ids=["all alike", "one day is the whole table"])
def test_numbers_that_do_not_differ_are_not_trusted(make_source: Make, service: Service, rows: dict[date, int]) -> None:
    service.partitions = rows
    assert make_source().day_rows(DAY, DAY) == {DAY: 5}
    assert service.operations().count("insert") == 1


def test_for_a_year_one_query_takes_the_place_of_hundreds_of_calls(make_source: Make, service: Service) -> None:
    first = DAY - MAX_FREE_CALLS * ONE_DAY
    found = make_source().day_rows(first, DAY)
    assert list(found) == days_between(first, DAY)
    assert sum(found.values()) == sum(ROWS.values())
    assert service.operations().count("table") == service.operations().count("insert") == 1


def test_days_that_the_table_does_not_reach_yet_are_unknown(make_source: Make, service: Service) -> None:
    service.modified = str(int(datetime(2026, 9, 30, 23, 59, tzinfo=UTC).timestamp() * 1000))
    assert set(make_source().day_rows(LOST, DAY)) == {LOST, DAY - 2 * ONE_DAY, DAY - ONE_DAY}
    assert make_source().day_rows(DAY, DAY) == {}


def partitioned(**changes: str) -> Answer:
    return Answer(body={"timePartitioning": {"type": "DAY", "field": "timestamp", **changes}})


UNKNOWN = {
    "a view": Answer(body={"type": "VIEW"}),
    "partitioned by month": partitioned(type="MONTH"),
    "partitioned by another column": partitioned(field="loaded_at"),
    "partitioned by when rows were loaded": Answer(body={"timePartitioning": {"type": "DAY"}}),
    "no permission": refused(403, "accessDenied"),
    "no table": refused(404, "notFound"),
}


@pytest.mark.parametrize("answer", UNKNOWN.values(), ids=UNKNOWN)
def test_where_partitions_are_no_days_nothing_is_known_and_nothing_is_asked(
    make_source: Make, service: Service, answer: Answer
) -> None:
    service.script("table", answer)
    assert make_source().day_rows(LOST, DAY) == {}
    assert service.operations() == ["table"]


@pytest.mark.parametrize(
    "answer", [refused(403, "accessDenied"), refused(404, "notFound"), refused(400, "invalidQuery")]
)
def test_where_the_query_for_partitions_is_refused_nothing_is_known(
    make_source: Make, service: Service, answer: Answer
) -> None:
    service.tells_partitions = False
    service.script("insert", answer)
    assert make_source().day_rows(LOST, DAY) == {}
    assert service.operations().count("insert") == 1


def test_the_query_for_partitions_respects_the_budget(
    make_source: Make, service: Service, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    service.tells_partitions = False
    ledger.enter(Entry("old", datetime.now(UTC), DAY, DAY, ["a"], "per_package", 0, billed=int(95 * MB)))
    assert make_source(budget_bytes=100 * MB).day_rows(LOST, DAY) == {}
    assert "insert" not in service.operations()
    assert "the month's budget does not allow asking BigQuery how many rows" in caplog.text


@pytest.mark.parametrize("answers", [[reset()], [plain(502, "Bad Gateway")] * 2])
def test_transient_errors_are_retried(make_source: Make, service: Service, answers: list[Answer]) -> None:
    service.script("table", *answers)
    assert make_source().day_rows(LOST, DAY) == {LOST: 0, **ROWS}


def test_a_service_that_does_not_answer_is_no_unknown_number(make_source: Make, service: Service) -> None:
    service.script("table", *[reset()] * 20)
    with pytest.raises(TransientError, match="BigQuery cannot be reached"):
        make_source().day_rows(LOST, DAY)
