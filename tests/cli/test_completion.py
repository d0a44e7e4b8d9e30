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


@pytest.mark.parametrize(
    ("words", "found"),
    [(["show"], ["httpx", "http"]), (["show", "x"], ["httpx", "http"]), (["collect", "--package"], ["httpx"])],
)
def test_what_the_config_has_and_the_command_takes_is_completed(words: list[str], found: list[str]) -> None:
    Path("winnow.yaml").write_text(
        "packages: [{name: httpx}, {name: flask}, {name: h-*}]\ngroups: [{name: http, packages: [httpx]}]"
    )
    assert complete(*words, "h") == found


def test_a_bad_config_completes_nothing() -> None:
    Path("winnow.yaml").write_text("packages: []")
    assert complete("show", "") == []
