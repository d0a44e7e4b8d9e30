"""Commands run in this process, in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from winnow_dagster.cli import main
from winnow_dagster.config.loading import CONFIG_VARIABLE
from winnow_dagster.config.settings import HOME_VARIABLE
from winnow_dagster.credentials import ENCODED_VARIABLE, FILE_VARIABLE


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (CONFIG_VARIABLE, HOME_VARIABLE, ENCODED_VARIABLE, FILE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def winnow(*arguments: str) -> Result:
    """Run a command. Fail on an exception other than its exit."""
    return CliRunner().invoke(main, arguments, catch_exceptions=False)
