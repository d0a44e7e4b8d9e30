"""The instance files that come with Winnow differ in where they store things, and in nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import winnow_dagster

ROOT = Path(__file__).parents[2]
PLACES = {"storage", "compute_logs", "local_artifact_storage", "run_launcher"}


def settings(path: Path) -> dict[str, Any]:
    return {k: v for k, v in yaml.safe_load(path.read_text()).items() if k not in PLACES}


@pytest.mark.parametrize("name", ["dagster.yaml", "deploy/dagster.postgres.yaml", "deploy/dagster.kubernetes.yaml"])
def test_every_instance_file_has_the_same_retries_monitoring_queue_and_retention(name: str) -> None:
    default = settings(Path(winnow_dagster.__file__).parent / "instance/instance.yaml")
    assert settings(ROOT / name) == default
    assert {"concurrency", "run_retries", "run_monitoring", "retention"} <= set(default)
