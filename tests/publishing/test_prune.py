"""`winnow prune`: what the config no longer has is removed after asking, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from winnow_dagster.cli import main
from winnow_dagster.core.dimensions import FORMER_DIMENSIONS


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("WINNOW_CONFIG", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def configure(packages: dict[str, Sequence[int]]) -> None:
    entries = [{"name": name, "window_days": list(days)} for name, days in packages.items()]
    Path("winnow.yaml").write_text(json.dumps({"packages": entries}))


def winnow(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(main, arguments, input=answer, catch_exceptions=False)


def published() -> set[str]:
    return {path.relative_to("public").as_posix() for path in Path("public").rglob("*") if path.is_file()}


@pytest.fixture
def site() -> set[str]:
    """What is published of two packages, of which the config then loses one, and one window of the other."""
    configure({"A_a": (3, 2), "b": (3,)})
    assert winnow("collect").exit_code == 0
    before = published()
    configure({"a-a": (3,)})
    assert winnow("collect").exit_code == 0
    return before


def test_files_of_removed_packages_windows_and_spellings_go_once_confirmed(site: set[str]) -> None:
    result = winnow("prune", answer="y\n")
    assert result.exit_code == 0
    gone = site - published()
    assert gone == {n for n in site if n.startswith(("b/", "A_a/")) or (n.startswith("a-a/") and "-2d-" in n)}
    assert f"Remove these {len(gone)} files" in result.stdout
    assert not Path("public/b").exists()
    assert "nothing to remove" in winnow("prune").stdout


def test_what_was_removed_does_not_come_back(site: set[str]) -> None:
    winnow("prune", "--yes")
    after = published()
    assert winnow("collect").exit_code == 0
    assert published() == after


def test_nothing_goes_without_a_yes(site: set[str]) -> None:
    assert winnow("prune", answer="n\n").exit_code == 0
    assert winnow("prune").exit_code == 1
    assert published() == site


def test_files_of_others_stay_and_those_of_former_classes_of_kernels_go(site: set[str]) -> None:
    former = f"a-a/{FORMER_DIMENSIONS[-1]}.csv"
    for name in ("b/logo.png", "b/downloads-x.json", "other/downloads-30d-non-ci.json", former):
        Path("public", name).parent.mkdir(exist_ok=True)
        Path("public", name).write_text("{}")
    winnow("prune", "--yes")
    assert {"b/logo.png", "b/downloads-x.json", "other/downloads-30d-non-ci.json"} <= published()
    assert published().isdisjoint({"b/counts.json", former})


def test_without_a_config_nothing_is_taken_for_orphaned(site: set[str]) -> None:
    Path("winnow.yaml").unlink()
    result = winnow("prune", "--yes")
    assert result.exit_code == 2
    assert "--config" in result.stderr
    assert published() == site


def test_what_comes_or_goes_while_the_question_stands_is_left_alone(
    site: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def agree(_: str) -> bool:
        # Meanwhile the package is wanted again for another window, and somebody has cleaned up a little by hand.
        Path("public/b/downloads-7d-non-ci.json").write_text("{}")
        Path("public/b/index.html").unlink()
        return True

    monkeypatch.setattr("click.confirm", agree)
    assert winnow("prune").exit_code == 0
    assert {name for name in published() if name.startswith("b/")} == {"b/downloads-7d-non-ci.json"}
