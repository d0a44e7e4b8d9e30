"""The key: used where it is, written nowhere, and not left to be read by all without a word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.fake_bigquery import Service
from winnow_dagster.cli import main
from winnow_dagster.sources.bigquery.client import connect
from winnow_dagster.sources.bigquery.settings import BigQuerySettings

EXPOSED = "every user of this machine can read the key. Protect it with chmod o="


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("BIGQUERY_EMULATOR_HOST", "GCP_CREDENTIALS", "WINNOW_CONFIG", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "key.json"
    path.write_text(json.dumps(Service().key()))
    config = {"source": {"kind": "bigquery", "credential_file": "key.json"}, "packages": [{"name": "a"}]}
    (tmp_path / "winnow.yaml").write_text(json.dumps(config))
    return path


@pytest.mark.parametrize(("mode", "warning"), [(0o644, EXPOSED), (0o604, EXPOSED), (0o600, ""), (0o640, "")])
def test_a_key_that_others_can_read_is_warned_about(
    key: Path, mode: int, warning: str, caplog: pytest.LogCaptureFixture
) -> None:
    key.chmod(mode)
    with connect(BigQuerySettings(), key):
        pass
    assert (EXPOSED in caplog.text) is bool(warning)
    checked = CliRunner().invoke(main, ["check", "--quiet"])
    assert (checked.exit_code, checked.stdout) == (0, "")
    assert (EXPOSED in checked.stderr) is bool(warning)
    private = json.loads(key.read_text())["private_key"].splitlines()[3]
    assert private not in caplog.text + checked.output
