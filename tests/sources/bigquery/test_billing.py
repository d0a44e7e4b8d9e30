"""What queries cost: by the defaults until the ledger knows better, for each set of columns."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from winnow_dagster.core.billing import GB, MB, TIB, Entry
from winnow_dagster.core.coverage import ONE_DAY, Request
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.bigquery.billing import Entries, Figures, estimate_plan, learn, plan_day
from winnow_dagster.sources.bigquery.query import FILE_NAME, PLAIN_COLUMNS, CountQuery

OLD = date(2025, 6, 30)
DAY = LAST_MIXED_DAY + 60 * ONE_DAY
START = date(2024, 2, 23)
NOW = datetime(2026, 11, 1, 4, tzinfo=UTC)
FIGURES = Figures()
NAMED = (*PLAIN_COLUMNS, FILE_NAME)
ENTRY = Entry("1", NOW, DAY, DAY, ["a"], "per_package", 93 * MB, billed=100 * MB)


def query(packages: int = 1, days: int = 1, strategy: str = "per_package", last: date = DAY) -> CountQuery:
    first = last - (days - 1) * ONE_DAY
    return CountQuery([Request(Selector.parse(f"p{n}"), first, last) for n in range(packages)], strategy)


def test_a_day_since_the_change_bills_61_percent_of_what_a_day_billed_before() -> None:
    assert FIGURES.package_day(PLAIN_COLUMNS) == 0.61 * 153 * MB
    assert FIGURES.scan_day(PLAIN_COLUMNS) == 0.61 * 170 * GB


def test_the_files_names_more_than_double_what_a_day_before_the_change_bills() -> None:
    assert round(FIGURES.package_day(NAMED) / MB) == 334
    assert round(FIGURES.scan_day(NAMED) / GB) == 372


def test_100_packages_cost_a_quarter_of_the_free_tier_to_fill_and_as_much_a_month() -> None:
    windows = {Selector.parse(f"p{n}"): 30 for n in range(100)}
    found = estimate_plan(Entries(windows, START), DAY, "auto", FIGURES)
    assert (found.fill_queries, found.day_queries) == (100, 100)
    assert found.fill_bytes == pytest.approx(100 * 30 * 0.61 * 153 * MB)
    assert found.month_bytes == pytest.approx(found.fill_bytes)
    assert round(found.fill_bytes / TIB, 2) == 0.25
    assert not found.needs_file_names


def test_the_first_fill_of_a_window_across_the_change_has_days_of_both_prices() -> None:
    entries = Entries({Selector("a"): 30}, START)
    found = estimate_plan(entries, LAST_MIXED_DAY + 10 * ONE_DAY, "per_package", FIGURES)
    expected = 10 * FIGURES.package_day(PLAIN_COLUMNS) + 20 * FIGURES.package_day(NAMED)
    assert found.fill_bytes == pytest.approx(expected)
    assert (found.fill_queries, found.needs_file_names) == (2, True)


def test_the_first_fill_begins_at_the_start_date_and_asks_for_no_package_beside_its_prefix() -> None:
    windows = {Selector.parse("a"): 365, Selector.parse("b-*"): 30, Selector.parse("b-c"): 30}
    entries = Entries(windows, DAY - timedelta(days=9))
    found = estimate_plan(entries, DAY, "per_package", FIGURES)
    assert (found.fill_queries, len(plan_day(entries, DAY, "per_package", FIGURES))) == (2, 2)
    assert found.fill_bytes == pytest.approx(2 * 10 * 0.61 * 153 * MB)


@pytest.mark.parametrize("columns", [PLAIN_COLUMNS, NAMED])
def test_above_1111_packages_a_scan_of_the_day_is_cheaper(columns: tuple[str, ...]) -> None:
    assert 1111 < FIGURES.scan_above(columns) < 1112
    windows = {Selector.parse(f"p{n}"): 1 for n in range(1112)}
    assert estimate_plan(Entries(windows, START), DAY, "auto", FIGURES).day_bytes == 0.61 * 170 * GB


def test_a_query_costs_at_least_what_bigquery_bills_for_any() -> None:
    assert replace(FIGURES, package_day_bytes=1.0).estimate(query()) == 10 * MB


@pytest.mark.parametrize(("last", "size"), [(DAY, 0.61 * 170 * GB), (OLD, 371 * GB)])
def test_the_default_cap_lies_above_whole_days_of_the_columns_read(last: date, size: float) -> None:
    assert FIGURES.cap(query(days=3, last=last)) >= 1.5 * 3 * size


def test_the_default_cap_grows_with_what_scans_billed() -> None:
    learned = learn(FIGURES, [replace(ENTRY, strategy="scan", billed=500 * GB)])
    assert learned.cap(query()) == 1000 * GB


def test_scans_that_billed_little_do_not_lower_the_default_cap() -> None:
    learned = learn(FIGURES, [replace(ENTRY, strategy="scan", billed=1 * GB)])
    assert learned.cap(query()) == FIGURES.cap(query())


def test_what_queries_billed_takes_the_place_of_the_defaults() -> None:
    learned = learn(FIGURES, [ENTRY, replace(ENTRY, job_id="2", selectors=["a", "b"], first=DAY - ONE_DAY)])
    assert learned.package_day(PLAIN_COLUMNS) == 200 * MB / 5
    assert learned.scan_day(PLAIN_COLUMNS) == FIGURES.scan_day(PLAIN_COLUMNS)
    assert learn(FIGURES, [replace(ENTRY, strategy="scan")]).scan_day(PLAIN_COLUMNS) == 100 * MB


def test_what_queries_for_other_columns_billed_changes_no_figure() -> None:
    learned = learn(FIGURES, [replace(ENTRY, first=OLD, last=OLD, columns=NAMED, billed=300 * MB)])
    assert learned.package_day(NAMED) == 300 * MB
    assert learned.package_day(PLAIN_COLUMNS) == FIGURES.package_day(PLAIN_COLUMNS)


def test_a_breakdown_adds_the_width_of_its_column() -> None:
    plain = FIGURES.package_day(PLAIN_COLUMNS)
    assert round(100 * FIGURES.package_day((*PLAIN_COLUMNS, "details.python")) / plain) == 126
    assert round(100 * FIGURES.package_day((*PLAIN_COLUMNS, "file.version")) / plain) == 127
    assert round(100 * FIGURES.package_day((*PLAIN_COLUMNS, "file.type")) / plain) == 139


def test_before_a_breakdown_has_billed_it_is_priced_from_what_the_headline_billed() -> None:
    learned = learn(FIGURES, [ENTRY, replace(ENTRY, job_id="2", strategy="scan", billed=50 * GB)])
    broken_down = (*PLAIN_COLUMNS, "details.python")
    more = FIGURES.package_day(broken_down) / FIGURES.package_day(PLAIN_COLUMNS)
    assert learned.package_day(broken_down) == pytest.approx(100 * MB * more)
    assert learned.scan_day(broken_down) == pytest.approx(50 * GB * more)
    billed = learn(learned, [ENTRY, replace(ENTRY, job_id="2", columns=broken_down, billed=105 * MB)])
    assert billed.package_day(broken_down) == 105 * MB


def test_100_packages_with_python_and_version_stay_within_the_free_tier_after_the_first_fill() -> None:
    # 28.5 bytes a row become 43.7, so 93 MB per package and day become 143 MB. 100 packages, 30 days, two readings:
    # 100 x 30 x 2 x 143 MB = 859 GB = 0.78 TiB.
    windows = {Selector.parse(f"p{n}"): 30 for n in range(100)}
    found = estimate_plan(Entries(windows, START, dict.fromkeys(windows, ("python", "version"))), DAY, "auto", FIGURES)
    assert round(found.day_bytes / 100 / MB) == 143
    assert found.fill_bytes == pytest.approx(found.month_bytes)
    with_re_reads = 2 * found.month_bytes
    assert round(with_re_reads / TIB, 2) == 0.78
    assert with_re_reads < FIGURES.free_tib_per_month * TIB


@pytest.mark.parametrize(
    "useless",
    [
        replace(ENTRY, cache_hit=True),
        replace(ENTRY, billed=None),
        replace(ENTRY, billed=0),
        replace(ENTRY, first=OLD, last=OLD),
        replace(ENTRY, first=LAST_MIXED_DAY),
        replace(ENTRY, strategy="partitions", selectors=[], columns=()),
    ],
    ids=["cached", "unfinished", "free", "old days without names", "across the change", "partitions"],
)
def test_a_query_unlike_those_to_come_teaches_nothing(useless: Entry) -> None:
    assert learn(FIGURES, [useless]) == FIGURES
