"""In a Dagster instance that other teams share, their old, running and queued runs stay as they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

from tests.conftest import House, MakeHouse
from tests.dagster_dev import LAUNCH, Dev, make_dev
from tests.postgres import find_postgres, running_postgres
from tests.test_dagster_dev import all_there, collect
from winnow_dagster.instance.runs import PROCESS_TAG, SITE_TAG, OwnRuns

OLD = datetime.now(UTC) - timedelta(days=400)
STORAGE = {
    "sqlite": "dagster.yaml",
    "postgres": "deploy/dagster.postgres.yaml",
}
HOST = """
import threading
import dagster as dg

@dg.asset
def theirs() -> None:
    threading.Event().wait(600)

defs = dg.Definitions([theirs], jobs=[dg.define_asset_job("their_job", "*", tags={"team": "theirs"})])
"""


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Iterator[tuple[str, dict[str, str]]]:
    """The name of a kind of storage, and the variables that it needs."""
    if request.param == "sqlite":
        yield "sqlite", {}
    elif find_postgres() is None:
        pytest.skip("PostgreSQL's server is not installed")
    else:
        with running_postgres() as variables:
            yield "postgres", variables


@contextmanager
def opened(folder: Path, variables: dict[str, str]) -> Iterator[dg.DagsterInstance]:
    """Open the instance of a folder, as the processes in it do."""
    before, cwd = dict(os.environ), Path.cwd()
    os.environ.update(variables)
    os.chdir(folder)
    try:
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            yield instance
    finally:
        os.chdir(cwd)
        for name in variables.keys() - before.keys():
            del os.environ[name]


def backdate(instance: dg.DagsterInstance, run_id: str, at: datetime = OLD) -> None:
    """Let a run be created and started at a moment, by default long ago."""
    assert isinstance(instance.run_storage, SqlRunStorage)
    with instance.run_storage.connect() as connection:
        wanted = RunsTable.update().where(RunsTable.c.run_id == run_id)
        connection.execute(wanted.values(create_timestamp=at.replace(tzinfo=None), start_time=at.timestamp()))


def origin(location: str) -> RemoteJobOrigin:
    code = GrpcServerCodeLocationOrigin("localhost", 1, location_name=location)
    return RemoteJobOrigin(RemoteRepositoryOrigin(code, "__repository__"), "a_job")


def add(
    instance: dg.DagsterInstance, like: dg.DagsterRun, run_id: str, status: dg.DagsterRunStatus, **changes: Any
) -> None:
    """Add an old run like another one."""
    instance.add_run(like._replace(run_id=run_id, status=status, **{"tags": {}, "remote_job_origin": None} | changes))
    backdate(instance, run_id)


ASSETS = frozenset({dg.AssetKey("badges")})
MIXED = frozenset({dg.AssetKey("badges"), dg.AssetKey("theirs")})
OTHERS: dict[str, dict[str, Any]] = {
    "another location": {"remote_job_origin": origin("theirs"), "asset_selection": ASSETS},
    "our location, their asset": {"remote_job_origin": origin("ours"), "asset_selection": MIXED},
    "our location, their job": {"remote_job_origin": origin("ours"), "asset_selection": None, "job_name": "their_job"},
    "no location": {"asset_selection": ASSETS},
    "another site": {"tags": {SITE_TAG: "another"}, "remote_job_origin": origin("ours"), "asset_selection": ASSETS},
    "our tag, their asset": {"tags": {SITE_TAG: "the site", PROCESS_TAG: "1.1@nowhere"}, "asset_selection": MIXED},
}
STATUSES = ("SUCCESS", "FAILURE", "STARTED", "QUEUED", "NOT_STARTED", "CANCELING")


def statuses(instance: dg.DagsterInstance) -> dict[str, str]:
    return {run.run_id: run.status.value for run in instance.get_runs()}


def test_only_our_own_runs_are_closed_and_deleted(
    make_house: MakeHouse, tmp_path: Path, database: tuple[str, dict[str, str]]
) -> None:
    kind, variables = database
    make_dev(tmp_path, STORAGE[kind])
    with opened(tmp_path, variables) as instance:
        house = House(make_house({"a": (1,)}).winnow, lambda: instance)
        house.run("badges")
        like = instance.get_runs()[0]
        instance.delete_run(like.run_id)
        for whose, changes in OTHERS.items():
            for status in STATUSES if "remote_job_origin" in changes else set(STATUSES) - {"QUEUED"}:
                add(instance, like, f"{whose}, {status}", dg.DagsterRunStatus(status), **changes)
        others = statuses(instance)
        assert len(others) == len(OTHERS) * len(STATUSES) - 2
        ours: dict[str, dict[str, Any]] = {
            "our location": {"remote_job_origin": origin("ours"), "asset_selection": ASSETS},
            "our tag": {"tags": {SITE_TAG: "the site"}, "asset_selection": ASSETS},
        }
        for whose, changes in ours.items():
            for status in ("SUCCESS", "STARTED", "NOT_STARTED"):
                add(instance, like, f"{whose}, {status}", dg.DagsterRunStatus(status), **changes)

        runs = OwnRuns(instance, "the site", "__repository__@ours")
        runs.close_dead()
        assert {name: status for name, status in statuses(instance).items() if name in others} == others
        assert {name: status for name, status in statuses(instance).items() if name not in others} == {
            f"{whose}, {before}": after
            for whose in ours
            for before, after in {
                "SUCCESS": "SUCCESS", "STARTED": "FAILURE", "NOT_STARTED": "FAILURE",
            }.items()
        }  # fmt: skip
        assert runs.purge_old_runs(datetime.now(UTC) - timedelta(days=90)) == 6
        assert statuses(instance) == others


def make_shared(folder: Path, kind: str, variables: dict[str, str]) -> Dev:
    """Return a `dagster dev` with another team's code location, of whose runs one may run at a time."""
    dev = make_dev(folder, STORAGE[kind])
    dev.environment = variables
    (folder / "host.py").write_text(HOST)
    workspace = yaml.safe_load((folder / "workspace.yaml").read_text())
    workspace["load_from"].append({"python_file": {"relative_path": "host.py", "location_name": "host"}})
    (folder / "workspace.yaml").write_text(yaml.safe_dump(workspace))
    instance = yaml.safe_load((folder / "dagster.yaml").read_text())
    instance["concurrency"]["runs"]["tag_concurrency_limits"] = [{"key": "team", "limit": 1}]
    (folder / "dagster.yaml").write_text(yaml.safe_dump(instance))
    return dev


