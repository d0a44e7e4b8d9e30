"""The entries of a config fit together: their looks, groups and breakdowns."""

from __future__ import annotations

from typing import get_args

import pytest

from tests.config.writing import problems, write
from winnow_dagster.config.loading import load_settings
from winnow_dagster.config.style import Slug
from winnow_dagster.core.badge import PYTHONS, SLUGS


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("packages: [{name: a, min_downloads: 1}]", "packages[0].min_downloads: is for '*' only. Remove it"),
        ("packages: [{name: a-*, settle: true}]", "packages[0].settle: is for '*' only. Remove it"),
        ("packages: [{name: '*', min_downloads: -1}]", "packages[0].min_downloads: -1 is too small"),
        ("packages: [{name: '*', window_days: [7, all]}]", "packages[0].window_days: '*' has no window over all days"),
        (
            "packages: [{name: a-*, window_days: 7}, {name: a-b, window_days: 7}]",
            "packages[1].name: 'a-b' is selected by packages[0] ('a-*') with the same windows and badges. Remove it",
        ),
        ("packages: [{name: 'a-b-*'}, {name: 'a-*'}]", "packages[0].name: 'a-b-*' is selected by packages[1] ('a-*')"),
        ("packages: [{name: a, label: 'x {package}'}]", "packages[0].label: 'x {package}' has an unknown placeholder"),
        ('packages: [{name: a, label: "x\\a"}]', "has a character that cannot be shown. Remove it"),
        ("packages: [{name: a, label: {os-linus: x}}]", "packages[0].label.os-linus: 'os-linus' is not one of"),
        ("packages: [{name: a, badges: [os-linus]}]", "packages[0].badges[0]: 'os-linus' is not one of downloads,"),
        ("packages: [{name: a, colors: {0: blau}}]", "packages[0].colors: 'blau' is not a colour. Use brightgreen"),
        ("packages: [{name: a, colors: {10: red, 010: blue}}]", "packages[0].colors: 10 stands twice. Keep one"),
        ("packages: [{name: a, colors: {x: blue}}]", "packages[0].colors.x: 'x' is not a whole number"),
        ("packages: [{name: a, breakdowns: {}}]", "packages[0].breakdowns: a section is not one of python,"),
        ("packages: [{name: a, breakdowns: [[python]]}]", "packages[0].breakdowns[0]: "),
        (
            "packages: [{name: a, breakdowns: [pyton]}]",
            "packages[0].breakdowns[0]: 'pyton' is not one of python,",
        ),
        (
            "packages: [{name: a, badges: [python-3.12], breakdowns: version}]",
            "packages[0].badges: python-3.12 needs a breakdown. Write `breakdowns: [python]` beside it",
        ),
        (
            "packages: [{name: a, badges: [pythons]}]\nsource: {kind: bigquery}",
            "packages[0].badges: pythons needs a breakdown. Write `breakdowns: [python]` beside it",
        ),
        (
            "packages: [{name: '*', badges: [downloads, python-3.12], breakdowns: [python]}]",
            "packages[0].badges: '*' has no badge python-3.12. Remove it, or give the package an entry of its own",
        ),
        (
            "packages: [{name: a, breakdowns: cpu}]\nsource: {kind: clickhouse}",
            "packages[0].breakdowns: source kind clickhouse does not know the cpu of a download. Remove it",
        ),
        ("packages: [{name: a, style: round}]", "packages[0].style: 'round' is not one of flat, flat-square, plastic"),
        ("packages: [{name: a, cache_seconds: 60}]", "packages[0].cache_seconds: 60 is too small. Use 300 or more"),
        (
            "packages: [{name: '*', links: {repository: 'https://a.b'}}]",
            "packages[0].links: '*' has no pages of packages.",
        ),
        (
            "packages: [{name: a, links: {repository: 'http://a.b'}}]",
            "packages[0].links.repository: is not the address of a web page with HTTPS",
        ),
        ("packages: [{name: a, links: {home: 'https://a.b'}}]", "packages[0].links.home: unknown key."),
        (
            "packages: [{name: a, links: {repository: 'https://u:T0KEN@a.b/c'}}]",
            "packages[0].links.repository: has a user name in it, which would be published",
        ),
        (
            "packages: [{name: a, logo: x}]",
            "packages[0].logo: unknown key. Winnow cannot draw the logos of shields.io.",
        ),
        (
            "packages: [{name: a, style: social}]",
            "packages[0].style: Winnow cannot draw 'social'. Use flat, flat-square",
        ),
        ("packages: [{name: a, logo_svg: <p/>}]", "packages[0].logo_svg: is not an SVG picture. Write all of it here"),
        ("packages: [{name: a, logo_color: red}]", "packages[0].logo_color: unknown key. Write the colour into the"),
        ("packages: [{name: a, part_colors: {1: red, 01: red}}]", "packages[0].part_colors: 1 stands twice. Keep one"),
        ("packages: [{name: a, window_days: [all, all]}]", "packages[0].window_days: 'all' stands twice. Keep one"),
        ("packages: [{name: a, window_days: ever}]", "packages[0].window_days: 'ever' is not a whole number"),
        (
            "packages: [{name: a}]\ngroups: [{name: g, packages: [a, b]}]",
            "groups[0].packages[1]: 'b' is not under packages:, so Winnow does not count it. Add `- name: b` there",
        ),
        (
            "packages: [{name: a}]\ngroups: [{name: ../g, packages: [a]}]",
            "groups[0].name: '../g' is not a group's name",
        ),
        ("packages: [{name: a}]\ngroups: [{name: g}]", "groups[0].packages: missing. Add it"),
        (
            "packages: [{name: a}]\ngroups: [{name: a-b, packages: [a]}, {name: A_B, packages: [a]}]",
            "groups[1].name: 'A_B' stands twice. Give each group a name of its own",
        ),
        ("packages: [{name: a}]\ndefaults: {name: b}", "defaults.name: unknown key."),
    ],
)
def test_what_is_wrong_with_looks_and_groups_is_named(text: str, problem: str) -> None:
    assert any(problem in line for line in problems(text)), problems(text)


def test_an_entry_is_needed_if_another_would_publish_its_package_otherwise() -> None:
    # Without its entry, the longer prefix would.
    text = "packages: [{name: a-*, window_days: 7}, {name: a-b-*, window_days: 30}, {name: a-b-c, window_days: 7}]"
    assert len(load_settings(write(text)).packages) == 3


def test_every_kind_of_badge_can_be_asked_for() -> None:
    assert get_args(get_args(Slug)[0]) == (*SLUGS, PYTHONS)
