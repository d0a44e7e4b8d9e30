"""What the Dagster UI shows: the graph, the columns, numbers to plot and badges to look at."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pytest

from tests.conftest import DAY, FixedClock, House, MakeHouse, RowSource, on_disk
from tests.rows import row
from winnow_dagster.core.categories import winnow
from winnow_dagster.definitions import build

GRAPH = {
    "pypi_file_downloads": set(),
    "raw_downloads": {"pypi_file_downloads"},
    "honest_downloads": {"raw_downloads"},
    "badges": {"honest_downloads"},
    "index": {"badges"},
}


@pytest.fixture
def source() -> RowSource:
    return RowSource(
        rows=[row(DAY - timedelta(days=n), name, downloads=500) for n in range(3) for name in ("a", "x-b", "x-c")]
    )


def noted(house: House, asset: str, partition: str) -> dict[str, Any]:
    found = house.instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[partition]), limit=1
    ).records
    materialization = found[0].asset_materialization
    assert materialization
    return {key: value.value for key, value in materialization.metadata.items()}


def test_the_graph_leads_from_the_source_to_the_page_and_each_asset_says_what_it_is(make_house: MakeHouse) -> None:
    definitions = build(make_house({"a": (3,)}).winnow)
    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    assert {name: {dep.asset_key.to_user_string() for dep in spec.deps} for name, spec in specs.items()} == GRAPH
    for name, spec in specs.items():
        assert spec.description
        assert spec.owners
        assert spec.kinds
        assert spec.group_name != "default"
        assert "dagster/code_references" in spec.metadata
        if name != "pypi_file_downloads":
            assert spec.code_version
            assert spec.freshness_policy
    for name in ("raw_downloads", "honest_downloads"):
        columns = specs[name].metadata["dagster/column_schema"].columns
        assert all(column.description and column.type for column in columns)


def test_the_source_is_observed_and_says_whether_yesterday_is_whole(make_house: MakeHouse, source: RowSource) -> None:
    house = make_house({"a": (3,)})

    def observe() -> dict[str, Any]:
        assert house.run("pypi_file_downloads").success
        found = house.instance.fetch_observations(dg.AssetKey("pypi_file_downloads"), limit=1).records[0]
        assert found.asset_observation
        return {key: value.value for key, value in found.asset_observation.metadata.items()}

    assert observe() == {"newest_whole_day": str(DAY), "yesterday_is_whole": True}
    source.rows = [r for r in source.rows if r["date"] < DAY]
    assert observe() == {"newest_whole_day": str(DAY - timedelta(days=1)), "yesterday_is_whole": False}


def test_a_package_notes_its_numbers_its_badge_and_what_to_paste(make_house: MakeHouse) -> None:
    house = make_house({"a": (3, 2)})
    house.winnow = replace(house.winnow, settings=replace(house.winnow.settings, base_url="https://badges.example.com"))
    house.count(DAY - timedelta(days=2), DAY)
    house.publish()
    found = noted(house, "badges", "a")
    assert (found["honest_3d"], found["raw_3d"], found["honest_2d"]) == (1500, 1500, 1000)
    assert found["as_of"] == str(DAY)
    assert "1.5k" in picture(found["badge"])
    assert found["endpoint"] == "https://badges.example.com/a/downloads-3d-non-ci.json"
    assert found["markdown"] == (
        "[![installs in 3 days](https://badges.example.com/a/downloads-3d-non-ci.svg)](https://badges.example.com/a/)"
    )
    assert found["page"] == "https://badges.example.com/a/"
    assert found["files"] == str(house.output_dir / "a")


def test_a_prefix_notes_the_badge_of_each_of_its_packages(make_house: MakeHouse) -> None:
    house = make_house({"x-*": (3,)})
    house.count(DAY - timedelta(days=2), DAY)
    house.publish()
    found = noted(house, "badges", "x-*")
    assert found["packages"] == 2
    assert "| x-b |" in found["badge"]
    assert "| x-c |" in found["badge"]


def test_what_is_noted_is_what_is_published_and_not_an_older_recount(make_house: MakeHouse) -> None:
    house = make_house({"a": (3,)})
    house.count(DAY - timedelta(days=2), DAY)
    house.publish()
    for day in house.winnow.honest.stored_days():
        on_disk(house.winnow.honest.path(day)).unlink()
    house.publish()
    assert noted(house, "badges", "a")["as_of"] == str(DAY)


def picture(markdown: str) -> str:
    """Return the SVG in a Markdown image."""
    found = re.search(r"data:image/svg\+xml;base64,([^)]*)", markdown)
    assert found
    return base64.b64decode(found[1]).decode()


def test_days_counted_by_other_rules_are_counted_again_without_asking_the_source(
    make_house: MakeHouse, source: RowSource
) -> None:
    house = make_house({"a": (3,)})
    house.count(DAY - timedelta(days=2), DAY)
    asked = len(source.asked)
    older = make_house({"a": (3,)})
    older.winnow.honest.rules = "other"
    for day in list(house.winnow.honest.stored_days()):
        older.winnow.honest.write(day, house.winnow.honest.load([day]).counts.collect(), coverage(house, day))
    house = make_house({"a": (3,)})
    (gap,) = house.winnow.gaps()
    assert (gap.first, gap.last) == (DAY - timedelta(days=2), DAY)
    house.count(gap.first, gap.last)
    assert make_house({"a": (3,)}).winnow.gaps() == []
    assert len(source.asked) == asked


def coverage(house: House, day: date) -> Any:
    found = house.winnow.honest.coverage(day)
    assert found
    return found


def test_an_earlier_reading_never_takes_the_place_of_a_later_one(make_house: MakeHouse, source: RowSource) -> None:
    house = make_house({"a": (1,)})
    house.count(DAY, DAY)
    slow = house.winnow.raw.load([DAY])
    late = make_house({"a": (1,)}, FixedClock(moment=house.winnow.clock.now() + timedelta(hours=1)))
    source.rows = [row(DAY, "a", downloads=700)]
    late.count(DAY, DAY, refetch=True)
    counted = slow.derive(winnow)
    late.winnow.write_honest(DAY, counted.of(DAY).collect(), slow.coverage[DAY])
    assert late.winnow.honest.load([DAY]).counts.collect()["downloads"].to_list() == [700]
    assert late.winnow.gaps() == []
