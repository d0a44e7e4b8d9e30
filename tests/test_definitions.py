"""Dagster loads the definitions of the checkout without a warning."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from winnow_dagster.definitions import defs

ROOT = Path(__file__).parents[1]
SCRIPTS = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [["dg", "check", "defs"], pytest.param(["dagster", "definitions", "validate"], marks=pytest.mark.slow)],
)
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
    assert warnings_of_ours(done.stdout + done.stderr, tmp_path) == []


def warnings_of_ours(output: str, folder: Path) -> list[str]:
    """Return the warnings that name Winnow, in their text or in the path of its code.

    The folders are taken out of the paths first: a checkout called winnow puts its name into every path.
    """
    folders = sorted(map(str, (folder, ROOT, sys.prefix, sys.base_prefix)), key=len, reverse=True)
    outside = re.compile("|".join(map(re.escape, folders)))
    warnings = [line for line in output.splitlines() if "warning" in line.lower()]
    return [line for line in warnings if "winnow" in outside.sub("", line)]


def test_warnings_of_winnow_are_recognised_by_text_or_file() -> None:
    site_packages = f"{sys.prefix}/lib/python3.11/site-packages"
    theirs = f"{site_packages}/click/core.py:911: DeprecationWarning: Function `validate` is superseded"
    ours = [
        f"{site_packages}/winnow_dagster/cli.py:7: DeprecationWarning: use another",
        f"{ROOT}/winnow_dagster/cli.py:7: DeprecationWarning: use another",
        "dagster - WARNING - the code location is named winnow-dagster in one place only",
    ]
    assert warnings_of_ours("\n".join([theirs, *ours]), ROOT) == ours


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


def test_the_resource_shows_its_config_source_and_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WINNOW_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "winnow.yaml").write_text("{source: {kind: sample}, packages: [{name: sample-oat}]}")
    definitions = defs()
    assert isinstance(definitions, dg.Definitions)
    shown = (definitions.resources or {})["winnow"]
    assert isinstance(shown, dg.ConfigurableResource)
    assert shown.model_dump() == {
        "config_file": str(tmp_path / "winnow.yaml"),
        "source": "sample",
        "output_dir": str(tmp_path / "public"),
        "data_dir": str(tmp_path / "data"),
    }
    graph = definitions.resolve_asset_graph()
    assert "the newest 30 days" in str(graph.get(dg.AssetKey("raw_downloads")).description)
