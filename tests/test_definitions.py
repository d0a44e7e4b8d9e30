"""Dagster loads what is in the checkout, without a word of warning."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from winnow_dagster.definitions import defs

ROOT = Path(__file__).parents[1]
SCRIPTS = Path(sys.executable).parent


@pytest.mark.parametrize("command", [["dg", "check", "defs"], ["dagster", "definitions", "validate"]])
def test_the_definitions_are_valid_and_nothing_warns(tmp_path: Path, command: list[str]) -> None:
    for name in ("workspace.yaml", "dagster.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "winnow_dagster").symlink_to(ROOT / "winnow_dagster")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER", "WINNOW"))}
    environment |= {"HOME": str(tmp_path), "DG_CLI_CONFIG": str(tmp_path / "dg.toml"), "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        [str(SCRIPTS / command[0]), *command[1:]],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "arning" in line and "winnow" in line]
    assert ours == []


def test_the_assets_and_their_order_are_those_of_the_design(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WINNOW_CONFIG", raising=False)
    graph = defs().resolve_asset_graph()
    parents = {node.key.to_user_string(): {p.to_user_string() for p in node.parent_keys} for node in graph.asset_nodes}
    assert parents == {
        "pypi_file_downloads": set(),
        "raw_downloads": {"pypi_file_downloads"},
        "honest_downloads": {"raw_downloads"},
        "badges": {"honest_downloads"},
        "index": {"badges"},
    }
    assert isinstance(graph.get(dg.AssetKey("raw_downloads")).partitions_def, dg.DailyPartitionsDefinition)
    assert graph.get(dg.AssetKey("badges")).partitions_def is not None
