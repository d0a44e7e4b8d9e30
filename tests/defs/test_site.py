"""A package's whole folder: badges twice, page, history; groups; looks; and nothing published is taken back."""

from __future__ import annotations

import html
import json
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from tests.conftest import DAY, FixedClock
from tests.rows import row
from winnow_dagster.config.settings import GroupSettings
from winnow_dagster.core.badge import SLUGS, BadgeStyle
from winnow_dagster.core.names import Group, Selector, normalise
from winnow_dagster.core.window import ALL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import House, MakeHouse, RowSource
    from winnow_dagster.config.settings import Settings

KNOWN_KEYS = {
    "schemaVersion", "label", "message", "color", "labelColor", "isError", "namedLogo", "logoSvg", "logoColor",
    "logoSize", "style", "cacheSeconds",
}  # fmt: skip
"""What shields.io's endpoint badge knows; it rejects a payload with any other key."""


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


@pytest.fixture(autouse=True)
def _rows(source: RowSource) -> None:
    source.rows = [
        counted
        for n in range(-9, 40)
        for counted in [
            row(ago(n), "a", downloads=400),
            row(ago(n), "a", ci=True, downloads=100),
            row(ago(n), "b", installer="uv", system="Darwin", downloads=50),
        ]
    ]


def change(house: House, **changes: Any) -> House:
    house.winnow = replace(house.winnow, settings=replace(house.winnow.settings, **changes))
    return house


def grouped(house: House, *members: str) -> House:
    group = Group(normalise("my-org"), tuple(map(Selector.parse, members)))
    return change(house, groups=(GroupSettings(group, (3,)),))


def looking(house: House, style: BadgeStyle) -> House:
    settings: Settings = house.winnow.settings
    return change(house, packages=tuple(replace(package, style=style) for package in settings.packages))


def public(house: House) -> Path:
    return house.output_dir


