"""Runs whose process died are closed, and old runs deleted. Live runs and the history of days stay."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from tests.conftest import DAY, House, MakeHouse, RowSource
from tests.rows import row
from winnow_dagster.definitions import build
from winnow_dagster.files.processes import this_machine, this_process
from winnow_dagster.instance.naming import Names
from winnow_dagster.instance.runs import FORMER_TAGS, PROCESS_TAG, SITE_TAG, OwnRuns


def add_run(house: House, status: dg.DagsterRunStatus, tag: str) -> str:
    run = house.instance.get_runs(limit=1)[0]
    tags = {PROCESS_TAG: f"{tag} it", SITE_TAG: house.winnow.ownership.site}
    house.instance.add_run(run._replace(run_id="it", status=status, tags=tags))
    return "it"


def own_runs(house: House, label: str = "") -> OwnRuns:
    return OwnRuns(house.instance, house.winnow.ownership.site, label)


@pytest.fixture
def house(make_house: MakeHouse, source: RowSource) -> House:
    source.rows = [row(DAY, "a", downloads=5)]
    house = make_house({"a": (1,)})
    house.count(DAY, DAY)
    return house


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])
def test_a_run_whose_process_has_died_is_closed(house: House, status: dg.DagsterRunStatus) -> None:
    run_id = add_run(house, status, f"{dead_process()}.1@{this_machine()}")
    own_runs(house).close_dead()
    closed = house.instance.get_run_by_id(run_id)
    assert closed is not None
    assert closed.status is dg.DagsterRunStatus.FAILURE


def test_a_run_whose_process_id_went_to_another_process_is_closed(house: House) -> None:
    mine, _, host = this_process().partition("@")
    run_id = add_run(house, dg.DagsterRunStatus.STARTED, f"{mine.partition('.')[0]}.1@{host}")
    own_runs(house).close_dead()
    closed = house.instance.get_run_by_id(run_id)
    assert closed is not None
    assert closed.is_failure


@pytest.mark.parametrize(
    "before", ["/0badb007/4026531836", ""], ids=["before it was started anew", "before an upgrade"]
)
def test_a_run_from_before_a_restart_of_this_machine_is_closed(house: House, before: str) -> None:
    host = this_machine().partition("/")[0]
    run_id = add_run(house, dg.DagsterRunStatus.STARTED, f"1.1@{host}{before}")
    own_runs(house).close_dead()
    closed = house.instance.get_run_by_id(run_id)
    assert closed is not None
    assert closed.is_failure


@pytest.mark.parametrize("where", ["here", "elsewhere", "nobody says"])
def test_a_live_run_and_a_run_of_another_machine_are_left_alone(house: House, where: str) -> None:
    tags = {
        "here": this_process(),
        "elsewhere": f"{dead_process()}.1@another-machine",
    }
    run_id = add_run(house, dg.DagsterRunStatus.STARTED, tags.get(where, ""))
    own_runs(house).close_dead()
    left = house.instance.get_run_by_id(run_id)
    assert left is not None
    assert left.status is dg.DagsterRunStatus.STARTED


def test_a_re_executed_run_is_not_closed_for_its_dead_parent(house: House) -> None:
    run_id = add_run(house, dg.DagsterRunStatus.STARTED, f"{dead_process()}.1@{this_machine()}")
    parent = house.instance.get_run_by_id(run_id)
    assert parent is not None
    house.instance.add_run(parent._replace(run_id="again", parent_run_id=run_id, root_run_id=run_id))
    own_runs(house).close_dead()
    assert (status_of(house, run_id), status_of(house, "again")) == (
        dg.DagsterRunStatus.FAILURE,
        dg.DagsterRunStatus.STARTED,
    )


def test_every_run_has_the_tag_of_its_process(house: House) -> None:
    house.publish()
    assert all(run.tags[PROCESS_TAG] == f"{this_process()} {run.run_id}" for run in house.instance.get_runs())


def test_a_run_with_the_tags_of_an_older_version_is_closed_too(house: House) -> None:
    run_id = add_run(house, dg.DagsterRunStatus.STARTED, f"{dead_process()}.1@{this_machine()}")
    run = house.instance.get_run_by_id(run_id)
    assert run is not None
    tags = {FORMER_TAGS[tag]: run.tags[tag] for tag in (PROCESS_TAG, SITE_TAG)}
    house.instance.delete_run(run_id)
    house.instance.add_run(run._replace(tags=tags))
    own_runs(house).close_dead()
    assert status_of(house, run_id) is dg.DagsterRunStatus.FAILURE


def test_without_the_path_of_a_runs_database_deleted_runs_would_leave_files(
    make_house: MakeHouse, source: RowSource, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        house = House(make_house({"a": (1,)}).winnow, lambda: instance)
        house.winnow.ownership.claim()
        read = house.count(DAY, DAY).run_id
        house.publish()
        source.failing = {"a"}
        house.output_dir.rename(tmp_path / "away")
        house.output_dir.write_text("in the way")
        assert not house.run("badges").success
        shards = tmp_path / "home/history/runs"
        before = {path.stem for path in shards.glob("*.db")}
        assert own_runs(house).purge_old_runs(datetime.now(UTC) - timedelta(minutes=5)) == 0
        assert own_runs(house).purge_old_runs(datetime.now(UTC) + timedelta(minutes=5)) == 3
        assert [run.run_id for run in instance.get_runs()] == [read]
        assert {path.stem for path in shards.glob("*.db")} < before
        assert (shards / f"{read}.db").exists()
        key = dg.AssetKey("raw_downloads")
        assert instance.get_materialized_partitions(key) == {str(DAY)}


def test_a_run_that_was_never_submitted_is_closed_after_a_while(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = add_run(house, dg.DagsterRunStatus.NOT_STARTED, "")
    own_runs(house).close_dead()
    assert status_of(house, run_id) is dg.DagsterRunStatus.NOT_STARTED
    monkeypatch.setattr("winnow_dagster.instance.runs.TIME_TO_SUBMIT", timedelta(seconds=-5))
    own_runs(house).close_dead()
    assert status_of(house, run_id) is dg.DagsterRunStatus.FAILURE


def start(house: House, at: datetime) -> str:
    """Start a run of a moment, without the tag of a process."""
    job = build(house.winnow).resolve_implicit_global_asset_job_def()
    tags = {SITE_TAG: house.winnow.ownership.site}
    run = house.instance.create_run_for_job(job, asset_selection=frozenset({dg.AssetKey("badges")}), tags=tags)
    started = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, job_name=run.job_name)
    house.instance.report_dagster_event(started, run_id=run.run_id, timestamp=at.timestamp())
    return run.run_id


def test_a_run_that_died_before_its_tag_was_set_is_closed_after_a_while(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = start(house, datetime.now(UTC))
    runs = own_runs(house, "__repository__@winnow")
    runs.close_dead()
    assert status_of(house, run_id) is dg.DagsterRunStatus.STARTED
    monkeypatch.setattr("winnow_dagster.instance.runs.TIME_TO_SUBMIT", timedelta(seconds=-5))
    runs.close_dead()
    assert status_of(house, run_id) is dg.DagsterRunStatus.FAILURE


@pytest.mark.parametrize(
    ("label", "names"),
    [("__repository__@ours", Names(is_merged=True)), ("", Names())],
    ids=["in a project", "by a collect, which does not know the executor"],
)
def test_where_each_step_may_have_a_process_a_run_without_one_is_not_closed_soon(
    house: House, label: str, names: Names
) -> None:
    run_id = start(house, datetime.now(UTC) - timedelta(hours=1))
    OwnRuns(house.instance, house.winnow.ownership.site, label, names).close_dead()
    assert status_of(house, run_id) is dg.DagsterRunStatus.STARTED


@pytest.mark.parametrize("is_silent", [True, False])
def test_a_run_of_unknown_processes_is_closed_once_it_has_logged_nothing_for_hours(
    house: House, *, is_silent: bool
) -> None:
    run_id = start(house, datetime.now(UTC) - timedelta(hours=5))
    if not is_silent:
        house.instance.report_engine_event("it goes on", run_id=run_id, job_name="__ASSET_JOB")
    own_runs(house).close_dead()
    assert (status_of(house, run_id) is dg.DagsterRunStatus.FAILURE) is is_silent


def test_a_silent_run_whose_process_is_alive_is_left_alone(house: House) -> None:
    run_id = start(house, datetime.now(UTC) - timedelta(days=1))
    house.instance.add_run_tags(run_id, {PROCESS_TAG: f"{this_process()} {run_id}"})
    own_runs(house).close_dead()
    assert status_of(house, run_id) is dg.DagsterRunStatus.STARTED


def status_of(house: House, run_id: str) -> dg.DagsterRunStatus:
    run = house.instance.get_run_by_id(run_id)
    assert run is not None
    return run.status
