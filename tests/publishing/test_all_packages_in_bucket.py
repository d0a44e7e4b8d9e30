"""`*` in a bucket: each package's files are listed in a part of the manifest, and found from there."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.bucket_service import Service
from tests.buckets import PUBLIC, place, public_folder
from tests.conftest import DAY, FixedClock, House, MakeHouse
from tests.everything import everything, live
from tests.rows import row
from winnow_dagster.defs.checks import CHECKS
from winnow_dagster.defs.resources import Installation


def in_buckets(house: House, key: str = "winnow") -> House:
    """Return the same house, with both directories in buckets."""
    settings = replace(house.winnow.settings, output_dir=public_folder(), data_dir=place(key=key))
    return House(Installation(settings, house.winnow.clock, given_source=house.winnow.given_source), house.opened)


@pytest.fixture(autouse=True)
def _rows(make_house: MakeHouse) -> None:
    # Few as the rows are, no day is short.
    make_house.source.rows_of_day = {DAY + timedelta(days=n): 1000 for n in range(-70, 20)}


def told(service: Service, package: str) -> str:
    content = service.content(PUBLIC)[f"badges/{package}/downloads-3d-non-ci.json"]
    return str(json.loads(content)["message"])


def test_the_store_agrees_with_what_is_published(service: Service, make_house: MakeHouse) -> None:
    make_house.source.rows = [row(DAY, name, downloads=1_234) for name in ("requests", "numpy", "q")]
    house = live(in_buckets(everything(make_house)))
    assert told(service, "requests") == told(service, "q") == "1.2k"
    (check,) = [check for check in CHECKS if check.name == "published_equals_store"]
    verdict = check.judge(house.winnow)
    assert verdict.bad == {}
    assert verdict.looked_at > 2


def test_a_package_that_gets_an_entry_keeps_its_number_until_there_is_another(
    service: Service, make_house: MakeHouse
) -> None:
    make_house.source.rows = [row(DAY, "requests", downloads=1_234)]
    live(in_buckets(everything(make_house)))
    later = DAY + timedelta(days=9)
    # Without the days read so far.
    house = in_buckets(everything(make_house, clock=FixedClock.after(later), named=("numpy", "requests")), "other")
    house.winnow.ownership.claim(adopt=True)
    live(house, later, later)
    assert "badges/requests/counts.json" in service.content(PUBLIC)
    assert told(service, "requests") == "1.2k"
