"""`winnow collect` against a failing BigQuery: it publishes the rest and loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.fake_bigquery import Service, fake, hang, healthy, refused
from tests.rows import row
from winnow_dagster.cli import main
from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.names import Selector
from winnow_dagster.store.ledger import ledger_of
from winnow_dagster.store.raw import RawStore

DAY = date(2025, 6, 30)
COLLECT = [sys.executable, "-m", "winnow_dagster.cli", "collect", "--through"]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    for name in ("DAGSTER_HOME", "WINNOW_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    with fake() as service:
        service.rows_for = lambda given: [row(date.fromisoformat(given["start"][:10]), given["package"], downloads=7)]
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", service.url)
        yield service


def configure(folder: Path, **more: Any) -> None:
    config = {
        "source": {"kind": "bigquery", "parallel": 1},
        "packages": [{"name": name, "window_days": 3} for name in ("a", "b", "c")],
    }
    (folder / "winnow.yaml").write_text(json.dumps(config | more))


def collect(folder: Path, day: date = DAY) -> Result:
    """Collect in this process."""
    options = ["--config", str(folder / "winnow.yaml"), "--through", str(day)]
    return CliRunner().invoke(main, ["collect", *options], catch_exceptions=False)


def message(folder: Path, package: str) -> str:
    text: str = json.loads((folder / "public" / package / "downloads-3d-non-ci.json").read_bytes())["message"]
    return text


def test_one_package_that_fails_is_named_and_the_others_are_published(tmp_path: Path, service: Service) -> None:
    configure(tmp_path)
    service.script("insert", healthy(), refused(400, "invalidQuery", "no such column"))
    done = collect(tmp_path)
    assert done.exit_code == 1
    assert "b, 2025-06-28 to 2025-06-30: BigQuery says invalidQuery: no such column" in done.stdout
    assert [message(tmp_path, name) for name in "abc"] == ["7", "collecting 0/3d", "7"]
    health = json.loads((tmp_path / "public" / "_health.json").read_bytes())["packages"]
    assert health["b"]["error"] == "2025-06-30 could not be read"
    assert "no such column" in done.stdout.partition("as of")[2]
    assert "error" not in health["a"]
    assert collect(tmp_path).exit_code == 0
    assert message(tmp_path, "b") == "7"
    assert service.operations().count("insert") == 4


def test_over_the_budget_nothing_is_sent_and_published_files_stay(tmp_path: Path, service: Service) -> None:
    configure(tmp_path)
    assert collect(tmp_path).exit_code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "public").rglob("*non-ci.json")}
    sent = service.operations().count("insert")
    configure(tmp_path, budget={"tib_per_month": 0.00003})
    done = collect(tmp_path, date(2025, 7, 1))
    assert done.exit_code == 1
    assert "the budget is 33 MB. Raise budget.tib_per_month, shorten window_days or list fewer" in done.stdout
    assert service.operations().count("insert") == sent
    assert {path: path.read_bytes() for path in before} == before


def test_near_the_budget_headlines_are_published_and_breakdowns_wait(tmp_path: Path, service: Service) -> None:
    # 9 days with file names are 3.0 GB, and 3.2 GB with Python versions.
    configure(tmp_path, defaults={"breakdowns": ["python"]}, budget={"tib_per_month": 3.1e9 / 2**40})
    # A process, whose logging is its own.
    done = subprocess.run([*COLLECT, str(DAY)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert [message(tmp_path, name) for name in "abc"] == ["7", "7", "7"]
    assert "breakdowns of `a`, `b`, `c` are left out" in done.stdout + done.stderr
    assert dimensions_read(tmp_path) == set()
    configure(tmp_path, defaults={"breakdowns": ["python"]})
    assert collect(tmp_path, DAY + ONE_DAY).exit_code == 0
    assert dimensions_read(tmp_path, DAY + ONE_DAY) == {"python"}
    assert dimensions_read(tmp_path) == set()


def dimensions_read(folder: Path, day: date = DAY) -> set[str]:
    coverage = RawStore(folder / "data/bigquery").coverages([day])[day]
    return {name for package in "abc" for name in coverage.dimensions_of(Selector(package))}


def test_interrupting_a_collect_cancels_its_running_query(tmp_path: Path, service: Service) -> None:
    configure(tmp_path)
    service.script("results", healthy(), healthy(), hang(), hang())
    command = [*COLLECT, str(DAY)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        service.wait_until(lambda calls: calls.count("insert") == 2 and calls[-1] == "results", seconds=60)
        process.send_signal(signal.SIGINT)
        service.wait_until(lambda calls: "cancel" in calls)
        service.release()
        process.communicate()
    assert process.returncode != 0
    jobs = [call.body["jobReference"]["jobId"] for call in service.calls if call.operation == "insert"]
    assert {call.job for call in service.calls if call.operation == "cancel"} == {jobs[1]}
    assert len(ledger_of(tmp_path / "data").entries()) == 2


def test_the_key_is_in_no_file_and_no_output(tmp_path: Path, service: Service) -> None:
    configure(tmp_path, source={"kind": "bigquery", "credential_file": "key.json"})
    secret = "MIIEvQIBADANBg-private"
    (tmp_path / "key.json").write_text(json.dumps(service.key() | {"private_key": secret}))
    environment = {k: v for k, v in os.environ.items() if k != "BIGQUERY_EMULATOR_HOST"}
    done = subprocess.run(
        [*COLLECT, str(DAY)], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 1
    assert "there are no usable Google credentials" in done.stdout
    assert secret not in done.stdout + done.stderr
    for path in tmp_path.rglob("*"):
        assert path.name == "key.json" or path.is_dir() or secret.encode() not in path.read_bytes()
