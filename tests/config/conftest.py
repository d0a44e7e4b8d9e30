"""The folder in which the tests of configs write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from winnow_dagster.config.loading import CONFIG_VARIABLE


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
