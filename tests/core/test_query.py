"""Which queries answer which requests: few of them, and nothing of the user's in their text."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow_dagster.core.coverage import Request
from winnow_dagster.core.names import Selector
from winnow_dagster.core.query import BATCH, plan_queries

DAY = date(2025, 6, 30)
TABLE = "bigquery-public-data.pypi.file_downloads"


def ask(name: str, back: int = 0, *, second: bool = False) -> Request:
    return Request(Selector.parse(name), DAY - timedelta(days=back), DAY, second)


@pytest.mark.parametrize(
    ("strategy", "packages", "sizes"),
    [
        ("per_package", 3, [1, 1, 1]),
        ("batched", 2 * BATCH + 1, [BATCH, BATCH, 1]),
        ("scan", 250, [250]),
        ("auto", 5, [1] * 5),
        ("auto", 6, [6]),
    ],
)
def test_a_strategy_decides_how_many_packages_a_query_asks_for(strategy: str, packages: int, sizes: list[int]) -> None:
    queries = plan_queries([ask(f"p{n}") for n in range(packages)], strategy, scan_above=5)
    assert [len(query.requests) for query in queries] == sizes


@given(
    st.lists(st.builds(ask, st.sampled_from(["a", "b", "c-*"]), st.integers(0, 3), second=st.booleans()), unique=True),
    st.sampled_from(["per_package", "batched", "scan", "auto"]),
)
def test_each_request_is_in_one_query_and_all_of_a_query_ask_for_the_same_days(
    requests: list[Request], strategy: str
) -> None:
    queries = plan_queries(requests, strategy, scan_above=2)
    assert sorted(r for q in queries for r in q.requests) == sorted(requests)
    assert all(
        (r.first, r.last, r.is_second) == (q.first, q.last, q.requests[0].is_second)
        for q in queries
        for r in q.requests
    )


def test_a_query_reads_whole_utc_days_of_the_packages_by_parameter() -> None:
    (query,) = plan_queries([ask("a", 6), ask("b", 6), ask("x-*", 6)], "scan", 0)
    text = query.text(TABLE)
    assert "timestamp >= @start AND timestamp < @end" in text
    assert "(project IN UNNEST(@packages) OR STARTS_WITH(project, @prefix_0))" in text
    assert query.parameters() == {
        "start": datetime(2025, 6, 24, tzinfo=UTC),
        "end": datetime(2025, 7, 1, tzinfo=UTC),
        "packages": ["a", "b"],
        "prefix_0": "x-",
    }


def test_one_package_is_asked_for_by_equality_which_prunes_clusters() -> None:
    (query,) = plan_queries([ask("a")], "per_package", 0)
    assert "(project = @package)" in query.text(TABLE)
    assert query.parameters()["package"] == "a"


def test_a_query_to_paste_has_its_values_in_its_text() -> None:
    (one,) = plan_queries([ask("a", 2)], "per_package", 5)
    assert one.to_paste("t").splitlines()[2] == (
        'WHERE timestamp >= TIMESTAMP("2025-06-28") AND timestamp < TIMESTAMP("2025-07-01") AND (project = "a")'
    )
    (many,) = plan_queries([ask(name) for name in ("a", "b", *(f"p{n}-*" for n in range(11)))], "batched", 5)
    text = many.to_paste("t")
    assert 'project IN UNNEST(["a", "b"])' in text
    assert all(f'STARTS_WITH(project, "p{n}-")' in text for n in range(11))
    assert "@" not in text
