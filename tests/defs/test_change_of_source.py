"""A package that changes its source keeps its published days, each with its source, and no number adds up two."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import DAY, FixedClock, House, MakeHouse, RowSource
from tests.defs.test_checks import red
from tests.rows import row

BADGE = "a/downloads-3d-non-ci.json"


def later(days: int) -> FixedClock:
    return FixedClock.after(DAY + timedelta(days=days))


def read(house: House, path: str) -> Any:
    return json.loads((house.output_dir / path).read_bytes())


@pytest.fixture
def before(make_house: MakeHouse, source: RowSource) -> House:
    """Three days of 400 downloads, published from BigQuery; later days have 100."""
    source.rows = [row(DAY - timedelta(days=n), "a", downloads=400) for n in range(3)]
    source.rows += [row(DAY + timedelta(days=n), "a", downloads=100) for n in (1, 2, 3)]
    house = make_house({"a": (3,)}, kind="bigquery")
    house.count(DAY - timedelta(days=2), DAY)
    house.publish()
    return house


@pytest.mark.usefixtures("before")
def test_published_days_and_windows_keep_the_name_of_their_source(make_house: MakeHouse) -> None:
    house = make_house({"a": (3,)}, later(1), "clickhouse")
    house.count(DAY + timedelta(days=1), DAY + timedelta(days=1))
    house.publish()
    history = read(house, "a/history.json")
    assert history["source"] == "clickhouse"
    assert [(day["raw"], day.get("source")) for day in history["days"]] == [(400, "bigquery")] * 3 + [(100, None)]
    with (house.output_dir / "a" / "history.csv").open() as file:
        assert [line["source"] for line in csv.DictReader(file)] == ["bigquery"] * 3 + ["clickhouse"]
    window = read(house, "a/counts.json")["windows"]["3"]
    assert (window["honest"], window["as_of"], window["source"]) == (1200, str(DAY), "bigquery")
    assert read(house, BADGE)["message"] == "1.2k"
    assert read(house, "_health.json")["packages"]["a"]["windows"]["3"]["source"] == "bigquery"
    page = (house.output_dir / "a" / "index.html").read_text()
    assert "The numbers of 3 days are from another source, bigquery." in page
    assert "100 honest of 100 raw downloads, without 3 days from another source" in page
    assert "settled, from bigquery</td>" in page
    assert "published_equals_store" not in red(house)


@pytest.mark.usefixtures("before")
def test_a_window_of_the_new_source_replaces_the_old_one_once_it_has_every_day(make_house: MakeHouse) -> None:
    house = make_house({"a": (3,)}, later(2), "clickhouse")
    house.count(DAY + timedelta(days=1), DAY + timedelta(days=2))
    house.publish()
    assert read(house, BADGE)["message"] == "1.2k"
    house = make_house({"a": (3,)}, later(3), "clickhouse")
    house.count(DAY + timedelta(days=3), DAY + timedelta(days=3))
    house.publish()
    window = read(house, "a/counts.json")["windows"]["3"]
    assert (window["honest"], window.get("source")) == (300, None)
    assert read(house, BADGE)["message"] == "300"
    assert "are from another source" not in (house.output_dir / "a" / "index.html").read_text()
    assert [day.get("source") for day in read(house, "a/history.json")["days"]] == ["bigquery"] * 3 + [None] * 3
    assert "published_equals_store" not in red(house)


@pytest.mark.usefixtures("before")
def test_a_package_that_goes_back_to_its_source_has_no_day_of_another_name(make_house: MakeHouse) -> None:
    house = make_house({"a": (3,)}, later(1), "clickhouse")
    house.count(DAY + timedelta(days=1), DAY + timedelta(days=1))
    house.publish()
    house = make_house({"a": (3,)}, later(1), "bigquery")
    house.count(DAY + timedelta(days=1), DAY + timedelta(days=1))
    house.publish()
    assert [day.get("source") for day in read(house, "a/history.json")["days"]] == [None] * 4
    window = read(house, "a/counts.json")["windows"]["3"]
    assert (window["honest"], window.get("source")) == (900, None)


def test_each_source_has_a_store_of_its_own(before: House, make_house: MakeHouse) -> None:
    house = make_house({"a": (3,)}, kind="clickhouse")
    assert house.winnow.settings.store_folder != before.winnow.settings.store_folder
    assert before.winnow.raw.stored_days()
    assert not house.winnow.raw.stored_days()
