"""With Dagster on PostgreSQL and both directories in buckets, workers keep no state on their machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from tests.bucket_service import Service
from tests.buckets import gcs_backend, s3_backend, service, without_times
from tests.postgres import find_postgres, running_postgres
from winnow_dagster.files.bucket import PROBE
from winnow_dagster.instance.runs import PROCESS_TAG

__all__ = ["gcs_backend", "s3_backend", "service"]
CONFIG = """
service: {output_dir: gs://public-bucket, data_dir: gs://data-bucket}
packages: [{name: sample-oat}, {name: sample-rye}, {name: sample-wheat}]
"""
INSTANCE = Path(__file__).parents[1] / "deploy/dagster.postgres.yaml"


def start(folder: Path, service: Service, variables: dict[str, str]) -> subprocess.Popen[str]:
    """Start a worker: `winnow collect` in an empty folder that has been given its config."""
    folder.mkdir()
    (folder / "winnow.yaml").write_text(CONFIG.replace("gs://", f"{service.scheme}://"))
    shutil.copy(INSTANCE, folder / "dagster.yaml")
    return subprocess.Popen(
        [sys.executable, "-m", "winnow_dagster.cli", "collect"],
        cwd=folder,
        env={**os.environ, **variables, "DAGSTER_DISABLE_TELEMETRY": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def published(service: Service) -> dict[str, bytes]:
    return without_times(service.content("public-bucket"))


def empty(service: Service) -> None:
    for bucket in ("public-bucket", "data-bucket"):
        for name in service.objects(bucket):
            service.remove(bucket, name)


@pytest.mark.slow(75)
@pytest.mark.parametrize("service", ["gs", pytest.param("s3", marks=pytest.mark.release)], indirect=True)
@pytest.mark.skipif(find_postgres() is None, reason="PostgreSQL's server is not installed")
def test_if_one_of_two_workers_dies_the_other_finishes_its_work(service: Service, tmp_path: Path) -> None:
    with running_postgres() as database:
        variables = {**database, **service.environment}
        alone = start(tmp_path / "alone", service, variables)
        _, said = alone.communicate(timeout=300)
        assert alone.returncode == 0, said
        expected = published(service)
        empty(service)
        service.forget()

        first = start(tmp_path / "first", service, variables)
        second = start(tmp_path / "second", service, variables)
        while first.poll() is None and "raw_downloads" not in " ".join(service.written()):
            service.on_write.wait(1)
            service.on_write.clear()
        # The one that holds the lease: the other would not be missed.
        (lease,) = [c for n, c in service.content("data-bucket").items() if n.endswith(".fetching.lease")]
        dying, living = (first, second) if int(lease.partition(b".")[0]) == first.pid else (second, first)
        dying.send_signal(signal.SIGKILL)
        dying.communicate()
        _, said = living.communicate(timeout=300)
        assert living.returncode == 0, said
        assert published(service) == expected
        assert "has died or given up" in said

        # A third one, with an empty disk, has nothing to read or to publish, and closes the run of the dead one.
        service.forget()
        third = start(tmp_path / "third", service, variables)
        _, said = third.communicate(timeout=300)
        assert third.returncode == 0, said
        written = {n for n in service.written() if not n.endswith((".lease", PROBE)) and "sites/" not in n}
        assert written == {"_health.json"}
        os.environ.update(database)
        try:
            with dg.DagsterInstance.from_config(str(tmp_path / "third")) as instance:
                runs = instance.get_runs()
        finally:
            for name in database:
                del os.environ[name]
    processes = {run.tags[PROCESS_TAG].partition(".")[0] for run in runs}
    assert processes == {str(worker.pid) for worker in (alone, first, second, third)}
    assert {run.status for run in runs} <= {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}
    assert [run.tags[PROCESS_TAG].partition(".")[0] for run in runs if not run.is_success] == [str(dying.pid)]
    kept = {path.name for worker in ("first", "second", "third") for path in (tmp_path / worker).rglob("*.parquet")}
    assert not kept
