"""What runs by itself: each day once, each gap once a day, and nothing while days are being read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from tests.conftest import DAY, FixedClock, House, MakeHouse
from winnow_dagster.defs.automation import make_automation
from winnow_dagster.defs.partitions import RANGE_END, RANGE_START

TICK = datetime(2025, 7, 1, 3, 30, tzinfo=UTC)


def tick(house: House) -> list[dg.RunRequest]:
    (daily,) = [a for a in make_automation(house.winnow) if a.name == "daily"]
    assert isinstance(daily, dg.ScheduleDefinition)
    requests = daily(dg.build_schedule_context(scheduled_execution_time=TICK))
    assert isinstance(requests, Iterator)
    return [request for request in requests if isinstance(request, dg.RunRequest)]


def gaps(house: House) -> list[dg.RunRequest]:
    (sensor,) = [a for a in make_automation(house.winnow) if a.name == "gaps"]
    assert isinstance(sensor, dg.SensorDefinition)
    data = sensor.evaluate_tick(dg.build_sensor_context(house.instance))
    return list(data.run_requests or [])


def test_a_tick_reads_yesterday_and_the_day_that_has_settled(make_house: MakeHouse) -> None:
    house = make_house({"a": (7,)})
    object.__setattr__(house.winnow.settings.source, "settle_days", 3)
    requests = tick(house)
    assert [request.partition_key for request in requests] == ["2025-06-30", "2025-06-27"]
    assert [request.run_key for request in tick(house)] == [request.run_key for request in requests]


def test_without_settling_a_tick_reads_yesterday_only(make_house: MakeHouse) -> None:
    assert [request.partition_key for request in tick(make_house({"a": (7,)}))] == ["2025-06-30"]


@pytest.mark.parametrize(
    ("now", "due"), [(datetime(2025, 7, 1, 3, 29, tzinfo=UTC), date(2025, 6, 29)), (TICK, date(2025, 6, 30))]
)
def test_between_midnight_and_the_tick_yesterday_is_not_due(make_house: MakeHouse, now: datetime, due: date) -> None:
    assert make_house({"a": (7,)}, FixedClock(moment=now)).winnow.due_day == due


def test_a_gap_is_asked_for_as_one_run_under_the_same_key_all_day(make_house: MakeHouse) -> None:
    house = make_house({"a": (7,)})
    (request,) = gaps(house)
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == (str(DAY - timedelta(days=6)), str(DAY))
    assert request.run_config == {"ops": {"raw_downloads": {"config": {"packages": ["a"]}}}}
    assert gaps(house)[0].run_key == request.run_key
    tomorrow = make_house({"a": (7,)}, FixedClock(moment=house.winnow.clock.now() + timedelta(days=1)))
    assert gaps(tomorrow)[0].run_key != request.run_key


def test_days_off_and_a_new_package_are_gaps(make_house: MakeHouse) -> None:
    make_house({"a": (7,)}).count(DAY - timedelta(days=6), DAY - timedelta(days=3))
    requests = gaps(make_house({"a": (7,), "b": (7,)}))
    assert [(r.tags[RANGE_START], r.tags[RANGE_END]) for r in requests] == [
        (str(DAY - timedelta(days=6)), str(DAY - timedelta(days=3))),
        (str(DAY - timedelta(days=2)), str(DAY)),
    ]


def test_a_full_store_asks_for_nothing(make_house: MakeHouse) -> None:
    house = make_house({"a": (7,)})
    house.count(DAY - timedelta(days=6), DAY)
    assert gaps(house) == []


@pytest.mark.parametrize(
    ("job", "selection"), [("read_days", None), ("__ASSET_JOB", frozenset({dg.AssetKey("raw_downloads")}))]
)
def test_nothing_is_asked_for_while_days_are_being_read(
    make_house: MakeHouse, job: str, selection: frozenset[dg.AssetKey] | None
) -> None:
    # The instance stamps runs with the machine's clock, and the sensor looks back by its own.
    house = make_house({"a": (7,)}, FixedClock(moment=datetime.fromtimestamp(time.time(), UTC)))
    house.run("badges")
    finished = house.instance.get_runs()[0]
    house.instance.add_run(
        finished._replace(run_id="busy", job_name=job, status=dg.DagsterRunStatus.STARTED, asset_selection=selection)
    )
    assert gaps(house) == []
    house.instance.add_run(finished._replace(run_id="publishing", status=dg.DagsterRunStatus.STARTED))
    house.instance.delete_run("busy")
    assert gaps(house) != []
