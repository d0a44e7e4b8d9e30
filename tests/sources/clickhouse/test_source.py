"""What the ClickHouse source counts, by the real engine."""

from __future__ import annotations

from datetime import date, timedelta

from tests.clickhouse_service import Service
from tests.rows import to_counts
from tests.sources.clickhouse.conftest import DAYS, FIRST, Make, ask, days_read, downloads, readings, reasons


def days_since(first: date, days: int) -> list[date]:
    return [first + timedelta(days=n) for n in range(days)]


def test_rows_are_counted_by_installer_system_and_ci(service: Service, make_source: Make) -> None:
    service.engine.insert(FIRST, "a", 5)
    service.engine.insert(FIRST, "a", 3, ci="true")
    service.engine.insert(FIRST, "a", 2, installer="uv", system="Darwin")
    service.engine.insert(FIRST, "ab", 9)
    counts = to_counts(reading.counts for reading in readings(list(make_source().read([ask()]))))
    assert counts == {
        (FIRST, "a", "pip", "Linux", None): 5,
        (FIRST, "a", "pip", "Linux", True): 3,
        (FIRST, "a", "uv", "Darwin", None): 2,
    }


def test_empty_text_is_not_said(service: Service, make_source: Make) -> None:
    service.engine.insert(FIRST, "a", 2, installer="", system="")
    (reading,) = readings(list(make_source().read([ask(dimensions=("country",))])))
    assert to_counts([reading.counts]) == {(FIRST, "a", None, None, None): 2}
    assert reading.breakdowns.rows() == [(FIRST, "a", "country", "", None, None, 2)]


def test_a_package_without_rows_has_no_download_on_complete_days(service: Service, make_source: Make) -> None:
    assert downloads(list(make_source().read([ask()]))) == dict.fromkeys(DAYS[:-1], 0)


def test_a_reading_has_the_rows_of_the_control_package(service: Service, make_source: Make) -> None:
    service.engine.insert(FIRST, "twine", 7, ci="true")
    (reading,) = readings(list(make_source().read([ask()])))
    assert reading.source_rows == {FIRST: 207} | dict.fromkeys(DAYS[1:-1], 200)


def test_the_control_package_can_be_counted_too(service: Service, make_source: Make) -> None:
    answers = list(make_source().read([ask("twine", last=DAYS[-1], dimensions=("python",))]))
    assert downloads(answers) == dict.fromkeys(DAYS[:-1], 200)
    assert readings(answers)[0].source_rows == dict.fromkeys(DAYS[:-1], 200)
    assert readings(answers)[0].breakdowns["downloads"].sum() == 1000


def test_a_prefix_selects_the_names_that_start_with_it(service: Service, make_source: Make) -> None:
    for name in ("dagster-aws", "dagster-gcp", "dagster", "dagsters"):
        service.engine.insert(FIRST, name, 1)
    (reading,) = readings(list(make_source().read([ask("dagster-*")])))
    assert sorted(reading.counts["package"]) == ["dagster-aws", "dagster-gcp"]


def test_a_prefix_may_select_the_control_package(service: Service, make_source: Make) -> None:
    service.engine.insert(FIRST, "t-x", 4)
    source = make_source(control="t-x")
    service.engine.insert(DAYS[1:], "t-x", 1)
    assert downloads(list(source.read([ask("t-*")]))) == {FIRST: 4} | dict.fromkeys(DAYS[1:-1], 1)


def test_breakdowns_have_the_dimensions_that_the_table_has(service: Service, make_source: Make) -> None:
    service.engine.insert(
        FIRST, "a", 4, python_minor="3.12", version="2.0", country_code="DE", libc="glibc", type="sdist"
    )
    service.engine.insert(FIRST, "a", 1, ci="true", python_minor="3.13")
    every = ("python", "version", "country", "libc", "cpu", "file_type")
    (reading,) = readings(list(make_source().read([ask(dimensions=every)])))
    assert {request.dimensions for request in reading.requests} == {
        ("python", "version", "country", "libc", "file_type")
    }
    found = {(row[2], row[3], row[5]): row[6] for row in reading.breakdowns.rows()}
    assert found == {
        ("python", "3.12", None): 4, ("python", "3.13", True): 1,
        ("version", "2.0", None): 4, ("version", "", True): 1,
        ("country", "DE", None): 4, ("country", "", True): 1,
        ("libc", "glibc", None): 4, ("libc", "", True): 1,
        ("file_type", "sdist", None): 4, ("file_type", "", True): 1,
    }  # fmt: skip
    assert downloads([reading])[FIRST] == 5


