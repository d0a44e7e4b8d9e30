"""Days that the copy does not have, or not as PyPI's log has them: they are missing, never 0."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.clickhouse_service import Service
from tests.sources.clickhouse.conftest import DAYS, FIRST, LAST, Make, ask, days_read, downloads, readings, reasons
from winnow_dagster.core.coverage import Failure
from winnow_dagster.sources.interface import IncompleteDaysError

ONE_DAY = timedelta(days=1)


def test_days_from_the_newest_loaded_one_on_are_missing(service: Service, make_source: Make) -> None:
    service.engine.insert(LAST, "a", 3)
    answers = list(make_source().read([ask(last=LAST + 2 * ONE_DAY)]))
    assert days_read(answers) == DAYS[:-1]
    assert set(reasons(answers)) == {LAST, LAST + ONE_DAY, LAST + 2 * ONE_DAY}
    assert "is loaded to 2026-10-06, and only days before that are complete" in reasons(answers)[LAST]


def test_a_copy_that_stands_still_has_no_day_instead_of_0(service: Service, make_source: Make) -> None:
    after = LAST + ONE_DAY
    with pytest.raises(IncompleteDaysError, match="has no row of twine on that day or later"):
        list(make_source().read([ask(first=after, last=after + 3 * ONE_DAY), ask("b", after, after)]))
    with pytest.raises(IncompleteDaysError, match="is loaded to 2026-10-06"):
        list(make_source().read([ask(first=LAST, last=LAST)]))


def test_a_day_without_the_control_package_is_missing(service: Service, make_source: Make) -> None:
    service.engine.session.query(f"DELETE FROM pypi.pypi WHERE date = '{DAYS[2]}'")
    service.engine.insert(DAYS[2], "a", 3)
    answers = list(make_source().read([ask()]))
    assert days_read(answers) == [DAYS[0], DAYS[1], DAYS[3], DAYS[4]]
    assert "has no row of twine on that day" in reasons(answers)[DAYS[2]]


@pytest.mark.parametrize(
    ("package", "numbers"), [("a", "1 of the package, 0 of twine"), ("twine", "0 of the package, 1 of twine")]
)
def test_a_day_that_was_reloaded_without_ci_flags_is_refused(
    service: Service, make_source: Make, package: str, numbers: str
) -> None:
    service.engine.insert(DAYS[1], "a", 5)
    service.engine.insert(DAYS[1], package, 1, ci="unknown")
    answers = list(make_source().read([ask()]))
    assert days_read(answers) == [DAYS[0], *DAYS[2:-1]]
    assert f"with ci 'unknown' on that day ({numbers})" in reasons(answers)[DAYS[1]]


def test_lost_ci_flags_of_another_package_do_not_matter(service: Service, make_source: Make) -> None:
    service.engine.insert(DAYS[1], "b", 5, ci="unknown")
    answers = list(make_source().read([ask(), ask("b")]))
    assert reasons([answer for answer in answers if answer.requests[0].selector.stem == "a"]) == {}
    assert list(reasons(answers)) == [DAYS[1]]


@pytest.fixture
def behind(service: Service) -> Service:
    """A server with a second replica, `slow`, that has one day less, and fewer rows of another."""
    service.engine.create("slow")
    service.engine.insert(DAYS[1], "twine", 199, replica="slow")
    service.engine.insert([DAYS[0], *DAYS[2:-1]], "twine", 200, replica="slow")
    service.engine.insert(DAYS[:-1], "a", 1, replica="slow")
    service.engine.insert(DAYS, "a", 2)
    return service


def test_a_replica_that_is_behind_lacks_days_of_its_own_package_only(behind: Service, make_source: Make) -> None:
    behind.replicas = ["pypi", "slow", "pypi"]
    answers = list(make_source().read([ask("b"), ask(), ask("c")]))
    failures = [answer for answer in answers if isinstance(answer, Failure)]
    assert {failure.request.selector.stem for failure in failures} == {"a"}
    assert "this replica has 199 rows of twine on that day, and another has 200" in reasons(answers)[DAYS[1]]
    assert "is loaded to 2026-10-05" in reasons(answers)[DAYS[4]]
    assert all(failure.is_transient for failure in failures)
    assert len(readings(answers)) == 3


def test_the_replica_that_told_the_rows_of_days_counts_too(behind: Service, make_source: Make) -> None:
    source = make_source()
    behind.replicas = ["pypi", "slow"]
    assert source.day_rows(FIRST, LAST)[DAYS[4]] == 200
    assert set(reasons(list(source.read([ask()])))) == {DAYS[1], DAYS[4]}


def test_a_replica_that_has_caught_up_is_read(behind: Service, make_source: Make) -> None:
    source = make_source()
    behind.replicas = ["slow", "pypi"]
    assert set(reasons(list(source.read([ask()])))) == {DAYS[4]}
    assert downloads(list(source.read([ask()]))) == dict.fromkeys(DAYS[:-1], 2)
