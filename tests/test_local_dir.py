"""With both directories in buckets, a worker works even if the folder of its config is read only."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import make_settings
from winnow_dagster.config.settings import Settings
from winnow_dagster.files.opening import open_path
from winnow_dagster.files.operations import StorageError
from winnow_dagster.instance.opening import open_instance


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a config in a folder that is mounted to be read only, as a ConfigMap is."""
    (tmp_path / "config").mkdir()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    may = os.access

    # Root may write wherever modes forbid it.
    def access(path: Path, mode: int) -> bool:
        return not Path(path).is_relative_to(tmp_path / "config") and may(path, mode)

    monkeypatch.setattr(os, "access", access)
    return replace(make_settings(tmp_path / "config", {"a": (1,)}), data_dir=open_path("gs://data-bucket"))


def test_nothing_is_created_in_a_read_only_folder(mounted: Settings, tmp_path: Path) -> None:
    with open_instance(mounted) as instance:
        assert instance.get_runs() == []
    assert list((tmp_path / "config").iterdir()) == []
    (made,) = (tmp_path / "tmp").iterdir()
    assert made == mounted.local_dir
    assert made.name.startswith(f"winnow-{os.getuid()}-")


def test_two_configs_share_no_folder(mounted: Settings) -> None:
    assert replace(mounted, folder=mounted.folder / "another").local_dir != mounted.local_dir


def test_a_folder_of_another_user_is_refused(mounted: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = mounted.local_dir
    folder.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    mounted.local_dir.mkdir()
    with pytest.raises(StorageError, match="belongs to another user"), open_instance(mounted):
        pass


def test_a_writable_folder_of_the_config_is_used(tmp_path: Path) -> None:
    settings = replace(make_settings(tmp_path, {"a": (1,)}), data_dir=open_path("gs://data-bucket"))
    assert settings.local_dir == tmp_path / "data"