def test_a_python_version_is_cut_to_its_first_two_numbers(service: Service, make_source: Make) -> None:
    service.engine.insert(FIRST, "a", 1, python_minor="3.12.1")
    service.engine.insert(FIRST, "a", 2, python_minor="3.12")
    (reading,) = readings(list(make_source().read([ask(dimensions=("python",))])))
    assert reading.breakdowns.rows() == [(FIRST, "a", "python", "3.12", "pip", None, 3)]


def test_days_before_the_present_definition_are_refused(service: Service, make_source: Make) -> None:
    service.engine.insert(date(2026, 8, 24), "a", 9)
    service.engine.insert(days_since(date(2026, 8, 24), 40), "twine", 1)
    answers = list(make_source().read([ask(first=date(2026, 8, 20), last=date(2026, 8, 26))]))
    assert days_read(answers) == [date(2026, 8, 25), date(2026, 8, 26)]
    assert set(reasons(answers)) == {date(2026, 8, day) for day in range(20, 25)}
    assert all("from 2026-08-25 on only" in reason for reason in reasons(answers).values())
    assert list(reasons(list(make_source().read([ask(first=date(2026, 8, 24), last=date(2026, 8, 24))])))) == [
        date(2026, 8, 24)
    ]


def test_a_long_range_is_read_in_parts(service: Service, make_source: Make) -> None:
    for package in ("a", "twine"):
        service.engine.insert(days_since(date(2026, 8, 25), 80), package, 1)
    answers = list(make_source().read([ask(first=date(2026, 8, 25), last=date(2026, 11, 11))]))
    found = downloads(answers)
    assert (len(found), sum(found.values())) == (79, 79)
    assert len(service.asked) == 3


def test_a_query_reads_only_the_package_and_the_control_package(service: Service, make_source: Make) -> None:
    service.engine.session.query(
        "INSERT INTO pypi.pypi (date, project, ci) "
        "SELECT toDate('2026-10-01') + number % 5, 'p' || toString(number % 50), 'false' FROM numbers(2000000)"
    )
    service.settings["max_rows_to_read"] = "200000"
    counted = downloads(list(make_source().read([ask("p7", dimensions=("python",))])))
    assert counted == dict.fromkeys(DAYS[:-1], 0) | {DAYS[2]: 40_000}
    assert len(service.asked) == 1


def test_the_newest_day_is_the_newest_complete_one_with_ci_flags(service: Service, make_source: Make) -> None:
    assert make_source().newest_day(date(2026, 11, 1)) == DAYS[-2]
    assert make_source().newest_day(DAYS[2]) == DAYS[1]
    service.engine.insert(DAYS[-2], "twine", 1, ci="unknown")
    assert make_source().newest_day(date(2026, 11, 1)) == DAYS[-3]
    assert make_source(control="nothing").newest_day(date(2026, 11, 1)) is None


def test_the_rows_of_a_day_are_those_of_the_control_package(service: Service, make_source: Make) -> None:
    service.engine.session.query(f"DELETE FROM pypi.pypi WHERE date = '{DAYS[2]}'")
    rows = make_source().day_rows(DAYS[1], date(2026, 11, 1))
    assert rows == {DAYS[1]: 200, DAYS[2]: 0, DAYS[3]: 200, DAYS[4]: 200}
    assert make_source().day_rows(date(2026, 7, 1), date(2026, 8, 24)) == {}
    assert min(make_source().day_rows(date(2026, 7, 1), DAYS[0])) == date(2026, 8, 25)


def test_no_request_opens_no_connection(make_source: Make) -> None:
    assert list(make_source(port=1).read([])) == []
    assert list(make_source(port=1).recover([ask()])) == []