def payload(house: House, path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((public(house) / path).read_bytes())
    return found


def published(house: House, days: int = 3) -> House:
    house.count(ago(days - 1), DAY)
    house.publish()
    return house


def test_every_payload_has_its_picture_and_obeys_shields_rules(make_house: MakeHouse) -> None:
    style = BadgeStyle(extras={"style": "flat-square", "namedLogo": "pypi", "logoColor": "white", "cacheSeconds": 3600})
    house = published(looking(grouped(make_house({"a": (3, 30), "b": (ALL,)}), "a", "b"), style))
    files = list(public(house).rglob("*-non-ci.json"))
    assert len(files) == 12 * 4
    for file in files:
        found = json.loads(file.read_bytes())
        assert set(found) <= KNOWN_KEYS
        assert found["schemaVersion"] == 1
        assert isinstance(found["message"], str)
        assert found["message"]
        assert not {"namedLogo", "logoSvg"} <= set(found)
        assert "namedLogo" in found or not {"logoColor", "logoSize"} & set(found)
        assert isinstance(found.get("cacheSeconds", 300), int)
        drawn = ET.fromstring(file.with_suffix(".svg").read_bytes())
        assert drawn.get("aria-label") == f"{found['label']}: {found['message']}"
        assert file.with_suffix(".svg").stat().st_size < 2048


def test_a_group_is_published_with_the_sum_of_its_packages(make_house: MakeHouse) -> None:
    house = published(grouped(make_house({"a": (3,), "b": (3,)}), "a", "b"))
    assert payload(house, "_group/my-org/downloads-3d-non-ci.json")["message"] == "1.4k"
    assert payload(house, "_group/my-org/os-macos-3d-non-ci.json")["message"] == "150"
    record = payload(house, "_group/my-org/counts.json")
    assert record["members"] == ["a", "b"]
    assert record["windows"]["3"]["raw"] == 3 * 550
    assert [day["raw"] for day in payload(house, "_group/my-org/history.json")["days"]] == [550, 550, 550]
    everything = payload(house, "_packages.json")
    assert [each["name"] for each in everything["packages"]] == ["a", "b"]
    assert [(each["name"], each["members"]) for each in everything["groups"]] == [("my-org", ["a", "b"])]
    assert payload(house, "_health.json")["groups"]["my-org"]["count"] == 3 * 450
    page = (public(house) / "_group" / "my-org" / "index.html").read_text()
    assert '<a href="../../a/">a</a>' in page


def test_a_group_with_an_uncovered_member_keeps_its_number_and_gets_no_new_one(
    make_house: MakeHouse, source: RowSource
) -> None:
    published(grouped(make_house({"a": (3,), "b": (3,)}), "a", "b"))
    source.failing = {"b"}
    later = grouped(make_house({"a": (3,), "b": (3,)}, FixedClock.after(DAY + timedelta(days=1))), "a", "b")
    later.count(DAY + timedelta(days=1), DAY + timedelta(days=1))
    later.publish()
    assert payload(later, "a/counts.json")["windows"]["3"]["as_of"] == str(DAY + timedelta(days=1))
    record = payload(later, "_group/my-org/counts.json")
    assert record["windows"]["3"]["as_of"] == str(DAY)
    assert record["problem"] == f"{DAY + timedelta(days=1)} could not be read"
    assert payload(later, "_group/my-org/downloads-3d-non-ci.json")["message"] == "1.4k"


def test_a_group_that_left_the_config_is_an_orphan_that_grows_stale(make_house: MakeHouse) -> None:
    published(grouped(make_house({"a": (3,)}), "a"))
    later = make_house({"a": (3,)}, FixedClock.after(DAY + timedelta(days=9)))
    later.publish()
    assert payload(later, "_group/my-org/downloads-3d-non-ci.json")["message"] == f"1.2k to {DAY}"
    page = (public(later) / "_group" / "my-org" / "index.html").read_text()
    assert "<strong>Out of date.</strong> The newest number is as of" in page


def test_the_window_of_all_days_grows_and_is_not_cut_short_by_a_day_that_waits(
    make_house: MakeHouse, source: RowSource
) -> None:
    house = published(make_house({"a": (3, ALL)}), 9)
    assert payload(house, "a/downloads-all-non-ci.json")["label"] == f"pip*/uv/poetry/pdm (since {ago(8)})"
    assert payload(house, "a/counts.json")["windows"]["all"]["honest"] == 9 * 400
    source.failing = {"a"}
    waiting = DAY + timedelta(days=1)
    later = make_house({"a": (3, ALL)}, FixedClock.after(waiting))
    later.count(waiting, waiting)
    source.failing = set()
    after = make_house({"a": (3, ALL)}, FixedClock.after(waiting + timedelta(days=1)))
    after.count(waiting + timedelta(days=1), waiting + timedelta(days=1))
    after.publish()
    record = payload(after, "a/counts.json")["windows"]["all"]
    assert (record["first_day"], record["as_of"]) == (str(ago(8)), str(DAY))
    after.count(waiting, waiting)
    after.publish()
    record = payload(after, "a/counts.json")["windows"]["all"]
    assert (record["first_day"], record["as_of"], record["honest"]) == (
        str(ago(8)), str(waiting + timedelta(days=1)), 11 * 400,
    )  # fmt: skip


def test_the_history_has_each_stored_day_and_names_what_is_missing(make_house: MakeHouse) -> None:
    house = make_house({"a": (3,)})
    house.count(ago(9), ago(7))
    house.count(ago(2), DAY)
    house.publish()
    found = payload(house, "a/history.json")
    assert [day["date"] for day in found["days"]] == [str(ago(n)) for n in (9, 8, 7, 2, 1, 0)]
    assert found["missing"] == [{"first_day": str(ago(6)), "last_day": str(ago(3))}]
    assert found["days"][0] == {
        "date": str(ago(9)),
        "reading": "settled",
        "raw": 500,
        "categories": {"honest": 400, "ci": 100, "mirror": 0, "browser": 0, "script": 0, "unknown": 0, "other": 0},
        "by_installer": {"pip": 400, "pipenv": 0, "pipx": 0, "uv": 0, "poetry": 0, "pdm": 0},
        "by_system": {"linux": 400, "macos": 0, "windows": 0, "other_system": 0},
        "definition": "files",
    }
    page = (public(house) / "a" / "index.html").read_text()
    # Ten days back there is something, of the other twenty nothing was ever read.
    assert "24 days missing" in page
    assert f"{ago(5)}: missing" in page


def test_a_lost_store_takes_no_day_of_the_history_back(make_house: MakeHouse) -> None:
    house = published(make_house({"a": (3,)}))
    before = (public(house) / "a" / "history.csv").read_bytes()
    for path in house.data_dir.rglob("*.parquet"):
        path.unlink()
    house.count(ago(8), ago(8))
    house.publish()
    after = (public(house) / "a" / "history.csv").read_bytes()
    assert set(before.splitlines()) < set(after.splitlines())


def test_only_the_badges_that_are_asked_for_are_published_and_the_headline_always(make_house: MakeHouse) -> None:
    house = published(looking(make_house({"a": (3,)}), BadgeStyle(slugs=("downloads", "os-linux"))))
    badges = {path.name for path in (public(house) / "a").glob("*-non-ci.*")}
    assert badges == {f"{slug}-3d-non-ci.{kind}" for slug in ("downloads", "os-linux") for kind in ("json", "svg")}


def test_a_badge_that_is_not_asked_for_any_more_is_renewed_where_it_is_and_is_an_orphan(make_house: MakeHouse) -> None:
    published(make_house({"a": (3,)}))
    later = make_house({"a": (3,)}, FixedClock.after(DAY + timedelta(days=9)))
    looking(later, BadgeStyle(slugs=("downloads",))).publish()
    assert payload(later, "a/os-linux-3d-non-ci.json")["message"] == f"1.2k to {DAY}"
    found = later.run("badges").get_asset_check_evaluations()
    (orphans,) = [e for e in found if e.check_name == "no_orphaned_files"]
    assert not orphans.passed
    assert orphans.metadata["bad"].value == 1
    assert f"{2 * (len(SLUGS) - 1)} files" in str(orphans.metadata["culprits"].value)


def test_a_package_that_left_the_config_keeps_its_look(make_house: MakeHouse) -> None:
    style = BadgeStyle(labels={"downloads": "installs"}, colors=((0, "red"),), extras={"style": "flat-square"})
    published(looking(make_house({"a": (3,), "b": (3,)}), style))
    later = make_house({"b": (3,)}, FixedClock.after(DAY + timedelta(days=9)))
    later.publish()
    assert payload(later, "a/downloads-3d-non-ci.json") == {
        "schemaVersion": 1,
        "label": "installs",
        "message": f"1.2k to {DAY}",
        "color": "lightgrey",
        "style": "flat-square",
    }


def test_a_badge_of_another_program_is_drawn_and_left_as_it_is(make_house: MakeHouse) -> None:
    house = make_house({"a": (3,)})
    file = public(house) / "a" / "downloads-3d-non-ci.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"schemaVersion":1,"label":"x","message":"7k","color":"teal"}')
    house.count(DAY, DAY)
    house.publish()
    assert file.read_text() == '{"schemaVersion":1,"label":"x","message":"7k","color":"teal"}'
    assert ET.fromstring(file.with_suffix(".svg").read_bytes()).get("aria-label") == "x: 7k"


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</q><b>", "&amp;'"]
)
def test_no_installer_breaks_out_of_the_page(make_house: MakeHouse, source: RowSource, hostile: str) -> None:
    source.rows = [*source.rows, row(DAY, "a", installer=hostile, system=None, downloads=7)]
    house = published(make_house({"a": (3,)}))
    page = (public(house) / "a" / "index.html").read_text()
    assert hostile not in page
    assert payload(house, "a/counts.json")["windows"]["3"]["unlisted_installers"] == {hostile: 7}
    assert html.escape(hostile).replace("&quot;", "&#34;").replace("&#x27;", "&#39;") in page
    assert page.count("<script") == 3


