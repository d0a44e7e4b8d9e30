"""The `defs.yaml` of a component: the keys of winnow.yaml under `attributes:`, and the placement of its assets.

`{{ env.NAME }}` is an environment variable. `winnow --config defs.yaml` reads the same file without Dagster.
"""

from __future__ import annotations

import ast
import os
import re
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from winnow_dagster.config.settings import Placement
from winnow_dagster.core.masking import shown
from winnow_dagster.fields import Flag, Section, Text, invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

TEMPLATE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
ENV = re.compile(r"""\s*env(?:\.(\w+)|\(\s*(['"])(\w+)\2\s*(?:,\s*(['"])(.*?)\4\s*)?\))\s*""")
PART = re.compile(r"[A-Za-z0-9_.-]+")
DEFS_NAMES = ("defs.yaml", "defs.yml")


def _split(value: object) -> object:
    return value.split("/") if isinstance(value, str) else value


def _check_prefix(parts: list[str]) -> list[str]:
    for part in parts:
        if not PART.fullmatch(part):
            raise invalid(f"{shown(part)} is not part of an asset key. Use letters, digits, `_`, `-` and `.`")
    return parts


def _check_group(text: str) -> str:
    if not re.fullmatch(r"\w*", text, re.ASCII):
        raise invalid(f"{shown(text)} is not the beginning of a group's name. Use letters, digits and `_`")
    return text


def _check_owner(text: str) -> str:
    if "@" not in text and not text.startswith("team:"):
        raise invalid(f"{shown(text)} is not an owner. Write an email address, or `team:` and a name")
    return text


class PlacementSection(Section):
    """The keys of a component that winnow.yaml does not have."""

    key_prefix: Annotated[
        list[Text] | None, BeforeValidator(_split), AfterValidator(lambda parts: _check_prefix(parts or []))
    ] = Field(
        default=None,
        description="What the key of each asset begins with, and the name of each job, schedule, sensor, resource and "
        "pool: a name, or a list. By default the name of the component's folder.",
    )
    group_prefix: Annotated[str, Field(strict=True), AfterValidator(_check_group)] | None = Field(
        default=None, description="What the name of each group begins with. By default the key prefix; '' for nothing."
    )
    owners: list[Annotated[Text, AfterValidator(_check_owner)]] = Field(
        default=[], description="The owners of each asset: email addresses, or teams such as `team:data`."
    )
    tags: dict[Text, Annotated[str, Field(strict=True)]] = Field(default={}, description="Tags of each asset.")
    automation: Flag = Field(
        default=True,
        description="Whether Winnow's schedules, sensors and automation conditions are part of the definitions.",
    )

    def resolve(self, path: Path) -> Placement:
        """Return the placement of the component in this file."""
        usual = re.sub(r"[^A-Za-z0-9_.-]", "_", path.parent.name)
        prefix = tuple(self.key_prefix or [usual])
        return Placement(prefix, self.group_prefix, tuple(self.owners), dict(self.tags), self.automation)


def is_component(content: Mapping[str, Any]) -> bool:
    """Return whether a YAML file is the `defs.yaml` of a component."""
    return "type" in content and "packages" not in content


class Templates:
    """Fills in `{{ ... }}`: environment variables itself, all else with `others`, which is Dagster's own function."""

    def __init__(self, others: Callable[[str], object] | None = None) -> None:
        """Start without problems."""
        self.others = others
        self.problems: list[str] = []

    def fill(self, value: object, place: str = "") -> Any:  # noqa: ANN401 - as YAML has it
        """Return a value of YAML with its templates filled in. Add a problem for each template that cannot be."""
        if isinstance(value, dict):
            return {key: self.fill(each, f"{place}.{key}" if place else str(key)) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.fill(each, f"{place}[{number}]") for number, each in enumerate(value)]
        if not isinstance(value, str) or not TEMPLATE.search(value):
            return value
        text = TEMPLATE.sub(lambda found: self._variable(found, place), value)
        if TEMPLATE.search(text):
            if self.others is not None:
                return self.others(text)
            self.problems.append(f"{place}: {shown(value)} is for Dagster only. Use {{{{ env.NAME }}}}")
        return _literal(text)

    def _variable(self, found: re.Match[str], place: str) -> str:
        said = ENV.fullmatch(found[1])
        if said is None:
            return found[0]
        name = said[1] or said[3]
        value: str | None = os.environ.get(name, said[5])
        if value is None:
            self.problems.append(f"{place}: takes its value from ${name}, which is not set. Set it")
        return value or ""


def _literal(text: str) -> object:
    """Return a number, a truth value or a list for its text, as Dagster does."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def with_days(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content with `start_date` as a date, which Dagster reads as text."""
    try:
        return {**content, "start_date": date.fromisoformat(content["start_date"])}
    except (KeyError, TypeError, ValueError):
        return content