def launch(dev: Dev) -> str:
    """Launch the other team's job."""
    selector = {"repositoryLocationName": "host", "repositoryName": "__repository__", "jobName": "their_job"}
    run: str = dev.ask(LAUNCH, params={"selector": selector, "mode": "default"})["launchRun"]["run"]["runId"]
    return run


def more(dev: Dev, line: str, times: int) -> Callable[[], bool]:
    """Return what tells whether the log has so many more of a line."""
    before = dev.log().count(line)
    return lambda: dev.log().count(line) >= before + times


@pytest.mark.slow(130)
def test_the_daemon_and_a_collect_leave_the_runs_of_others_alone(
    tmp_path: Path, database: tuple[str, dict[str, str]]
) -> None:
    kind, variables = database
    dev = make_shared(tmp_path, kind, variables)
    with dev.running():
        running = launch(dev)
        dev.wait(lambda: dev.status(running) == "STARTED")
        queued = launch(dev)
        with opened(tmp_path, variables) as instance:
            like = instance.get_run_by_id(running)
            assert like is not None
            # Dagster's own run monitoring ends what takes more than four hours.
            backdate(instance, running, datetime.now(UTC) - timedelta(minutes=30))
            for status in ("SUCCESS", "FAILURE"):
                instance.add_run(like._replace(run_id=f"old {status}", status=dg.DagsterRunStatus(status)))
                backdate(instance, f"old {status}")
        expected = {running: "STARTED", queued: "QUEUED", "old SUCCESS": "SUCCESS", "old FAILURE": "FAILURE"}
        gaps = more(dev, "Sensor winnow_fill_gaps skipped", 2)
        dev.wait(lambda: all_there(dev) and gaps() and "Sensor winnow_delete_old_runs skipped" in dev.log())
        assert collect(dev) == 0
        theirs = {run["runId"]: run["status"] for run in dev.runs() if run["jobName"] == "their_job"}
        assert theirs == expected
        dev.terminate(queued)
        dev.terminate(running)
        dev.wait(lambda: dev.status(running) == "CANCELED")
