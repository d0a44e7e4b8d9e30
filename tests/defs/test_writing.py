"""What a run has computed is written under its own site's claim, and keeps the time at which the source was read."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.conftest import DAY, NOW, House, MakeHouse, RowSource, on_disk
from tests.rows import row
from winnow_dagster.core.coverage import Failure, Reading, Request
from winnow_dagster.core.names import Selector
from winnow_dagster.defs.resources import Installation
from winnow_dagster.defs.writing import open_web, store_answer
from winnow_dagster.files.errors import STAGED_PREFIX, NotOursError

RICH = Selector("rich")


@pytest.fixture
def house(make_house: MakeHouse, source: RowSource) -> House:
    source.rows = [row(DAY, "rich", downloads=3)]
    return make_house({"rich": (1,)})


def of_another_site(house: House) -> Installation:
    """Return an installation that publishes to the same directory from a data_dir of its own."""
    return Installation(
        replace(house.winnow.settings, data_dir=house.data_dir / "other"),
        house.winnow.clock,
        given_source=house.winnow.source,
    )


def test_the_directory_of_another_site_is_refused_before_anything_is_written(house: House) -> None:
    house.store(DAY, DAY)
    house.show()
    before = {path: path.read_bytes() for path in house.output_dir.rglob("*") if path.is_file()}
    other = House(of_another_site(house), house.opened)
    with pytest.raises(NotOursError, match="--adopt"), open_web(other.winnow):
        pytest.fail("the directory was given to another site")
    for asset in ("badges", "index"):
        assert not other.run(asset).success
    assert {path: path.read_bytes() for path in house.output_dir.rglob("*") if path.is_file()} == before


def test_a_reading_keeps_the_time_at_which_the_source_was_read(house: House) -> None:
    frame_of, read_at = house.winnow.source.read, NOW - timedelta(hours=3)
    for answer in frame_of([Request(RICH, DAY, DAY)]):
        assert isinstance(answer, Reading)
        store_answer(house.winnow, replace(answer, read_at=read_at))
    assert house.winnow.raw.coverages([DAY])[DAY].last_read(RICH) == read_at


def test_a_failure_is_stored_as_one(house: House) -> None:
    assert store_answer(house.winnow, Failure(Request(RICH, DAY, DAY), "the source is on fire")) == {}
    coverage = house.winnow.raw.coverages([DAY])[DAY]
    assert (coverage.last_read(RICH), len(coverage.failed)) == (None, 1)


def test_a_count_removes_what_a_dead_run_left_half_written(house: House) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    folder = on_disk(house.winnow.honest.folder)
    assert house.count(DAY, DAY).success
    left, living = (folder / f"{STAGED_PREFIX}{pid}-abcd" for pid in (int(dead.stdout), os.getpid()))
    for path in (left, living):
        path.touch()
    assert house.count(DAY, DAY).success
    assert (left.exists(), living.exists()) == (False, True)