def test_the_page_gives_a_query_with_which_to_count_along_and_snippets(make_house: MakeHouse) -> None:
    house = change(make_house({"a": (3,)}, kind="bigquery"), base_url="https://badges.example.com/x")
    page = (public(published(house)) / "a" / "index.html").read_text()
    assert "In BigQuery, with an account of your own; the honest are" in page
    assert "project = &#34;a&#34;" in page
    assert f"TIMESTAMP(&#34;{ago(2)}&#34;)" in page
    assert "image:https://badges.example.com/x/a/downloads-3d-non-ci.svg[installs in 3 days,link=" in page
    assert "url=https%3A%2F%2Fbadges.example.com%2Fx%2Fa%2Fdownloads-3d-non-ci.json" in page
    assert '<link rel="canonical" href="https://badges.example.com/x/a/">' in page


def test_no_page_of_another_source_names_bigquery_or_gives_its_query(make_house: MakeHouse) -> None:
    house = published(make_house({"a": (3,)}, kind="parquet"))
    for page in ("a/index.html", "index.html"):
        content = (public(house) / page).read_text()
        assert "Data: PyPI's download statistics, licensed" in content
        for word in ("bigquery", "Count along", "TIMESTAMP", "the query"):
            assert word not in content


def test_sample_pages_say_sample_and_give_no_query(make_house: MakeHouse) -> None:
    house = published(make_house({"a": (3,)}, kind="sample"))
    page = (public(house) / "a" / "index.html").read_text()
    assert "Sample data." in page
    assert "TIMESTAMP" not in page
