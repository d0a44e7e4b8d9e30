"""Two collects on one store send no query twice, and lose no answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from tests.fake_bigquery import fake
from tests.rows import row
from winnow_dagster.store.ledger import ledger_of

DAY = date(2025, 6, 30)
PACKAGES = ["a", "b", "c"]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name in ("DAGSTER_HOME", "WINNOW_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return dict(os.environ)


def test_two_collects_at_once_send_each_query_once_and_both_succeed(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    config = {"source": {"kind": "bigquery"}, "packages": [{"name": name, "window_days": 3} for name in PACKAGES]}
    (tmp_path / "winnow.yaml").write_text(json.dumps(config))
    with fake() as service:
        service.seconds = 0.3
        service.rows_for = lambda given: [row(DAY, given["package"], downloads=7)]
        command = [sys.executable, "-m", "winnow_dagster.cli", "collect", "--through", str(DAY)]
        environment["BIGQUERY_EMULATOR_HOST"] = service.url
        both = [subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL) for _ in range(2)]
        assert [process.wait() for process in both] == [0, 0]
        assert service.operations().count("insert") == len(PACKAGES)
    assert len(ledger_of(tmp_path / "data").entries()) == len(PACKAGES)
    for name in PACKAGES:
        badge = json.loads((tmp_path / "public" / name / "downloads-3d-non-ci.json").read_bytes())
        assert badge["message"] == "7"
