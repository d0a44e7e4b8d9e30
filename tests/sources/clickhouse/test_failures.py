"""Errors of the server: Winnow waits for quotas, and one package's failure does not stop the others."""

from __future__ import annotations

import pytest

from tests.clickhouse_service import BUSY, QUOTA, Refusal, Service
from tests.sources.clickhouse.conftest import DAYS, FIRST, Make, ask, days_read, downloads, reasons
from winnow_dagster.core.coverage import Failure, Reading
from winnow_dagster.sources.clickhouse.client import WaitPolicy
from winnow_dagster.sources.interface import SourceError, TransientError


@pytest.mark.parametrize("refusal", [QUOTA, BUSY])
def test_winnow_waits_while_the_server_refuses_queries_and_goes_on(
    service: Service, make_source: Make, waits: list[float], refusal: Refusal
) -> None:
    service.engine.insert(FIRST, "a", 5)
    service.refusals = [refusal, refusal]
    assert downloads(list(make_source().read([ask()])))[FIRST] == 5
    assert waits == [30, 60]


def test_what_was_read_before_an_endless_quota_stays(service: Service, make_source: Make, waits: list[float]) -> None:
    service.refused_packages = {"b": QUOTA, "c": QUOTA}
    answers: list[Reading | Failure] = []
    with pytest.raises(TransientError, match="Quota for user"):
        answers.extend(make_source().read([ask("a"), ask("b"), ask("c")]))
    assert sum(waits) >= 3600
    assert len(waits) == len(WaitPolicy().seconds)


def test_one_package_that_fails_does_not_stop_the_others(service: Service, make_source: Make) -> None:
    service.refused_packages = {"b": Refusal(500, 1000, "Poco exception. (POCO_EXCEPTION)")}
    answers = list(make_source().read([ask("a"), ask("b"), ask("c")]))
    failures = [answer for answer in answers if isinstance(answer, Failure)]
    assert [(failure.request, failure.is_transient) for failure in failures] == [(ask("b"), False)]
    assert "POCO_EXCEPTION" in failures[0].reason
    assert len(answers) == 3


EXCEPTION = "Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED) (version 26.5.1.1)\n"


def test_an_exception_after_status_200_is_no_answer(service: Service, make_source: Make) -> None:
    service.engine.insert(FIRST, "a", 5)
    service.exceptions = ["Code: 999. DB::Exception: Coordination error. (KEEPER_EXCEPTION) (version 26.5.1.1)\n"]
    answers = list(make_source().read([ask("a"), ask("b")]))
    failures = [answer for answer in answers if isinstance(answer, Failure)]
    assert [(failure.request, failure.is_transient) for failure in failures] == [(ask("a"), True)]
    assert "Coordination error" in failures[0].reason
    assert days_read(answers) == DAYS[:-1]


def test_an_exception_at_a_limit_after_status_200_splits_the_range(service: Service, make_source: Make) -> None:
    service.engine.insert(FIRST, "a", 5)
    service.exceptions = [EXCEPTION]
    assert downloads(list(make_source().read([ask()])))[FIRST] == 5
    assert len(service.asked) == 3


@pytest.mark.parametrize("fault", ["hangs_up", "cuts_off"])
def test_an_answer_that_breaks_off_without_a_word_is_no_answer(service: Service, make_source: Make, fault: str) -> None:
    setattr(service, fault, True)
    answers = list(make_source().read([ask()]))
    assert days_read(answers) == []
    assert set(reasons(answers)) == set(DAYS[:-1])


def test_a_rejected_user_ends_the_reading_and_names_the_keys(make_source: Make) -> None:
    with pytest.raises(SourceError, match=r"Correct source\.user, and the variable"):
        list(make_source(user="somebody").read([ask()]))


def test_the_password_comes_from_the_environment(
    service: Service, make_source: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.user, service.password = "me", "s3cret"
    monkeypatch.setenv("CH_PASSWORD", "s3cret")
    assert days_read(list(make_source(user="me", password_env="CH_PASSWORD").read([ask()]))) == DAYS[:-1]
    monkeypatch.setenv("CH_PASSWORD", "wr0ng")
    with pytest.raises(SourceError) as caught:
        list(make_source(user="me", password_env="CH_PASSWORD").read([ask()]))
    assert "wr0ng" not in str(caught.value)


def test_a_missing_table_ends_the_reading(service: Service, make_source: Make) -> None:
    service.replicas = ["gone"]
    with pytest.raises(SourceError, match=r"Correct source\.database and source\.table"):
        list(make_source().read([ask()]))
    with pytest.raises(SourceError, match=r"Correct source\.database and source\.table"):
        make_source().day_rows(FIRST, DAYS[2])


def test_a_table_without_a_column_ends_the_reading(service: Service, make_source: Make) -> None:
    service.engine.session.query("ALTER TABLE pypi.pypi DROP COLUMN ci")
    with pytest.raises(SourceError, match=r"columns of ClickPy's table pypi\.pypi"):
        list(make_source().read([ask()]))


def test_a_server_that_cannot_be_reached_is_a_transient_error_without_a_traceback(
    make_source: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TransientError, match=r"Check source\.host, source\.port and the network"):
        list(make_source(port=1).read([ask()]))
    assert not any(record.exc_info for record in caplog.records)
