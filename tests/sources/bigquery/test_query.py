"""Which queries answer which requests: few of them, and nothing of the user's in their text."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow_dagster.core.coverage import ONE_DAY, Request
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.dimensions import OPEN_DIMENSIONS, in_order
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.bigquery.query import (
    FILE_NAME,
    FIRST_COLUMNS,
    MAX_BATCH,
    PLAIN_COLUMNS,
    CountQuery,
    dimensions_of,
    inlined_queries,
    plan_queries,
)

DAY = date(2025, 6, 30)
LATER = LAST_MIXED_DAY + timedelta(days=30)
TABLE = "bigquery-public-data.pypi.file_downloads"


def ask(name: str, back: int = 0, *, second: bool = False, by: tuple[str, ...] = ()) -> Request:
    return Request(Selector.parse(name), DAY - timedelta(days=back), DAY, second, dimensions=by)


def later(*names: str, by: tuple[str, ...] = ()) -> CountQuery:
    return CountQuery([Request(Selector.parse(name), LATER, LATER, dimensions=by) for name in names], "batched")


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
    st.lists(
        st.builds(
            ask,
            st.sampled_from(["a", "b", "c-*"]),
            st.integers(0, 3),
            second=st.booleans(),
            by=st.sampled_from([(), ("python",), ("python", "version")]),
        ),
        unique=True,
    ),
    st.sampled_from(["per_package", "batched", "scan", "auto"]),
)
def test_each_request_is_in_one_query_and_all_of_a_query_ask_for_the_same_days_and_breakdowns(
    requests: list[Request], strategy: str
) -> None:
    queries = plan_queries(requests, strategy, scan_above=lambda _: 2)
    assert sorted(r for q in queries for r in q.requests) == sorted(requests)
    assert all(
        (r.first, r.last, r.is_reread, r.dimensions) == (q.first, q.last, q.requests[0].is_reread, q.dimensions)
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


def test_all_requests_of_a_query_ask_for_the_same_breakdowns() -> None:
    with pytest.raises(ValueError, match="different breakdowns"):
        CountQuery([ask("a"), ask("b", by=("python",))], "batched")


def test_a_query_without_breakdowns_has_the_text_and_columns_that_it_always_had() -> None:
    # A job of an earlier release answers only the text that it was sent with.
    assert later("a").columns == FIRST_COLUMNS
    assert later("a").text("t") == (
        "SELECT DATE(timestamp) AS date, project AS package, details.installer.name AS installer, "
        "details.system.name AS system, details.ci AS ci, COUNT(*) AS downloads\n"
        "FROM `t`\n"
        "WHERE timestamp >= @start AND timestamp < @end AND (project = @package)\n"
        "GROUP BY date, package, installer, system, ci"
    )
    assert CountQuery([ask("a")], "per_package").columns == (*FIRST_COLUMNS, FILE_NAME)
    assert CountQuery([ask("a")], "per_package").text("t") == (
        "SELECT DATE(timestamp) AS date, project AS package, details.installer.name AS installer, "
        'details.system.name AS system, details.ci AS ci, COUNTIF(ENDS_WITH(file.filename, ".whl") OR '
        'ENDS_WITH(file.filename, ".tar.gz") OR ENDS_WITH(file.filename, ".zip")) AS downloads, '
        "COUNTIF(file.filename IS NULL) AS unnamed\n"
        "FROM `t`\n"
        "WHERE timestamp >= @start AND timestamp < @end AND (project = @package)\n"
        "GROUP BY date, package, installer, system, ci\n"
        "HAVING downloads > 0 OR unnamed > 0"
    )


def test_breakdowns_are_more_groups_of_the_same_rows() -> None:
    query = later("a", by=("python", "libc"))
    assert query.text("t") == (
        "SELECT date, package, installer, system, ci, "
        'CASE WHEN GROUPING(python) = 0 THEN "python" WHEN GROUPING(libc) = 0 THEN "libc" END AS dimension, '
        "CASE WHEN GROUPING(python) = 0 THEN python WHEN GROUPING(libc) = 0 THEN libc END AS value, "
        "COUNT(*) AS downloads\n"
        "FROM (\n"
        "SELECT DATE(timestamp) AS date, project AS package, details.installer.name AS installer, "
        "details.system.name AS system, details.ci AS ci, "
        "IFNULL(REGEXP_EXTRACT(details.python, r'^[0-9]+\\.[0-9]+'), '') AS python, "
        "IFNULL(details.distro.libc.lib, '') AS libc\n"
        "FROM `t`\n"
        "WHERE timestamp >= @start AND timestamp < @end AND (project = @package)\n"
        ")\n"
        "GROUP BY GROUPING SETS ((date, package, installer, system, ci), (date, package, installer, ci, python), "
        "(date, package, installer, ci, libc))"
    )
    assert query.columns == (*PLAIN_COLUMNS, "details.python", "details.distro.libc.lib")
    assert query.parameters() == later("a").parameters()


def test_breakdowns_of_days_up_to_the_change_count_the_files_that_are_downloads() -> None:
    query = CountQuery([ask("a", by=("version",))], "per_package")
    assert query.columns == (*PLAIN_COLUMNS, "file.version", FILE_NAME)
    head, *_, tail = query.text("t").splitlines()
    assert 'COUNTIF(ENDS_WITH(file_name, ".whl")' in head
    assert "COUNTIF(file_name IS NULL) AS unnamed" in head
    assert "file.filename AS file_name\n" in query.text("t")
    assert tail == "HAVING downloads > 0 OR unnamed > 0"


@given(st.sets(st.sampled_from(list(OPEN_DIMENSIONS))), st.booleans())
def test_the_columns_of_a_query_tell_its_breakdowns(names: set[str], is_old: bool) -> None:  # noqa: FBT001
    by = in_order(names)
    query = CountQuery([ask("a", by=by)], "per_package") if is_old else later("a", by=by)
    assert dimensions_of(query.columns) == by


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
