"""The estimate of unsaid CI from the source to the published files, and as the checks see it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import DAY, FixedClock, House, make_settings
from winnow_dagster.core import unsaid_ci
from winnow_dagster.core.dimensions import KERNEL
from winnow_dagster.defs.checks import CHECKS
from winnow_dagster.defs.resources import Installation
from winnow_dagster.sources.sample import SampleSource

if TYPE_CHECKING:
    from pathlib import Path

LENGTH = 7


def house(tmp_path: Path, make_house: Any, *names: str) -> House:
    """Return an installation that has read one window of these packages with their kernels, and has published it."""
    settings = make_settings(tmp_path, dict.fromkeys(names, (LENGTH,)))
    entries = tuple(replace(each, breakdowns=(KERNEL.name,)) for each in settings.packages)
    winnow = Installation(replace(settings, packages=entries), FixedClock.after(DAY), given_source=SampleSource())
    found = House(winnow, make_house.opened)
    assert found.count(DAY - timedelta(days=LENGTH - 1), DAY).success
    found.publish()
    return found


def estimate_in(found: House, name: str) -> dict[str, Any]:
    content = json.loads((found.output_dir / name / "breakdowns.json").read_text())
    estimate: dict[str, Any] = content["windows"][str(LENGTH)]["unsaid_ci"]
    return estimate


def problems(found: House) -> dict[str, Any]:
    judged = (check.judge(found.winnow) for check in CHECKS if check.name == "published_equals_store")
    return {place: problem for verdict in judged for place, problem in verdict.bad.items()}


def test_a_published_estimate_is_what_the_store_says(tmp_path: Path, make_house: Any) -> None:
    found = house(tmp_path, make_house, "a")
    estimate = estimate_in(found, "a")
    assert 0 < estimate["low"] < estimate["high"] < estimate["unsaid"]
    assert problems(found) == {}
    path = found.output_dir / "a" / "breakdowns.json"
    path.write_text(path.read_text().replace(f'"low": {estimate["low"]}', '"low": 0'))
    assert list(problems(found)) == ["a/breakdowns.json"]


def test_an_estimate_that_is_learned_from_all_packages_is_what_the_store_says(
    tmp_path: Path, make_house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tuple(f"p{n}" for n in range(unsaid_ci.MIN_PACKAGES))
    alone = house(tmp_path / "alone", make_house, names[0])
    monkeypatch.setattr(unsaid_ci, "MIN_TOLD", estimate_in(alone, names[0])["told"] + 1)
    found = house(tmp_path / "all", make_house, *names)
    assert estimate_in(found, names[0])["packages"] == len(names)
    assert problems(found) == {}
