"""A shell completes commands, options and the packages of the config."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from winnow_dagster.cli import main


def complete(*words: str) -> list[str]:
    *before, last = words
    return [item.value for item in ShellComplete(main, {}, "winnow", "_WINNOW_COMPLETE").get_completions(before, last)]


def test_commands_and_options_are_completed() -> None:
    assert complete("do") == ["doctor"]
    assert complete("collect", "--ref") == ["--refetch"]
    assert complete("init", "--source", "par") == ["parquet"]


@pytest.mark.parametrize("words", [["show"], ["show", "x"], ["collect", "--package"]])
def test_packages_of_the_config_are_completed(words: list[str]) -> None:
    Path("winnow.yaml").write_text(
        "packages: [{name: httpx}, {name: flask}, {name: h-*}]\ngroups: [{name: http, packages: [httpx]}]"
    )
    assert complete(*words, "h") == ["httpx", "http"]


def test_a_bad_config_completes_nothing() -> None:
    Path("winnow.yaml").write_text("packages: []")
    assert complete("show", "") == []
