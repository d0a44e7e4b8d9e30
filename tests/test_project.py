"""A project that `create-dagster` makes: the component is scaffolded, loads, and publishes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(sys.executable).parent

PUBLISH = """
import sys
import dagster as dg
from host.definitions import defs

definitions = defs() if callable(defs) else defs
first, last, package = sys.argv[1:]
job = definitions.resolve_implicit_global_asset_job_def()

def run(assets, first, last):
    keys = [dg.AssetKey(["downloads", name]) for name in assets]
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    return job.execute_in_process(instance=instance, asset_selection=keys, tags=tags if first else {})

with dg.DagsterInstance.ephemeral() as instance:
    assert run(["raw_downloads", "honest_downloads"], first, last).success
    assert run(["badges"], package, package).success
    assert run(["index"], "", "").success
"""


def run(folder: Path, *command: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER", "WINNOW"))}
    environment |= {
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DG_CLI_CONFIG": str(folder / "dg.toml"),
        "HOME": str(folder),
        "PATH": f"{SCRIPTS}:{os.environ['PATH']}",
        "PYTHONPATH": "src",
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_component_is_scaffolded_in_a_new_project_loads_and_publishes(tmp_path: Path) -> None:
    run(tmp_path, "create-dagster", "project", "host", "--no-uv-sync")
    project = tmp_path / "host"
    scaffold = ("dg", "scaffold", "defs", "winnow_dagster.WinnowComponent", "downloads")
    run(project, *scaffold, "--kind", "sample", "--packages", "sample-oat")
    run(project, "dg", "check", "yaml")
    run(project, "dg", "check", "defs")
    found = json.loads(run(project, "dg", "list", "defs", "--json"))
    assets = ("badges", "honest_downloads", "index", "pypi_file_downloads", "raw_downloads")
    assert sorted(asset["asset_key"] for asset in found["assets"]) == [f"downloads/{name}" for name in assets]
    assert {job["name"] for job in found["jobs"]} == {"downloads_read_days", "downloads_check_all"}
    folder = project / "src/host/defs/downloads"
    checked = run(project, "winnow", "check", "--config", str(folder / "defs.yaml"))
    assert "sample-oat" in checked
    run(project, sys.executable, "-c", PUBLISH, "2026-09-01", "2026-09-30", "sample-oat")
    assert (folder / "public" / "index.html").exists()
    badge = json.loads((folder / "public" / "sample-oat" / "downloads-30d-non-ci.json").read_bytes())
    assert badge["message"] != "collecting 0/30d"
