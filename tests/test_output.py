"""A collect with a closed or full standard output publishes anyway. A command that only prints fails in one line."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from tests.downloads import download, write

WINNOW = f"{sys.executable} -m winnow_dagster.cli"
COLLECT = f"{WINNOW} collect"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "winnow.yaml").write_text("packages: [{name: sample-oat, window_days: 1}]")
    return tmp_path


@pytest.mark.parametrize("to", ["> /dev/full", ">&-", "| true", ">&- 2>&- <&-"])
def test_a_collect_publishes_and_exits_as_usual(folder: Path, to: str) -> None:
    # The code of the collect, not that of what reads from it.
    command = f"set -o pipefail; {COLLECT} {to}"
    environment = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (folder / "public/sample-oat/downloads-1d-non-ci.json").exists()
    # Nothing of what is printed is in a file that was opened in its place.
    assert [path for path in folder.rglob("*.db") if b"sample-oat (" in path.read_bytes()] == []


def test_a_collect_that_is_incomplete_still_exits_with_1(folder: Path) -> None:
    (folder / "winnow.yaml").write_text("source: {kind: parquet, path: none/*.parquet}\npackages: [{name: a}]")
    done = subprocess.run(["bash", "-c", f"{COLLECT} > /dev/full"], cwd=folder, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("command", ["check", "show --json", "-h"])
def test_a_command_that_only_prints_fails_in_one_line_if_its_output_is_lost(folder: Path, command: str) -> None:
    script = f"{WINNOW} {command} > /dev/full"
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    problem = "No space left on device. Write it to another place, or free space"
    assert (done.returncode, done.stderr) == (1, f"winnow: standard output cannot be written: {problem}\n")


def test_a_command_that_only_prints_ends_quietly_if_the_reader_of_its_output_is_gone(folder: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [*shlex.split(WINNOW), "check"]
    done = subprocess.run(command, cwd=folder, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_json_of_a_collect_may_be_lost_as_its_table_may(folder: Path) -> None:
    done = subprocess.run(["bash", "-c", f"{COLLECT} --json > /dev/full"], cwd=folder, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_warning_that_quotes_a_file_name_holds_no_escape_codes(folder: Path) -> None:
    (folder / "winnow.yaml").write_text("source: {kind: parquet, path: .}\npackages: [{name: a, window_days: 1}]")
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    rows = [download(datetime.combine(yesterday, time(second=n), UTC), "a") for n in range(40)]
    for name in ("a.parquet", "b\x1b[31m.parquet"):
        write(folder / name, rows)
    done = subprocess.run(["bash", "-c", COLLECT], cwd=folder, capture_output=True, check=False)
    assert b"b\\x1b[31m.parquet: is a copy of" in done.stderr
    assert b"\x1b" not in done.stderr + done.stdout
