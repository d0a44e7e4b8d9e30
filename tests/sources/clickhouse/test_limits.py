"""A server that cuts answers off at its limits, with status 200: no cut-off answer becomes a number."""

from __future__ import annotations

from collections.abc import Sequence

import clickhouse_connect
import pytest

from tests.clickhouse_service import LIMITS_OF_DEMO, Service
from tests.sources.clickhouse.conftest import DAYS, FIRST, Make, ask, days_read, downloads, reasons
from winnow_dagster.sources.clickhouse.limits import OVERFLOW_SETTINGS, Limits, NearLimitError, usage
from winnow_dagster.sources.clickhouse.settings import NO_LIMITS

ROWS = 100_000
"""The rows of `big` on each day."""


@pytest.fixture
def big(service: Service) -> Service:
    service.engine.insert(DAYS[:-1], "big", ROWS)
    service.settings |= {"max_rows_to_read": "250000", "max_threads": "1"}
    return service


def count_as_others_do(service: Service) -> int:
    """Count the rows of `big` in one query, as a client that does not mind the limits."""
    client = clickhouse_connect.get_client(
        host="127.0.0.1", port=service.port, username="demo", password="", autogenerate_session_id=False
    )
    result = client.query("SELECT project, count() FROM `pypi`.`pypi` WHERE project = 'big' GROUP BY project")
    client.close()
    return int(result.result_rows[0][1])


def test_the_server_of_these_tests_returns_a_part_of_the_sum_with_status_200(big: Service) -> None:
    assert 0 < count_as_others_do(big) < 5 * ROWS


def test_a_range_is_split_until_each_query_fits(big: Service, make_source: Make) -> None:
    answers = list(make_source().read([ask("big")]))
    assert downloads(answers) == dict.fromkeys(DAYS[:-1], ROWS)
    assert {given.get("read_overflow_mode") for given in big.asked} == {"throw"}
    assert len(big.asked) > 2


@pytest.mark.parametrize("names", [OVERFLOW_SETTINGS, ("read_overflow_mode",), tuple(LIMITS_OF_DEMO)])
def test_a_server_that_does_not_let_us_throw_is_read_in_parts_that_fit(
    big: Service, make_source: Make, names: Sequence[str]
) -> None:
    big.fixed = names
    assert downloads(list(make_source().read([ask("big")]))) == dict.fromkeys(DAYS[:-1], ROWS)
    assert all("read_overflow_mode" not in given for given in big.asked)


def test_a_server_that_refuses_the_settings_without_saying_so_is_asked_without_them(
    big: Service, make_source: Make
) -> None:
    big.constrained = OVERFLOW_SETTINGS
    assert downloads(list(make_source().read([ask("big")]))) == dict.fromkeys(DAYS[:-1], ROWS)
    assert ["read_overflow_mode" in given for given in big.asked[:3]] == [True, False, False]


@pytest.mark.parametrize("names", [(), OVERFLOW_SETTINGS])
def test_a_day_that_is_too_large_fails_and_has_no_number(big: Service, make_source: Make, names: Sequence[str]) -> None:
    big.fixed = names
    big.engine.insert(DAYS[2], "big", 2 * ROWS)
    big.engine.insert(FIRST, "a", 1)
    answers = list(make_source().read([ask("big"), ask("a")]))
    assert list(reasons(answers)) == [DAYS[2]]
    assert "use a server of your own or another source" in reasons(answers)[DAYS[2]]
    found = downloads(answers)
    assert found[FIRST] == ROWS + 1
    assert found[DAYS[3]] == ROWS


def test_an_answer_with_too_many_rows_is_split_too(service: Service, make_source: Make) -> None:
    service.fixed = OVERFLOW_SETTINGS
    service.settings["max_result_rows"] = "100"
    for n in range(15):
        service.engine.insert(DAYS[:-1], "a", 1, installer=f"tool-{n}")
    assert downloads(list(make_source().read([ask()]))) == dict.fromkeys(DAYS[:-1], 15)
    assert len(service.asked) > 1


@pytest.mark.parametrize(("limit", "is_split"), [("0", False), ("100", True)])
def test_an_own_server_has_only_the_limits_of_its_settings(
    service: Service, make_source: Make, limit: str, *, is_split: bool
) -> None:
    service.settings["max_result_rows"] = limit
    for n in range(15):
        service.engine.insert(DAYS[:-1], "a", 1, installer=f"tool-{n}")
    assert downloads(list(make_source(limits=NO_LIMITS).read([ask()]))) == dict.fromkeys(DAYS[:-1], 15)
    assert (len(service.asked) > 1) is is_split


def test_a_day_whose_breakdown_is_too_large_keeps_its_counts(service: Service, make_source: Make) -> None:
    service.settings["max_result_rows"] = "50"
    for n in range(60):
        service.engine.insert(FIRST, "a", 1, version=f"1.{n}", python_minor="3.12")
    answers = list(make_source().read([ask(dimensions=("python", "version"))]))
    assert downloads(answers)[FIRST] == 60
    dimensions = {day: r.dimensions for a in answers for r in a.requests for day in r.days()}
    assert dimensions == dict.fromkeys(DAYS[:-1], ("python", "version")) | {FIRST: ("python",)}


def test_an_answer_without_the_number_of_rows_read_is_not_used(service: Service, make_source: Make) -> None:
    service.has_summary = False
    answers = list(make_source().read([ask()]))
    assert days_read(answers) == []
    assert all("does not say how many rows it read" in reason for reason in reasons(answers).values())


LIMITS = Limits(result_rows=100, result_bytes=1000, seconds=10, read_rows=1000, read_bytes=10_000)
SUMMARY = {"read_rows": "800", "read_bytes": "8000", "result_bytes": "800"}


def test_an_answer_within_the_safe_share_of_each_limit_is_used() -> None:
    LIMITS.check(usage(SUMMARY, 80, 8))


@pytest.mark.parametrize(
    ("summary", "rows", "seconds", "what"),
    [
        (SUMMARY | {"read_rows": "801"}, 80, 8, "read rows: 801 of the 1,000 allowed"),
        (SUMMARY | {"read_bytes": "8001"}, 80, 8, "read bytes: 8,001 of the 10,000 allowed"),
        (SUMMARY | {"result_bytes": "801"}, 80, 8, "result bytes"),
        (SUMMARY, 81, 8, "result rows"),
        (SUMMARY, 80, 8.1, "seconds"),
    ],
)
def test_an_answer_near_a_limit_is_not_used(summary: dict[str, str], rows: int, seconds: float, what: str) -> None:
    with pytest.raises(NearLimitError, match=what):
        LIMITS.check(usage(summary, rows, seconds))


def test_the_lower_limit_counts_and_0_is_no_limit() -> None:
    told = {"max_rows_to_read": "500", "max_result_rows": "0", "max_execution_time": "60", "max_bytes_to_read": "odd"}
    assert LIMITS.lowered_to(told) == Limits(100, 1000, 10, 500, 10_000)
