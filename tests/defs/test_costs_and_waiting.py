"""What a run notes of its readings: what they cost, what the second one changed, and that a day is not there yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from tests.conftest import DAY, FixedClock, MakeHouse, RowSource
from tests.defs.test_counts import metadata
from tests.rows import row
from winnow_dagster.core.coverage import Cost, Failure, Reading, Request
from winnow_dagster.defs.clock import Clock
from winnow_dagster.sources.interface import IncompleteDaysError, SourceError, TransientError

ROWS = [row(DAY - timedelta(days=n), "a", downloads=10) for n in range(5)]


@dataclass
class CostlySource(RowSource):
    """A source whose answers cost something, and which can refuse."""

    refusal: SourceError | None = None
    answers: int = 0
    passing: set[str] = field(default_factory=set)

    def read(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:
        for number, answer in enumerate(super().read(requests)):
            if self.refusal and number >= self.answers:
                raise self.refusal
            if isinstance(answer, Failure):
                yield answer
                continue
            if (selector := str(answer.requests[0].selector)) in self.passing:
                yield Failure(answer.requests[0], f"{selector}: the line is cut", is_transient=True)
                continue
            yield replace(answer, cost=Cost(1, 300, 2**40 // 100))


@pytest.fixture
def source() -> CostlySource:
    return CostlySource(rows=ROWS)


def test_a_day_notes_its_share_of_what_its_readings_cost(make_house: MakeHouse) -> None:
    house = make_house({"a": (2,), "b": (2,)}, kind="bigquery")
    house.count(DAY - timedelta(days=1), DAY)
    found = metadata(house.instance, "raw_downloads", DAY)
    assert (found["queries"], found["rows"], found["bytes_processed"]) == (2, 1, 300)
    assert found["bytes_billed"] == 2 * (2**40 // 100 // 2)
    assert found["dollars"] == pytest.approx(0.0625, abs=1e-6)


def test_a_second_reading_notes_how_many_rows_came_late(make_house: MakeHouse, source: CostlySource) -> None:
    house = make_house({"a": (1,), "b": (1,)})
    house.count(DAY, DAY)
    assert metadata(house.instance, "raw_downloads", DAY)["late_rows"] == 0
    source.rows = [*ROWS, row(DAY, "a", installer="uv", downloads=3), row(DAY, "b", installer="uv", downloads=4)]
    house.count(DAY, DAY, refetch=True)
    assert metadata(house.instance, "raw_downloads", DAY)["late_rows"] == 7
    source.rows = ROWS
    house.count(DAY, DAY, refetch=True)
    assert metadata(house.instance, "raw_downloads", DAY)["late_rows"] == -7


def test_a_source_that_answers_nothing_fails_the_run_and_says_why_for_each_package(
    make_house: MakeHouse, source: CostlySource
) -> None:
    source.refusal = SourceError("no way in. Find one")
    house = make_house({"a": (1,), "b": (1,)})
    assert not house.count(DAY, DAY).success
    assert house.winnow.missing() == dict.fromkeys(("a", "b"), f"1 days, {DAY} to {DAY}: no way in. Find one")


def test_what_was_answered_before_the_source_gave_up_is_kept(make_house: MakeHouse, source: CostlySource) -> None:
    source.refusal, source.answers = SourceError("the quota is used up"), 1
    house = make_house({"a": (1,), "b": (1,)})
    assert house.count(DAY, DAY).success
    assert house.winnow.missing() == {"b": f"1 days, {DAY} to {DAY}: the quota is used up"}
    assert metadata(house.instance, "honest_downloads", DAY)["honest"] == 10


def test_a_run_asks_to_be_tried_later_while_the_day_is_not_there(
    make_house: MakeHouse, source: CostlySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(IncompleteDaysError, "seconds_to_wait", 0)
    source.refusal = IncompleteDaysError("reaches to noon only. Run again later")
    house = make_house({"a": (1,)})
    result = house.count(DAY, DAY)
    assert not result.success
    retries = [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    assert len(retries) == 6
    assert not house.winnow.honest.coverage(DAY)
    source.refusal = None
    assert house.count(DAY, DAY).success


def test_a_collect_does_not_wait(make_house: MakeHouse, source: CostlySource) -> None:
    source.refusal = IncompleteDaysError("reaches to noon only. Run again later")
    house = make_house({"a": (1,)})
    house.winnow = replace(house.winnow, waits=False)
    result = house.count(DAY, DAY)
    assert not result.success
    assert "STEP_UP_FOR_RETRY" not in {event.event_type_value for event in result.all_events}


def test_each_day_is_read_provisionally_once_and_once_more_after_it_settled(
    make_house: MakeHouse, source: CostlySource
) -> None:
    for day in range(8):
        house = make_house({"a": (7,)}, FixedClock.after(DAY + timedelta(days=day)))
        object.__setattr__(house.winnow.settings.source, "settle_days", 3)
        for gap in house.winnow.gaps():
            assert house.count(gap.first, gap.last).success
    readings = Counter((day, r.is_reread) for r in source.asked for day in r.days())
    # At the first collect the days up to three before DAY had settled already.
    first_days = [DAY + timedelta(days=n) for n in range(-6, 8)]
    assert {day for day, second in readings if not second} == set(first_days)
    assert {day for day, second in readings if second} == {DAY + timedelta(days=n) for n in range(-2, 5)}
    assert set(readings.values()) == {1}


def test_packages_that_may_be_read_later_are_asked_for_again_and_in_the_end_the_rest_is_counted(
    make_house: MakeHouse, source: CostlySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TransientError, "seconds_to_wait", 0)
    source.passing = {"b"}
    house = make_house({"a": (1,), "b": (1,)})
    assert house.count(DAY, DAY).success
    assert Counter(str(request.selector) for request in source.asked) == {"a": 1, "b": 4}
    assert metadata(house.instance, "honest_downloads", DAY)["honest"] == 10
    source.passing = set()
    assert house.count(DAY, DAY).success
    assert house.winnow.missing() == {}


def test_a_retry_of_a_refetch_asks_only_for_what_failed(
    make_house: MakeHouse, source: CostlySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TransientError, "seconds_to_wait", 0)
    house = make_house({"a": (1,), "b": (1,)}, Clock())
    assert house.count(DAY, DAY).success
    source.asked.clear()
    source.passing = {"b"}
    assert house.count(DAY, DAY, refetch=True).success
    assert Counter(str(request.selector) for request in source.asked) == {"a": 1, "b": 4}


def test_what_asking_again_cannot_mend_is_not_asked_for_again(make_house: MakeHouse, source: CostlySource) -> None:
    source.failing = {"b"}
    house = make_house({"a": (1,), "b": (1,)})
    assert house.count(DAY, DAY).success
    assert Counter(str(request.selector) for request in source.asked) == {"a": 1, "b": 1}
