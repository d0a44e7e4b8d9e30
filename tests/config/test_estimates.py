"""`estimate_unsaid_ci`: kernels are read only for entries that ask for the estimate, from sources that have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from winnow_dagster.config.loading import ConfigError, load_settings
from winnow_dagster.core.dimensions import KERNEL

if TYPE_CHECKING:
    from pathlib import Path

    from winnow_dagster.config.settings import Settings


def load(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "winnow.yaml").write_text(text)
    return load_settings(tmp_path / "winnow.yaml")


def reading_kernels(settings: Settings) -> set[str]:
    return {str(selector) for selector, names in settings.dimensions.items() if KERNEL.name in names}


@pytest.mark.parametrize("kind", ["bigquery", "sample", "clickhouse"])
def test_no_kernel_is_read_unless_the_config_asks_for_the_estimate(tmp_path: Path, kind: str) -> None:
    assert reading_kernels(load(tmp_path, f"packages: [{{name: a}}]\nsource: {{kind: {kind}}}")) == set()


def test_the_defaults_ask_for_all_entries_but_everything_and_an_entry_may_differ(tmp_path: Path) -> None:
    text = """
        source: {kind: bigquery}
        defaults: {estimate_unsaid_ci: true}
        packages: [{name: a}, {name: b, estimate_unsaid_ci: false}, {name: c-*}, {name: '*'}]
        groups: [{name: both, packages: [a, c-*]}, {name: some, packages: [a, b]}]
    """
    settings = load(tmp_path, text)
    assert reading_kernels(settings) == {"a", "c-*"}
    assert settings.breakdowns["_group/both"] == (KERNEL.name,)
    assert settings.breakdowns["_group/some"] == ()


def test_an_entry_asks_for_itself_and_keeps_its_breakdowns(tmp_path: Path) -> None:
    text = "packages: [{name: a, estimate_unsaid_ci: true, breakdowns: python}, {name: b}]\nsource: {kind: bigquery}"
    settings = load(tmp_path, text)
    assert settings.breakdowns == {"a": ("python", KERNEL.name), "b": ()}


def test_a_source_without_kernels_is_not_asked_for_them(tmp_path: Path) -> None:
    text = "packages: [{name: a, estimate_unsaid_ci: true}]\nsource: {kind: clickhouse}"
    assert reading_kernels(load(tmp_path, text)) == set()


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("estimate_unsaid_ci: maybe", "packages[0].estimate_unsaid_ci: "),
        (f"breakdowns: [{KERNEL.name}]", "packages[0].breakdowns[0]: "),
        (f"badges: [{KERNEL.name}-azure]", "packages[0].badges[0]: "),
    ],
)
def test_kernels_are_no_breakdown_and_have_no_badge(tmp_path: Path, entry: str, problem: str) -> None:
    with pytest.raises(ConfigError, match="packages") as raised:
        load(tmp_path, f"packages: [{{name: a, {entry}}}]")
    assert problem in str(raised.value)
