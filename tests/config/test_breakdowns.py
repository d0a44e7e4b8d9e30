"""The breakdowns of a package are those of its entry, else those of the defaults, else those of the source."""

from __future__ import annotations

from tests.config.writing import write
from winnow_dagster.config.loading import load_settings
from winnow_dagster.core.names import Selector


def test_breakdowns_cost_nothing_unless_they_are_asked_for() -> None:
    packages = "packages: [{name: a}, {name: '*'}]\n"
    assert load_settings(write(packages + "source: {kind: bigquery}")).dimensions == {}
    free = load_settings(write(packages + "source: {kind: sample}")).dimensions
    assert free == {Selector("a"): ("python", "version")}


def test_an_entry_says_which_breakdowns_it_has_and_else_the_defaults_do() -> None:
    text = """
        source: {kind: bigquery}
        defaults: {breakdowns: [version, python]}
        packages: [{name: a}, {name: b, breakdowns: country}, {name: c, breakdowns: []}, {name: '*'}]
    """
    settings = load_settings(write(text))
    assert settings.breakdowns == {"a": ("python", "version"), "b": ("country",), "c": (), "*": ()}
    assert settings.dimensions == {Selector("a"): ("python", "version"), Selector("b"): ("country",)}


def test_entries_that_select_the_same_packages_are_read_with_the_same_dimensions() -> None:
    text = "packages: [{name: a-*, breakdowns: python}, {name: a-b, breakdowns: [cpu]}, {name: c, breakdowns: []}]"
    both = ("python", "cpu")
    assert load_settings(write(text)).dimensions == {Selector.parse("a-*"): both, Selector("a-b"): both}


def test_a_group_has_the_breakdowns_that_all_its_members_have_without_versions() -> None:
    text = """
        packages: [{name: a, breakdowns: [python, version, cpu]}, {name: b, breakdowns: [python, version]}]
        groups: [{name: both, packages: [a, b]}, {name: one, packages: [a]}]
    """
    settings = load_settings(write(text))
    assert [settings.breakdowns[str(group.group)] for group in settings.groups] == [("python",), ("python", "cpu")]
