"""Which queries answer which requests: few of them, and nothing of the user's in their text."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow_dagster.core.coverage import ONE_DAY, Request
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.bigquery.query import FILE_NAME, MAX_BATCH, CountQuery, inlined_queries, plan_queries

DAY = date(2025, 6, 30)
LATER = LAST_MIXED_DAY + timedelta(days=30)
TABLE = "bigquery-public-data.pypi.file_downloads"


def ask(name: str, back: int = 0, *, second: bool = False) -> Request:
    return Request(Selector.parse(name), DAY - timedelta(days=back), DAY, second)


@pytest.mark.parametrize(
    ("strategy", "packages", "sizes"),
    [
        ("per_package", 3, [1, 1, 1]),
        ("batched", 2 * MAX_BATCH + 1, [MAX_BATCH, MAX_BATCH, 1]),
        ("scan", 250, [250]),
        ("auto", 5, [1] * 5),
        ("auto", 6, [6]),
    ],
)
def test_a_strategy_decides_how_many_packages_a_query_asks_for(strategy: str, packages: int, sizes: list[int]) -> None:
    queries = plan_queries([ask(f"p{n}") for n in range(packages)], strategy, scan_above=lambda _: 5)
    assert [len(query.requests) for query in queries] == sizes


@given(
    st.lists(st.builds(ask, st.sampled_from(["a", "b", "c-*"]), st.integers(0, 3), second=st.booleans()), unique=True),
    st.sampled_from(["per_package", "batched", "scan", "auto"]),
)
def test_each_request_is_in_one_query_and_all_of_a_query_ask_for_the_same_days(
    requests: list[Request], strategy: str
) -> None:
    queries = plan_queries(requests, strategy, scan_above=lambda _: 2)
    assert sorted(r for q in queries for r in q.requests) == sorted(requests)
    assert all(
        (r.first, r.last, r.is_reread) == (q.first, q.last, q.requests[0].is_reread)
        for q in queries
        for r in q.requests
    )


def test_a_query_reads_whole_utc_days_of_the_packages_by_parameter() -> None:
    (query,) = plan_queries([ask("a", 6), ask("b", 6), ask("x-*", 6)], "scan", lambda _: 0)
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
    (query,) = plan_queries([ask("a")], "per_package", lambda _: 0)
    assert "(project = @package)" in query.text(TABLE)
    assert query.parameters()["package"] == "a"


def test_a_query_to_paste_has_its_values_in_its_text() -> None:
    (one,) = plan_queries([ask("a", 2)], "per_package", lambda _: 5)
    assert one.inlined_sql("t").splitlines()[2] == (
        'WHERE timestamp >= TIMESTAMP("2025-06-28") AND timestamp < TIMESTAMP("2025-07-01") AND (project = "a")'
    )
    (many,) = plan_queries([ask(name) for name in ("a", "b", *(f"p{n}-*" for n in range(11)))], "batched", lambda _: 5)
    text = many.inlined_sql("t")
    assert 'project IN UNNEST(["a", "b"])' in text
    assert all(f'STARTS_WITH(project, "p{n}-")' in text for n in range(11))
    assert "@" not in text


def test_days_up_to_the_change_are_counted_by_the_ends_of_the_files_names() -> None:
    query = CountQuery([Request(Selector("a"), LAST_MIXED_DAY, LAST_MIXED_DAY)], "per_package")
    text = query.text(TABLE)
    for ending in (".whl", ".tar.gz", ".zip"):
        assert f'ENDS_WITH(file.filename, "{ending}")' in text
    assert "COUNTIF(file.filename IS NULL) AS unnamed" in text
    assert query.columns[-1] == FILE_NAME


def test_later_days_are_read_without_the_widest_column() -> None:
    query = CountQuery([Request(Selector("a"), LAST_MIXED_DAY + ONE_DAY, LATER)], "per_package")
    assert "file" not in query.text(TABLE).replace("file_downloads", "")
    assert "COUNT(*) AS downloads" in query.text(TABLE)
    assert FILE_NAME not in query.columns


def test_no_query_reads_days_on_both_sides_of_the_change() -> None:
    with pytest.raises(ValueError, match="2026-08-24 to 2026-08-25: one query cannot read days on both sides"):
        CountQuery([Request(Selector("a"), LAST_MIXED_DAY, LAST_MIXED_DAY + ONE_DAY)], "per_package")


def test_all_requests_of_a_query_ask_for_the_same_days() -> None:
    with pytest.raises(ValueError, match="different days"):
        CountQuery([ask("a"), ask("b", 1)], "batched")


def test_a_reader_gets_two_queries_for_a_window_across_the_change_and_one_for_any_other() -> None:
    before, after = inlined_queries([Selector("a")], DAY, LAST_MIXED_DAY + ONE_DAY, "t").split(";\n\n")
    assert 'timestamp < TIMESTAMP("2026-08-25")' in before
    assert 'ENDS_WITH(file.filename, ".whl")' in before
    assert 'timestamp >= TIMESTAMP("2026-08-25")' in after
    assert "filename" not in after
    assert ";" not in inlined_queries([Selector("a")], DAY, LAST_MIXED_DAY, "t")


def test_whether_a_scan_is_cheaper_depends_on_the_columns() -> None:
    requests = [Request(Selector(name), day, day) for name in "abc" for day in (DAY, LATER)]
    queries = plan_queries(requests, "auto", lambda columns: 2 if FILE_NAME in columns else 5)
    assert [(query.first, query.strategy) for query in queries] == [(DAY, "scan"), *[(LATER, "per_package")] * 3]
