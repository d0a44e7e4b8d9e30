"""Several at once: nothing is asked for twice, nothing is mixed up, and whoever waits says for whom."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.fake_bigquery import Service, fake, hang
from tests.rows import row
from winnow_dagster.core.coverage import Coverage
from winnow_dagster.core.names import Selector
from winnow_dagster.store.days import honest_store
from winnow_dagster.store.raw import RawStore

DAY = date(2025, 6, 30)
NAMES = ("a", "b", "c", "d")
WINNOW = [sys.executable, "-m", "winnow_dagster.cli"]
COLLECT = [*WINNOW, "collect", "--through", str(DAY)]


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    for name in ("DAGSTER_HOME", "WINNOW_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    config = {"source": {"kind": "bigquery"}, "packages": [{"name": name, "window_days": 3} for name in NAMES]}
    (tmp_path / "winnow.yaml").write_text(json.dumps(config))
    with fake() as service:
        service.rows_for = lambda given: [row(DAY, given["package"], downloads=7)]
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", service.url)
        yield service


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def asked(service: Service) -> Counter[str]:
    """Return how often each package was asked for."""
    calls = [call for call in service.calls if call.operation == "insert"]
    return Counter(
        parameter["parameterValue"]["value"]
        for call in calls
        for parameter in call.body["configuration"]["query"]["queryParameters"]
        if parameter["name"] == "package"
    )


def messages(folder: Path) -> list[str]:
    files = [folder / "public" / name / "downloads-3d-non-ci.json" for name in NAMES]
    return [json.loads(file.read_bytes())["message"] for file in files]


def test_of_collects_at_once_one_asks_the_others_wait_and_say_for_whom(tmp_path: Path, service: Service) -> None:
    service.seconds = 0.5
    collects = [start(tmp_path, *COLLECT) for _ in range(3)]
    ended = [process.communicate() for process in collects]
    assert [process.returncode for process in collects] == [0, 0, 0], ended
    assert asked(service) == dict.fromkeys(NAMES, 1)
    assert messages(tmp_path) == ["7"] * 4
    pids = {process.pid for process in collects}
    waited = [int(pid) for _, err in ended for pid in re.findall(r"waiting for process (\d+), which is", err)]
    assert waited
    assert set(waited) <= pids
    for store in (RawStore, honest_store):
        read = [store(tmp_path / "data" / "bigquery").coverage(day) or Coverage() for day in (DAY,)]
        assert all(each.covers(Selector(name)) for each in read for name in NAMES)


def test_a_lock_of_a_killed_process_is_free_at_once(tmp_path: Path, service: Service) -> None:
    service.script("insert", hang())
    killed = start(tmp_path, *COLLECT)
    service.wait_until(lambda operations: "insert" in operations, 60)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    service.release()
    service.heal()
    after = subprocess.run(COLLECT, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert after.returncode == 0, after.stderr
    assert "waiting" not in after.stderr
    assert messages(tmp_path) == ["7"] * 4


def test_prune_while_badges_are_being_published_removes_what_it_named_and_nothing_else(
    tmp_path: Path, service: Service
) -> None:
    assert start(tmp_path, *COLLECT).communicate()
    config = json.loads((tmp_path / "winnow.yaml").read_text())
    config["packages"] = config["packages"][:3]
    (tmp_path / "winnow.yaml").write_text(json.dumps(config))
    both = [start(tmp_path, *COLLECT), start(tmp_path, *WINNOW, "prune", "--yes")]
    ended = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    kept = [path for path in (tmp_path / "public").iterdir() if path.is_dir()]
    assert {path.name for path in kept} - {"_static"} == {"a", "b", "c"}
    assert all((tmp_path / "public" / name / "index.html").exists() for name in "abc")
