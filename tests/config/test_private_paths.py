"""An output_dir that would serve private files is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.writing import problems, write
from winnow_dagster.config.loading import ConfigError, load_settings


@pytest.mark.parametrize(
    ("service", "problem"),
    [
        ("{output_dir: data}", "is served to the world and holds data_dir"),
        ("{output_dir: ./x/../data/}", "is served to the world and holds data_dir"),
        ("{output_dir: data, data_dir: gs://state}", "is served to the world and holds the history of runs"),
        ("{output_dir: data/sample, data_dir: data}", "is served to the world and holds the stored days"),
        ("{output_dir: data/sample/raw, data_dir: data}", "where Winnow or Dagster keeps private files"),
        ("{output_dir: data/dagster, data_dir: data}", "is served to the world and holds the history of runs"),
        ("{output_dir: data/dagster/history, data_dir: data}", "where Winnow or Dagster keeps private files"),
        ("{output_dir: gs://one/badges, data_dir: gs://one/state}", "Public access is granted per bucket"),
        ("{output_dir: gs://one/a/b, data_dir: gs://one}", "Public access is granted per bucket"),
        ("{output_dir: link, data_dir: state}", "is served to the world and holds data_dir"),
        ("{output_dir: state, data_dir: link/days}", "is served to the world and holds data_dir"),
        ("{output_dir: www, credential_file: link/key.json}", "is served to the world and holds credential_file"),
        ("{output_dir: home}", "is served to the world and holds $DAGSTER_HOME"),
        ("{output_dir: home/x/history}", "where Winnow or Dagster keeps private files"),
        ("{output_dir: home/x/storage/run}", "where Winnow or Dagster keeps private files"),
        ("{output_dir: data/sites, data_dir: data}", "where Winnow or Dagster keeps private files"),
        ("{output_dir: DATA, data_dir: data/days}", "is served to the world and holds data_dir"),
        ("{output_dir: keys}", "is served to the world and holds $GOOGLE_APPLICATION_CREDENTIALS"),
    ],
)
def test_an_output_dir_that_would_serve_private_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: str, problem: str
) -> None:
    (tmp_path / "link").symlink_to("www" if "www" in service else "state")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "x"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "keys" / "key.json"))
    (found,) = problems(f"packages: [{{name: a}}]\nservice: {service}")
    assert problem in found


def test_without_a_config_nothing_private_is_served_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "public").symlink_to("data")
    with pytest.raises(ConfigError, match="is served to the world and holds data_dir"):
        load_settings()


def test_an_output_dir_beside_the_stored_days_is_fine(tmp_path: Path) -> None:
    found = load_settings(write("packages: [{name: a}]\nservice: {output_dir: data/public, data_dir: data}"))
    assert (found.output_dir, found.data_dir) == (tmp_path / "data/public", tmp_path / "data")


def test_a_symlinked_output_dir_that_leads_to_the_stored_days_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "public").symlink_to("state")
    assert "holds data_dir" in problems("packages: [{name: a}]\nservice: {data_dir: state/days}")[0]


@pytest.mark.parametrize("data_dir", ["public/days", "outside", "outside/2026"])
def test_data_behind_a_link_in_the_output_dir_is_served_too_by_servers_that_follow_links(
    tmp_path: Path, data_dir: str
) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "disk").mkdir()
    (tmp_path / "public" / "days").symlink_to("../disk")
    (tmp_path / "outside").symlink_to("public/days")
    (found,) = problems(f"packages: [{{name: a}}]\nservice: {{data_dir: {data_dir}}}")
    assert "is served to the world and holds data_dir" in found


@pytest.mark.parametrize(
    ("output_dir", "problem"),
    [("runs", "holds the history of runs"), ("runs/history", "where Winnow or Dagster keeps private files")],
)
def test_the_history_that_dagster_yaml_places_is_not_served(tmp_path: Path, output_dir: str, problem: str) -> None:
    (tmp_path / "dagster.yaml").write_text("storage: {sqlite: {base_dir: runs}}")
    (found,) = problems(f"packages: [{{name: a}}]\nservice: {{output_dir: {output_dir}, data_dir: data}}")
    assert problem in found


def test_an_output_dir_beside_what_dagster_keeps_is_fine(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("storage: {sqlite: {base_dir: .}}")
    assert load_settings(write("packages: [{name: a}]")).output_dir == tmp_path / "public"
