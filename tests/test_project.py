"""A project that `create-dagster` makes, with assets of its own, and two components of Winnow beside them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.dagster_dev import ROOT, Dev, free_port
from tests.shared_instance import backdate, opened, origin

pytestmark = pytest.mark.slow(190)

SCRIPTS = Path(sys.executable).parent
HOST = """
import dagster as dg

@dg.asset
def badges() -> None: ...

@dg.asset(deps=[badges])
def index() -> None: ...

@dg.asset_check(asset=badges)
def is_good() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)

daily = dg.define_asset_job("daily", [index], tags={"team": "theirs"})

@dg.sensor(name="alerts", target=daily, minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def alerts() -> dg.SkipReason:
    return dg.SkipReason("theirs")

@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions(
        assets=[badges, index],
        asset_checks=[is_good],
        jobs=[daily],
        schedules=[dg.ScheduleDefinition(name="hourly", job=daily, cron_schedule="0 * * * *")],
        sensors=[alerts],
        executor=dg.multiprocess_executor,
        resources={"winnow": 1},
    )
"""
COMPONENTS = {"downloads": "sample-oat", "more": "sample-rye"}
ASSETS = ("badges", "honest_downloads", "index", "pypi_file_downloads", "raw_downloads")
SCAFFOLD = ("dg", "scaffold", "defs", "winnow_dagster.WinnowComponent")
EVENTS = """query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
  __typename ... on MessageEvent { message stepKey } } } } }"""
OLD = 400
"""How many days ago the old runs were. Winnow keeps its own for 90 days."""


def environment(folder: Path) -> dict[str, str]:
    return {
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DG_CLI_CONFIG": str(folder / "dg.toml"),
        "HOME": str(folder),
        "PATH": f"{SCRIPTS}:{os.environ['PATH']}",
        "PYTHONPATH": "src",
    }


def run(folder: Path, *command: str) -> str:
    given = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER", "WINNOW"))}
    done = subprocess.run(
        command, cwd=folder, env=given | environment(folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new project with the host's definitions only."""
    folder = tmp_path_factory.mktemp("project")
    run(folder, "create-dagster", "project", "host", "--no-uv-sync")
    (folder / "host/src/host/defs/theirs.py").write_text(HOST)
    shutil.copy(ROOT / "dagster.yaml", folder / "host")
    return folder / "host"


def definitions(project: Path) -> dict[str, dict[str, Any]]:
    """Return what `dg list defs` shows, by kind and name."""
    found = json.loads(run(project, "dg", "list", "defs", "--json"))
    return {
        kind: {each.get("asset_key") or each.get("name") or each["key"]: each for each in entries}
        for kind, entries in found.items()
    }


def test_components_beside_a_host_publish_and_change_nothing_of_it(project: Path) -> None:
    before = definitions(project)
    add_components(project)
    run(project, "dg", "check", "defs")
    after = definitions(project)
    ours = {f"{name}/{asset}" for name in COMPONENTS for asset in ASSETS}
    assert after["assets"].keys() - before["assets"].keys() == ours
    assert after["jobs"].keys() - before["jobs"].keys() == {
        f"{name}_{job}" for name in COMPONENTS for job in ("read_days", "check_all")
    }
    for kind, entries in before.items():
        assert {name: after[kind][name] for name in entries} == entries

    dev = Dev(project, free_port(), environment(project), location="host", command=("dg", "dev"))
    kept = add_old_runs(project)
    with dev.running():
        publish(dev)
        dev.wait(lambda: all(f"Sensor {name}_delete_old_runs skipped" in dev.log() for name in COMPONENTS))
        found = {run["runId"] for run in dev.runs()}
    assert "ours" not in found
    assert set(kept) <= found
    # Each component has published its own package, and only that.
    for name, package in COMPONENTS.items():
        public = project / f"src/host/defs/{name}/public"
        assert [path.parent.name for path in public.rglob("counts.json")] == [package]
        badge = json.loads((public / package / "downloads-30d-non-ci.json").read_bytes())
        assert badge["label"] == "sample: installs (30d)"
        assert not badge["message"].startswith("collecting")


def add_components(project: Path) -> None:
    """Scaffold a component, and copy it with another package."""
    (name, package), (copy, other) = COMPONENTS.items()
    run(project, *SCAFFOLD, name, "--kind", "sample", "--packages", package)
    defs_yaml = project / f"src/host/defs/{name}/defs.yaml"
    # The runs of this test are those that it launches.
    text = defs_yaml.read_text() + "  schedule: {enabled: false}\n"
    defs_yaml.write_text(text)
    assert package in run(project, "winnow", "check", "--config", str(defs_yaml))
    shutil.copytree(defs_yaml.parent, defs_yaml.parents[1] / copy)
    (defs_yaml.parents[1] / copy / "defs.yaml").write_text(text.replace(package, other))


def add_old_runs(project: Path) -> list[str]:
    """Add old runs of the host, and one of Winnow's. Return the ids of the host's."""
    at = datetime.now(UTC) - timedelta(days=OLD)
    theirs: dict[str, Any] = {
        "their job": {"job_name": "daily"},
        "their assets": {"asset_selection": {dg.AssetKey("badges")}},
    }
    ours: dict[str, Any] = {"ours": {"asset_selection": {dg.AssetKey(["downloads", "badges"])}}}
    with opened(project, {}) as instance:
        for run_id, changes in (theirs | ours).items():
            values: dict[str, Any] = {"job_name": "__ASSET_JOB", "remote_job_origin": origin("host")} | changes
            instance.add_run(dg.DagsterRun(run_id=run_id, status=dg.DagsterRunStatus.SUCCESS, **values))
            backdate(instance, run_id, at)
    return list(theirs)


def publish(dev: Dev) -> None:
    """Read days and publish through the webserver, while the host's own job runs."""
    last = datetime.now(UTC).date() - timedelta(days=1)
    days = (str(last - timedelta(days=29)), str(last))
    theirs = dev.launch((), job="daily")
    end(dev, [theirs, *(dev.launch(days, job=f"{name}_read_days") for name in COMPONENTS)])
    end(dev, [dev.launch((package, package), f"{name}/badges") for name, package in COMPONENTS.items()])
    # The host's run has its own executor, and no tag of Winnow's.
    events = dev.ask(EVENTS, id=theirs)["logsForRun"]["events"]
    assert "StepWorkerStartingEvent" in {event["__typename"] for event in events}
    (found,) = [run for run in dev.runs() if run["runId"] == theirs]
    assert not [tag for tag in found["tags"] if "winnow" in tag["key"]]
    assert "Sensor alerts skipped: theirs" in dev.log()


def end(dev: Dev, runs: list[str]) -> None:
    """Wait until these runs have succeeded."""

    def found() -> list[str]:
        statuses = dev.statuses()
        return [statuses.get(run, "") for run in runs]

    dev.wait(lambda: {"SUCCESS", "FAILURE", "CANCELED"}.issuperset(found()))
    assert found() == ["SUCCESS"] * len(runs), dev.log()[-4000:]
