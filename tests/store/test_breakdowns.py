"""Breakdowns beside the days: they belong to the reading whose counts are stored, and outlive a crash."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from tests.rows import row, to_frame
from winnow_dagster.core.coverage import BREAKDOWN_SCHEMA, Reading, Request
from winnow_dagster.core.names import EVERYTHING, Selector
from winnow_dagster.store.raw import RawStore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from winnow_dagster.store.raw import RawStore

DAY = date(2026, 9, 1)
BEFORE = DAY - timedelta(days=1)
AT = datetime(2026, 9, 2, 3, tzinfo=UTC)
LATER = AT + timedelta(days=3)
A, B, PREFIX = Selector("x-a"), Selector("x-b"), Selector.parse("x-*")


def reading(
    selector: Selector, values: Mapping[str, int], *, day: date = DAY, dimensions: tuple[str, ...] = ("python",)
) -> Reading:
    """Return an answer: the downloads of each package that is selected, by each dimension's values."""
    names = [name for name in ("x-a", "x-b", "y") if selector.matches(name)]
    counts = to_frame(row(day, name, downloads=sum(values.values())) for name in names)
    rows = [
        (day, name, dimension, value, "pip", None, downloads)
        for name in names
        for dimension in dimensions
        for value, downloads in values.items()
    ]
    broken_down = pl.DataFrame(rows, schema=BREAKDOWN_SCHEMA, orient="row")
    return Reading([Request(selector, day, day, dimensions=dimensions)], counts, breakdowns=broken_down)


def values_of(store: RawStore, package: str = "x-a", day: date = DAY) -> dict[tuple[str, str], int] | None:
    """Return the stored downloads of a package by dimension and value; None if no dimension is known."""
    found = store.load_breakdowns([day])
    coverage = found.coverage.get(day)
    known = coverage.dimensions_of(Selector(package)) if coverage else frozenset()
    if not known:
        return None
    rows = found.of(day).filter(pl.col("package") == package, pl.col("dimension").is_in(list(known))).collect()
    return {(d, v): n for d, v, n in rows.select("dimension", "value", "downloads").iter_rows()}


@pytest.fixture
def store(tmp_path: Path) -> RawStore:
    return RawStore(tmp_path)


@pytest.mark.parametrize("is_merged", [False, True])
def test_the_breakdowns_of_a_reading_are_stored_with_it(store: RawStore, *, is_merged: bool) -> None:
    store.add_reading(reading(A, {"3.12": 5, "": 2}), AT)
    if is_merged:
        store.merge()
    assert values_of(store) == {("python", "3.12"): 5, ("python", ""): 2}
    assert values_of(store, "x-b") is None
    assert store.load([DAY]).counts.collect()["downloads"].to_list() == [7]
    assert store.damaged() == {}


def test_a_day_that_was_read_without_breakdowns_has_none_and_no_file_for_them(store: RawStore) -> None:
    store.add_reading(reading(A, {"3.12": 5}, dimensions=()), AT)
    store.merge()
    assert values_of(store) is None
    assert store.breakdowns.stored_days() == []


def test_what_was_not_asked_for_is_not_stored(store: RawStore) -> None:
    found = reading(PREFIX, {"3.12": 5})
    requests = [Request(A, DAY, DAY, dimensions=("python",)), Request(B, DAY, DAY)]
    store.add_reading(Reading(requests, found.counts, breakdowns=found.breakdowns), AT)
    store.merge()
    assert values_of(store) == {("python", "3.12"): 5}
    assert values_of(store, "x-b") is None
    assert store.load_breakdowns([DAY]).counts.collect()["package"].unique().to_list() == ["x-a"]


def test_a_later_reading_replaces_the_breakdowns_too(store: RawStore) -> None:
    store.add_reading(reading(A, {"3.12": 5}), AT)
    store.merge()
    store.add_reading(reading(A, {"3.12": 4, "3.13": 3}, dimensions=("python", "version")), LATER)
    for _ in range(2):
        assert values_of(store) == {
            ("python", "3.12"): 4, ("python", "3.13"): 3, ("version", "3.12"): 4, ("version", "3.13"): 3,
        }  # fmt: skip
        store.merge()


def test_a_later_reading_without_a_dimension_leaves_it_unknown(store: RawStore) -> None:
    store.add_reading(reading(A, {"3.12": 5}, dimensions=("python", "version")), AT)
    store.merge()
    store.add_reading(reading(A, {"3.12": 6}), LATER)
    store.merge()
    assert values_of(store) == {("python", "3.12"): 6}
    store.add_reading(reading(A, {"3.12": 7}, dimensions=()), LATER + timedelta(hours=1))
    store.merge()
    assert values_of(store) is None


def test_a_wider_reading_without_breakdowns_leaves_those_of_its_packages_unknown(store: RawStore) -> None:
    store.add_reading(reading(A, {"3.12": 5}), AT)
    store.add_reading(reading(PREFIX, {"3.12": 6}, dimensions=()), LATER)
    assert values_of(store) is None
    store.merge()
    assert values_of(store) is None
    store.add_reading(reading(A, {"3.13": 6}), LATER + timedelta(hours=1))
    store.merge()
    assert values_of(store) == {("python", "3.13"): 6}


def test_a_scan_of_all_packages_keeps_a_later_breakdown_of_one(store: RawStore) -> None:
    store.add_reading(reading(EVERYTHING, {"3.12": 5}, dimensions=()), AT)
    store.add_reading(reading(A, {"3.12": 5}), LATER)
    store.merge()
    assert values_of(store) == {("python", "3.12"): 5}
    assert values_of(store, "y") is None
    store.add_reading(reading(EVERYTHING, {"3.12": 6}), LATER + timedelta(hours=1))
    assert values_of(store) == values_of(store, "y") == {("python", "3.12"): 6}


def test_a_crash_between_the_two_files_of_a_day_loses_nothing(store: RawStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add_reading(reading(A, {"3.12": 5}), AT)
    store.merge()
    store.add_reading(reading(A, {"3.12": 9}), LATER)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(store.files, "write", crash)
        with pytest.raises(KeyboardInterrupt):
            store.merge()
    again = RawStore(store.files.folder.parent)
    for _ in range(2):
        assert values_of(again) == {("python", "3.12"): 9}
        assert again.load([DAY]).counts.collect()["downloads"].to_list() == [9]
        again.merge()


def test_a_damaged_file_of_breakdowns_makes_them_unknown_and_leaves_the_counts(store: RawStore, tmp_path: Path) -> None:
    store.add_reading(reading(A, {"3.12": 5}), AT)
    store.merge()
    (tmp_path / "breakdowns" / f"{DAY}.parquet").write_bytes(b"torn")
    again = RawStore(store.files.folder.parent)
    assert values_of(again) is None
    assert again.load([DAY]).counts.collect()["downloads"].to_list() == [5]
    assert list(again.damaged()) == [str(store.breakdowns.path(DAY))]
    again.clean_up()
    again.add_reading(reading(B, {"3.13": 1}), LATER)
    again.merge()
    assert (values_of(again), values_of(again, "x-b")) == (None, {("python", "3.13"): 1})


def test_days_have_their_breakdowns_apart(store: RawStore) -> None:
    store.add_reading(reading(A, {"3.12": 5}, day=BEFORE), AT)
    store.add_reading(reading(A, {"3.13": 6}), AT)
    store.merge()
    assert values_of(store, day=BEFORE) == {("python", "3.12"): 5}
    assert values_of(store) == {("python", "3.13"): 6}
    assert list(store.load_breakdowns([BEFORE, DAY]).by_day) == [BEFORE, DAY]
