"""A value of a wrong type is refused in Winnow's own words, whatever key it stands at."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.config.writing import problems
from winnow_dagster.config.component import PlacementSection
from winnow_dagster.config.loading import KEYS, ConfigError, load_component

VALUES = ["text", "", -1, 0.5, float("inf"), float("nan"), True, None, [], ["x"], [None], [[]], {}, {"x": "y"}, {1: 2}]
PYDANTICS_WORDS = re.compile(r"should (be|have|match|contain)|[Ii]nput|unable to|[Vv]alue error|Field required")
SECTIONS = ("service", "budget", "schedule", "alerts", "defaults")


def each_key(section: str, value: object) -> dict[str, Any]:
    return dict.fromkeys(KEYS[section], value)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_message_is_in_winnows_words_at_every_key(value: object) -> None:
    inner = {section: each_key(section, value) for section in SECTIONS}
    links = {"links": each_key("links", value)}
    with_wrong_keys = {
        **inner,
        "source": each_key("source", value) | {"kind": "bigquery", "figures": each_key("figures", value)},
        "packages": [each_key("packages", value), {"name": "a", **links}, value],
        "groups": [each_key("groups", value), {"name": "b", "packages": ["a"], **links}, value],
    }
    with_wrong_sections = each_key("", value) | {"s": 1}
    for content in (with_wrong_keys, with_wrong_sections, {"packages": [{"name": "a"}], "source": {"kind": value}}):
        for line in problems(yaml.safe_dump(content)):
            assert not PYDANTICS_WORDS.search(line), line
    component = dict.fromkeys(PlacementSection.model_fields, value) | {"packages": value}
    with pytest.raises(ConfigError) as caught:
        load_component(component, Path("defs.yaml"))
    assert not PYDANTICS_WORDS.search(str(caught.value))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("groups: a", "groups: 'a' is not a list. Begin each entry with '- '"),
        ("groups: {name: g}", "groups: a section is not a list. Begin each entry with '- '"),
        ("groups:", "groups: has no value. Write one, or leave the key out where it has a default"),
        ("service:", "service: has no value. Write one, or leave the key out where it has a default"),
        ("budget: {tib_per_month: lots}", "budget.tib_per_month: 'lots' is not a number. Write digits, such as 0.5"),
        ("budget: {tib_per_month: true}", "budget.tib_per_month: True is not a number"),
        ("budget: {tib_per_month: .inf}", "budget.tib_per_month: inf is not a number. Write digits, such as 0.5"),
        ("budget: {tib_per_month: -0.5}", "budget.tib_per_month: -0.5 is too small. Use 0 or more"),
        (
            "source: {kind: bigquery, figures: {package_day_mb: 0}}",
            "source.figures.package_day_mb: 0 is too small. Use more than 0",
        ),
        ("defaults: {estimate_unsaid_ci: 1}", "defaults.estimate_unsaid_ci: 1 is not true or false"),
    ],
)
def test_a_wrong_type_is_named_with_its_fix(text: str, problem: str) -> None:
    assert problems(f"packages: [{{name: a}}]\n{text}") == [problem]


@pytest.mark.parametrize("entry", ["packages: [{name: a, links: T}]", "packages: [{name: a}]\ndefaults: T"])
def test_text_in_place_of_a_section_is_not_taken_for_the_name_of_a_package(entry: str) -> None:
    (problem,) = problems(entry.replace("T", "https://x.example"))
    assert problem.endswith(": text is not a section. Indent its keys below it, as `key: value`")
