"""`winnow check` prints a line for each problem on this machine, fails, and creates nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from tests.downloads import download, write
from tests.fake_bigquery import Service, encoded
from tests.test_cli import DAY
from winnow_dagster.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("WINNOW_CONFIG", "DAGSTER_HOME", "GOOGLE_APPLICATION_CREDENTIALS", "GCP_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def check(source: dict[str, Any], **service: str) -> Result:
    Path("winnow.yaml").write_text(json.dumps({"source": source, "service": service, "packages": [{"name": "a"}]}))
    before = sorted(Path().rglob("*"))
    done = CliRunner().invoke(main, ["check"], catch_exceptions=False)
    assert sorted(Path().rglob("*")) == before
    return done


def test_a_config_that_can_work_passes(folder: Path) -> None:
    write(folder / "rows.parquet", [download(DAY, "a")])
    assert check({"kind": "parquet", "path": "*.parquet"}).exit_code == 0
    Path("key.json").write_text(json.dumps(Service().key()))
    assert check({"kind": "bigquery", "credential_file": "key.json"}, data_dir="not/there/yet").exit_code == 0
    Path("gha-creds-0123.json").write_text(json.dumps({"type": "external_account", "credential_source": {"url": "x"}}))
    assert check({"kind": "bigquery", "credential_file": "gha-creds-0123.json"}).exit_code == 0


def test_a_variable_that_is_not_set_here_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOOK", raising=False)
    Path("winnow.yaml").write_text("{packages: [{name: a}], alerts: {webhook_env: HOOK}}")
    warning = "alerts.webhook_env: $HOOK is not set here. Set it where Dagster or `winnow collect` runs"
    done = CliRunner().invoke(main, ["check"], catch_exceptions=False)
    assert (done.exit_code, done.stderr) == (0, f"winnow: warning: {warning}\n")
    as_json = CliRunner().invoke(main, ["check", "--json"], catch_exceptions=False)
    assert json.loads(as_json.stdout)["warnings"] == [warning]
    monkeypatch.setenv("HOOK", "https://hooks.example.com/T")
    assert CliRunner().invoke(main, ["check"], catch_exceptions=False).stderr == ""


def test_a_glob_without_files_fails(folder: Path) -> None:
    (folder / "a.parquet").mkdir()
    done = check({"kind": "parquet", "path": "*.parquet"})
    assert done.exit_code == 2
    assert (
        done.stderr
        == f"winnow: source.path: no file at {folder}/*.parquet. Correct the path, or export the files there\n"
    )


def test_source_files_that_cannot_be_used_fail(folder: Path) -> None:
    write(folder / "1.parquet", [download(DAY, "a")])
    rows = pl.read_parquet(folder / "1.parquet")
    rows.drop("project").write_parquet(folder / "2.parquet")
    rows.drop("project").clear().write_parquet(folder / "3, without rows.parquet")
    (folder / "4.parquet").touch()
    done = check({"kind": "parquet", "path": "*.parquet"})
    assert done.exit_code == 2
    project, empty = done.stderr.splitlines()
    assert project == f"winnow: {folder}/2.parquet: has no column project. Export it with the schema of file_downloads"
    assert empty.startswith(f"winnow: {folder}/4.parquet: cannot be read as Parquet (")


def test_of_many_unusable_source_files_some_are_named(folder: Path) -> None:
    for number in range(12):
        (folder / f"{number}.parquet").write_bytes(bytes(number))
    *_, last = lines = check({"kind": "parquet", "path": "*.parquet"}).stderr.splitlines()
    assert (len(lines), last) == (11, "winnow: source.path: 2 more files cannot be used")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "key.json: cannot be read: No such file or directory. Set source.credential_file"),
        ("SECRET", "key.json: is not JSON"),
        ('{"type": "SECRET"}', "key.json: is not a Google credential file"),
    ],
)
@pytest.mark.parametrize("way", ["credential_file", "environment"])
def test_a_missing_or_unusable_key_fails(
    monkeypatch: pytest.MonkeyPatch, way: str, content: str | None, says: str
) -> None:
    if content is not None:
        Path("key.json").write_text(content)
    if way == "environment":
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "key.json")
    done = check({"kind": "bigquery"} | ({"credential_file": "key.json"} if way == "credential_file" else {}))
    assert done.exit_code == 2
    assert says in done.stderr
    assert "SECRET" not in done.output


def test_an_unusable_key_in_the_environment_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCP_CREDENTIALS", "SECRET")
    done = check({"kind": "bigquery"})
    assert (done.exit_code, "SECRET" in done.output) == (2, False)
    monkeypatch.setenv("GCP_CREDENTIALS", encoded(Service().key()))
    assert check({"kind": "bigquery"}).exit_code == 0


def test_each_directory_that_cannot_be_made_is_a_line(folder: Path) -> None:
    (folder / "file").touch()
    done = check({"kind": "sample"}, output_dir="file/public", data_dir="file")
    assert done.exit_code == 2
    line = f"winnow: {folder}/file: Not a directory. A file is where a directory should be: move it away"
    assert done.stderr.splitlines() == [line, line]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_key_and_a_directory_of_another_user_fail(folder: Path) -> None:
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(0o755)
    Path("key.json").write_text(json.dumps(Service().key()))
    Path("key.json").chmod(0o600)
    config = {"source": {"kind": "bigquery", "credential_file": "key.json"}, "packages": [{"name": "a"}]}
    Path("winnow.yaml").write_text(json.dumps(config))
    code = (
        "import os; from winnow_dagster.config.loading import load_settings; from winnow_dagster import preflight\n"
        "os.setuid(12345); print(*preflight.find_problems(load_settings()), sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    key, *directories = done.stdout.splitlines()
    assert key.startswith(f"{folder}/key.json: cannot be read: Permission denied. ")
    fix = "Permission denied. Give this user the right to read and write there, or choose another directory"
    assert directories == [f"{folder}: {fix}"] * 2
