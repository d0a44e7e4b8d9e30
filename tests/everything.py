"""A house with `*`: what tests of all of PyPI share."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from tests.conftest import DAY, FixedClock, House, MakeHouse
from winnow_dagster.core.badge import BadgeStyle
from winnow_dagster.defs.resources import Installation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from winnow_dagster.config.settings import GroupSettings

HEADLINE = BadgeStyle(slugs=("downloads",))


def everything(
    make_house: MakeHouse,
    days: tuple[int, ...] = (3,),
    *,
    clock: FixedClock | None = None,
    kind: str = "parquet",
    named: tuple[str, ...] = ("numpy",),
    groups: tuple[GroupSettings, ...] = (),
    **entry: Any,
) -> House:
    """Return a house with `*` and packages with an entry of their own."""
    house = make_house({**dict.fromkeys(named, (3,)), "*": days}, clock, kind)
    entry = {"style": HEADLINE, "settle": False, **entry}
    packages = tuple(replace(p, **entry) if p.selector.is_all else p for p in house.winnow.settings.packages)
    changed = replace(house.winnow.settings, packages=packages, groups=groups)
    return House(Installation(changed, house.winnow.clock, given_source=make_house.source), house.opened)


def live(house: House, first: date = DAY - timedelta(days=2), last: date = DAY) -> House:
    """Read and count these days, and publish, all without Dagster."""
    house.store(first, last)
    house.show()
    return house


def materialised(house: House, first: date = DAY - timedelta(days=2), last: date = DAY) -> House:
    """Read and count these days, and publish, as the assets do."""
    assert house.count(first, last).success
    house.publish()
    return house


def told(house: House, package: str, name: str = "downloads-3d-non-ci.json") -> str:
    """Return the message of a badge."""
    content: Mapping[str, Any] = json.loads((house.output_dir / package / name).read_bytes())
    return str(content["message"])
