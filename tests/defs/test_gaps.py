"""The sensor that fills gaps: when it requests runs, when it waits, and the reasons that it gives."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from tests.conftest import DAY, NOW, FixedClock, House, MakeHouse
from winnow_dagster.core.billing import Entry
from winnow_dagster.defs.automation import make_automation
from winnow_dagster.defs.jobs import Jobs
from winnow_dagster.defs.partitions import RANGE_END, RANGE_START
from winnow_dagster.files.processes import this_machine
from winnow_dagster.instance.runs import PROCESS_TAG, SITE_TAG
from winnow_dagster.store.ledger import ledger_of


@dataclass
class Sensor:
    """The sensor, with the cursor that Dagster keeps for it, at a time that a test sets."""

    house: House
    cursor: str | None = None
    loaded: datetime = NOW - timedelta(days=30)
    after: timedelta = field(default_factory=timedelta)

    def tick(self) -> SensorExecutionData:
        clock = FixedClock(moment=self.house.winnow.clock.now() + self.after)
        winnow = replace(self.house.winnow, clock=clock, started=self.loaded)
        (sensor,) = [a for a in make_automation(winnow, Jobs(winnow.names)) if a.name == "winnow_fill_gaps"]
        assert isinstance(sensor, dg.SensorDefinition)
        data = sensor.evaluate_tick(dg.build_sensor_context(self.house.instance, cursor=self.cursor))
        self.cursor = data.cursor
        return data

    def asks(self, **after: int) -> list[dg.RunRequest]:
        """Return what it asks for, that long after the first tick."""
        self.after = timedelta(**after)
        return list(self.tick().run_requests or [])

    def says(self, **after: int) -> str:
        """Return why it asks for nothing."""
        self.after = timedelta(**after)
        data = self.tick()
        assert not data.run_requests
        return data.skip_message or ""


def days(requests: list[dg.RunRequest]) -> list[tuple[str, str]]:
    return [(r.tags[RANGE_START], r.tags[RANGE_END]) for r in requests]


def test_a_gap_is_requested_as_one_run(make_house: MakeHouse) -> None:
    (request,) = Sensor(make_house({"a": (7,)})).asks()
    assert days([request]) == [(str(DAY - timedelta(days=6)), str(DAY))]
    assert request.run_config == {"ops": {"raw_downloads": {"config": {"packages": ["a"]}}}}


def test_missed_days_and_a_new_package_are_gaps(make_house: MakeHouse) -> None:
    make_house({"a": (7,)}).count(DAY - timedelta(days=6), DAY - timedelta(days=3))
    assert days(Sensor(make_house({"a": (7,), "b": (7,)})).asks()) == [
        (str(DAY - timedelta(days=6)), str(DAY - timedelta(days=3))),
        (str(DAY - timedelta(days=2)), str(DAY)),
    ]


def test_with_a_complete_store_the_sensor_requests_nothing_and_says_so(make_house: MakeHouse) -> None:
    house = make_house({"a": (7,)})
    house.count(DAY - timedelta(days=6), DAY)
    assert Sensor(house).says() == f"nothing is missing up to {DAY}"


def test_a_failed_read_is_retried_at_growing_intervals_and_the_reason_says_when(make_house: MakeHouse) -> None:
    make_house.source.failing = {"a"}
    house = make_house({"a": (7,)})
    sensor = Sensor(house)
    assert sensor.asks()
    house.count(DAY - timedelta(days=6), DAY)
    said = sensor.says(minutes=9)
    assert said == (
        f"a: 7 days, {DAY - timedelta(days=6)} to {DAY}: the source is on fire. Put it out. Waiting: asked 1 times, "
        "next at 2025-07-01 04:10 UTC, or as soon as the config (press Reload), the key file or the definitions change"
    )
    assert sensor.asks(minutes=10)
    assert "asked 2 times, next at 2025-07-01 04:30 UTC" in sensor.says(minutes=29)
    assert sensor.asks(minutes=30)


def test_after_a_change_of_the_config_a_failed_read_is_retried_at_once(make_house: MakeHouse) -> None:
    house = make_house({"a": (7,)})
    sensor = Sensor(house)
    sensor.asks()
    assert sensor.says(seconds=30)
    settings = replace(house.winnow.settings, start_date=DAY - timedelta(days=2))
    sensor.house = House(replace(house.winnow, settings=settings), house.opened)
    assert sensor.asks(seconds=60)
    assert sensor.says(seconds=90)


def test_after_a_reload_of_the_definitions_a_failed_read_is_retried_at_once(make_house: MakeHouse) -> None:
    sensor = Sensor(make_house({"a": (7,)}))
    sensor.asks()
    sensor.loaded = NOW + timedelta(seconds=20)
    assert sensor.asks(seconds=30)
    assert sensor.says(seconds=60)


@pytest.mark.parametrize("where", ["config", "variable", "gcloud"])
def test_after_a_change_of_the_key_file_a_failed_read_is_retried_at_once(
    make_house: MakeHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    key = tmp_path / "application_default_credentials.json"
    house = make_house({"a": (7,)})
    if where == "config":
        house.winnow = replace(house.winnow, settings=replace(house.winnow.settings, credential_file=key))
    variables = {"variable": ("GOOGLE_APPLICATION_CREDENTIALS", str(key)), "gcloud": ("CLOUDSDK_CONFIG", str(tmp_path))}
    for name, value in [variables[where]] if where in variables else []:
        monkeypatch.setenv(name, value)
    sensor = Sensor(house)
    sensor.asks()
    assert sensor.says(seconds=30)
    key.write_text("a key")
    assert sensor.asks(seconds=60)
    assert sensor.says(seconds=90)
    os.utime(key, (1, 1))
    assert sensor.asks(seconds=120)


def test_a_query_that_was_paid_for_and_failed_is_sent_once_a_day_whatever_changes(make_house: MakeHouse) -> None:
    house = make_house({"a": (7,), "b": (7,)}, kind="bigquery")
    sensor = Sensor(house)
    sensor.asks()
    entry = Entry("it", NOW + timedelta(seconds=5), DAY, DAY, ["a"], "per_package", 1.0, billed=10_000_000)
    ledger_of(house.winnow.settings.data_dir).enter(entry)
    sensor.loaded = NOW + timedelta(seconds=20)
    (request,) = sensor.asks(minutes=1)
    assert request.run_config["ops"]["raw_downloads"]["config"]["packages"] == ["b"]
    for hours in range(1, 24):
        assert all("'a'" not in str(r.run_config) for r in sensor.asks(hours=hours, minutes=59))
    assert any("'a'" in str(r.run_config) for r in sensor.asks(days=1))


def test_the_reason_names_a_query_that_was_paid_for(make_house: MakeHouse) -> None:
    house = make_house({"a": (7,)}, kind="bigquery")
    sensor = Sensor(house)
    sensor.asks()
    ledger_of(house.winnow.settings.data_dir).enter(Entry("it", NOW, DAY, DAY, ["a"], "per_package", 1.0))
    said = sensor.says(minutes=10)
    assert said.endswith(
        "Waiting: a query for this was paid for, so the next one follows at 2025-07-02 04:00 UTC. "
        "`winnow collect` sends it at once"
    )


def test_after_the_clock_was_ahead_gaps_are_requested_at_their_intervals_again(make_house: MakeHouse) -> None:
    sensor = Sensor(make_house({"a": (30,)}), loaded=NOW + timedelta(days=20))
    assert sensor.asks(days=20)
    assert "next at 2025-07-01 04:10 UTC" in sensor.says()
    assert sensor.asks(minutes=10)
    assert "next at 2025-07-01 04:30 UTC" in sensor.says(minutes=11)


def test_a_cursor_that_winnow_did_not_write_is_ignored(make_house: MakeHouse) -> None:
    for cursor in ("nonsense", "[{}]", "3"):
        assert Sensor(make_house({"a": (7,)}), cursor).asks()


def now_house(make_house: MakeHouse) -> House:
    """Return a house by the machine's clock, with which the instance stamps runs."""
    house = make_house({"a": (7,)}, FixedClock(moment=datetime.fromtimestamp(time.time(), UTC)))
    house.winnow.ownership.claim()
    house.run("badges")
    return house


