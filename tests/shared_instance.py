"""A Dagster instance that another team shares: their code location, and their runs, which stay as they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import yaml
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

from tests.dagster_dev import LAUNCH, Dev

OLD = datetime.now(UTC) - timedelta(days=400)
THEIR_JOB = "their_job"
HOST = f"""
import threading
import dagster as dg

@dg.asset
def theirs() -> None:
    threading.Event().wait(600)

defs = dg.Definitions([theirs], jobs=[dg.define_asset_job("{THEIR_JOB}", "*", tags={{"team": "theirs"}})])
"""


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


def add_team(dev: Dev) -> None:
    """Add another team's code location, of whose runs one may run at a time."""
    (dev.folder / "host.py").write_text(HOST)
    workspace = yaml.safe_load((dev.folder / "workspace.yaml").read_text())
    workspace["load_from"].append({"python_file": {"relative_path": "host.py", "location_name": "host"}})
    (dev.folder / "workspace.yaml").write_text(yaml.safe_dump(workspace))
    instance = yaml.safe_load((dev.folder / "dagster.yaml").read_text())
    instance["concurrency"]["runs"]["tag_concurrency_limits"] = [{"key": "team", "limit": 1}]
    (dev.folder / "dagster.yaml").write_text(yaml.safe_dump(instance))


@contextmanager
def team_at_work(dev: Dev) -> Iterator[None]:
    """Let the other team have a run under way, one that waits, and old ones. At the end all must be as they were."""
    running = launch(dev)
    dev.wait(lambda: dev.status(running) == "STARTED")
    queued = launch(dev)
    with opened(dev.folder, dev.environment) as instance:
        like = instance.get_run_by_id(running)
        assert like is not None
        # Dagster's own run monitoring ends what takes more than four hours.
        backdate(instance, running, datetime.now(UTC) - timedelta(minutes=30))
        for status in ("SUCCESS", "FAILURE"):
            instance.add_run(like._replace(run_id=f"old {status}", status=dg.DagsterRunStatus(status)))
            backdate(instance, f"old {status}")
    gaps = more(dev, "Sensor winnow_fill_gaps skipped", 2)
    yield
    # Winnow has looked for runs to close and to delete.
    dev.wait(lambda: gaps() and "Sensor winnow_delete_old_runs skipped" in dev.log())
    assert {run["runId"]: run["status"] for run in dev.runs() if run["jobName"] == THEIR_JOB} == {
        running: "STARTED",
        queued: "QUEUED",
        "old SUCCESS": "SUCCESS",
        "old FAILURE": "FAILURE",
    }
    dev.terminate(queued)
    dev.terminate(running)
    dev.wait(lambda: dev.status(running) == "CANCELED")


def launch(dev: Dev) -> str:
    """Launch the other team's job."""
    selector = {"repositoryLocationName": "host", "repositoryName": "__repository__", "jobName": THEIR_JOB}
    run: str = dev.ask(LAUNCH, params={"selector": selector, "mode": "default"})["launchRun"]["run"]["runId"]
    return run


def more(dev: Dev, line: str, times: int) -> Callable[[], bool]:
    """Return what tells whether the log has so many more of a line."""
    before = dev.log().count(line)
    return lambda: dev.log().count(line) >= before + times
