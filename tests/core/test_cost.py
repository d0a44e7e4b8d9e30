"""What queries cost: by the defaults until the ledger knows better, and never above the budget."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow_dagster.core.cost import (
    GB,
    MB,
    TIB,
    Budget,
    Entry,
    Figures,
    affordable,
    estimate_plan,
    format_bytes,
    learn,
    month_total,
)
from winnow_dagster.core.coverage import Request
from winnow_dagster.core.names import Selector
from winnow_dagster.core.query import CountQuery

DAY = date(2025, 6, 30)
START = date(2024, 2, 23)
NOW = datetime(2025, 7, 1, 4, tzinfo=UTC)
FIGURES = Figures()
ENTRY = Entry("1", NOW, DAY, DAY, ["a"], "per_package", 153 * MB, billed=100 * MB)


def query(packages: int = 1, days: int = 1, strategy: str = "per_package", *, second: bool = False) -> CountQuery:
    first = DAY - timedelta(days=days - 1)
    return CountQuery([Request(Selector.parse(f"p{n}"), first, DAY, second) for n in range(packages)], strategy)


def test_100_packages_cost_the_free_tier_less_than_half_to_fill_and_as_much_a_month() -> None:
    windows = {Selector.parse(f"p{n}"): 30 for n in range(100)}
    found, day_queries = estimate_plan(windows, START, DAY, "auto", FIGURES)
    assert (found.fill_queries, found.day_queries, len(day_queries)) == (100, 100, 100)
    assert found.fill_bytes == found.month_bytes == 100 * 30 * 153 * MB
    assert round(found.fill_bytes / TIB, 2) == 0.42


def test_the_first_fill_begins_at_the_start_date_and_asks_for_no_package_beside_its_prefix() -> None:
    windows = {Selector.parse("a"): 365, Selector.parse("b-*"): 30, Selector.parse("b-c"): 30}
    found, day_queries = estimate_plan(windows, DAY - timedelta(days=9), DAY, "per_package", FIGURES)
    assert (found.fill_queries, found.fill_bytes, len(day_queries)) == (2, 2 * 10 * 153 * MB, 2)


def test_above_1111_packages_a_scan_of_the_day_is_cheaper() -> None:
    assert 1111 < FIGURES.scan_above < 1112
    windows = {Selector.parse(f"p{n}"): 1 for n in range(1112)}
    assert estimate_plan(windows, START, DAY, "auto", FIGURES)[0].day_bytes == 170 * GB


def test_a_query_costs_at_least_what_bigquery_bills_for_any() -> None:
    assert replace(FIGURES, package_day_bytes=1.0).estimate(query()) == 10 * MB


def test_what_queries_billed_takes_the_place_of_the_defaults() -> None:
    learned = learn(FIGURES, [ENTRY, replace(ENTRY, job_id="2", selectors=["a", "b"], first=DAY - timedelta(days=1))])
    assert learned.package_day_bytes == 200 * MB / 5
    assert learned.scan_day_bytes == FIGURES.scan_day_bytes
    assert learned.learned == {"package_day_bytes"}
    assert learn(FIGURES, [replace(ENTRY, strategy="scan")]).scan_day_bytes == 100 * MB


@pytest.mark.parametrize(
    "useless", [replace(ENTRY, cache_hit=True), replace(ENTRY, billed=None), replace(ENTRY, billed=0)]
)
def test_a_cached_unfinished_or_free_query_teaches_nothing(useless: Entry) -> None:
    assert learn(FIGURES, [useless]) == FIGURES


def test_the_months_sum_counts_a_query_whose_end_is_unknown_by_its_estimate() -> None:
    entries = [
        ENTRY,
        replace(ENTRY, billed=None),
        replace(ENTRY, billed=0),
        replace(ENTRY, at=datetime(2025, 6, 30, 23, 59, tzinfo=UTC)),
    ]
    assert month_total(entries, NOW) == 253 * MB


sizes = st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=6)


@given(sizes, st.floats(0, 2 * TIB), st.floats(0, 2 * TIB))
def test_what_is_sent_fits_the_budget_and_first_readings_go_before_second_ones(
    wanted: list[tuple[int, bool]], spent: float, limit: float
) -> None:
    queries = [query(packages, 30, second=second) for packages, second in wanted]
    first = [q for q in queries if not q.requests[0].is_second]
    if first and spent + sum(map(FIGURES.estimate, first)) > limit:
        with pytest.raises(ValueError, match="Raise budget"):
            affordable(queries, FIGURES, Budget(limit), spent)
        return
    sent, dropped = affordable(queries, FIGURES, Budget(limit), spent)
    assert not sent or spent + sum(map(FIGURES.estimate, sent)) <= limit
    assert sorted(map(id, [*sent, *dropped])) == sorted(map(id, queries))
    assert not set(map(id, first)) & set(map(id, dropped))


def test_without_a_budget_anything_may_be_sent() -> None:
    assert affordable([query(1000, 365)], FIGURES, Budget(None), 9 * TIB)[1] == []


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 MB"), (153 * MB, "153 MB"), (4.6 * GB, "4.6 GB"), (0.42 * TIB, "0.42 TiB"), (3 * TIB, "3.00 TiB")],
)
def test_sizes_read_as_people_say_them(size: float, text: str) -> None:
    assert format_bytes(size) == text