@pytest.mark.parametrize(
    ("job", "selection"),
    [("winnow_read_days", None), ("read_days", None), ("__ASSET_JOB", frozenset({dg.AssetKey("raw_downloads")}))],
)
def test_nothing_is_requested_while_days_are_being_read(
    make_house: MakeHouse, job: str, selection: frozenset[dg.AssetKey] | None
) -> None:
    house = now_house(make_house)
    finished = house.instance.get_runs()[0]
    started = dg.DagsterRunStatus.STARTED
    busy = finished._replace(run_id="busy-run", job_name=job, status=started, asset_selection=selection)
    house.instance.add_run(busy)
    assert Sensor(house).says() == "run busy-run (started) reads days. Waiting until it ends"
    house.instance.add_run(finished._replace(run_id="publishing", status=started))
    house.instance.delete_run("busy-run")
    assert Sensor(house).asks()


def test_another_teams_run_does_not_delay_the_gaps(make_house: MakeHouse) -> None:
    house = now_house(make_house)
    finished = house.instance.get_runs()[0]
    for name, tags in (("one", {}), ("two", {SITE_TAG: "of another"})):
        run = finished._replace(run_id=name, job_name="read_days", status=dg.DagsterRunStatus.STARTED, tags=tags)
        house.instance.add_run(run)
    assert Sensor(house).asks()


def test_a_run_whose_process_died_does_not_delay_the_gaps(make_house: MakeHouse) -> None:
    house = now_house(make_house)
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    finished = house.instance.get_runs()[0]
    tags = {**finished.tags, PROCESS_TAG: f"{dead.pid}.1@{this_machine()} died"}
    died = finished._replace(run_id="died", job_name="read_days", status=dg.DagsterRunStatus.STARTED, tags=tags)
    house.instance.add_run(died)
    assert Sensor(house).asks()
