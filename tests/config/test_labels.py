"""Labels in the config: no two badges of one package may have the same text."""

from __future__ import annotations

from pathlib import Path

import pytest

from winnow_dagster.config.loading import ConfigError, parse_settings

PLACE = Path("winnow.yaml")


@pytest.mark.parametrize(
    ("text", "place", "badges", "label", "fix"),
    [
        (
            "packages: [{name: a, window_days: [7, 30], label: installs}]",
            "packages[0].label: ",
            ("downloads-7d-non-ci", "downloads-30d-non-ci"),
            "installs",
            "Add the window to the text: 'installs ({days}d)'",
        ),
        (
            """
            defaults: {label: installs}
            packages: [{name: a}, {name: b, window_days: [7, all]}, {name: c, window_days: [1, 2]}]
            """,
            "defaults.label: in packages[1], ",
            ("downloads-7d-non-ci", "downloads-all-non-ci"),
            "installs",
            "Add the window to the text: 'installs ({days}d)'",
        ),
        (
            "packages: [{name: a, label: {installer-uv: 'fast  ({days}d)', downloads: 'fast ({days}d)'}}]",
            "packages[0].label: ",
            ("downloads-30d-non-ci", "installer-uv-30d-non-ci"),
            "fast  (30d)",
            "Give each a text of its own",
        ),
        (
            """
            packages:
              - {name: a, breakdowns: python, badges: [os-linux, python-3.12], label: {python-3.12: 'linux (30d)'}}
            """,
            "packages[0].label: ",
            ("os-linux-30d-non-ci", "python-3.12-30d-non-ci"),
            "linux (30d)",
            "Give each a text of its own",
        ),
        (
            """
            packages: [{name: a}]
            groups: [{name: g, packages: [a], window_days: [7, 30], label: people}]
            """,
            "groups[0].label: ",
            ("downloads-7d-non-ci", "downloads-30d-non-ci"),
            "people",
            "Add the window to the text: 'people ({days}d)'",
        ),
        (
            "packages: [{name: '*', window_days: [7, 30], label: people}]",
            "packages[0].label: ",
            ("downloads-7d-non-ci", "downloads-30d-non-ci"),
            "people",
            "Add the window to the text: 'people ({days}d)'",
        ),
    ],
)
def test_two_badges_with_the_same_label_are_refused(
    text: str, place: str, badges: tuple[str, str], label: str, fix: str
) -> None:
    first, second = badges
    with pytest.raises(ConfigError) as error:
        parse_settings(text, PLACE)
    sentence = f"{place}the badges {first} and {second} would both say {label!r}. {fix}"
    assert str(error.value).splitlines() == [f"{PLACE.absolute()}: {sentence}"]


def test_a_label_without_days_is_fine_over_one_window_and_where_other_badges_name_theirs() -> None:
    text = """
    packages:
      - {name: a, label: installs, window_days: 7}
      - {name: b, label: installs, window_days: 30}
      - {name: c, label: {installer-uv: "uv: {days}"}, window_days: [7, 30, all]}
    """
    found = [package.style.labels for package in parse_settings(text, PLACE).packages]
    assert found == [{"downloads": "installs"}, {"downloads": "installs"}, {"installer-uv": "uv: {days}"}]
