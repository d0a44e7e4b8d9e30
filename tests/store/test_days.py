"""The store: a day's rows and its coverage are one file, topped up and never mixed up."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import on_disk
from tests.rows import row, to_frame
from winnow_dagster.core.categories import HONEST_SCHEMA, RAW_SCHEMA
from winnow_dagster.core.coverage import UNNAMED_SCHEMA, Coverage, Failure, Reading, ReadingFacts, Request
from winnow_dagster.core.names import Selector
from winnow_dagster.store.days import FORMAT, DayStore
from winnow_dagster.store.raw import RawStore

DAY, NEXT = date(2025, 6, 29), date(2025, 6, 30)
AT = datetime(2025, 7, 1, 4, tzinfo=UTC)
A, B, PREFIX = (Selector.parse(text) for text in ("a", "b", "a-*"))


@pytest.fixture
def store(tmp_path: Path) -> RawStore:
    return RawStore(tmp_path)


def reading(selector: Selector, *rows: tuple[date, str, int], last: date = NEXT) -> Reading:
    frame = to_frame(row(day, package, downloads=downloads) for day, package, downloads in rows)
    return Reading([Request(selector, DAY, last)], frame)


def stored(store: RawStore, *days: date) -> dict[tuple[date, str], int]:
    rows = store.load(days).counts.collect().iter_rows(named=True)
    return {(r["date"], r["package"]): r["downloads"] for r in rows}


def test_nothing_stored_is_no_coverage_and_no_rows(store: RawStore) -> None:
    assert store.stored_days() == []
    assert store.coverage(DAY) is None
    assert store.load([DAY]).counts.collect().schema == RAW_SCHEMA


def test_a_reading_without_rows_covers_its_days(store: RawStore) -> None:
    store.add_reading(reading(A), AT)
    assert store.stored_days() == [DAY, NEXT]
    covered = {day: coverage.read for day, coverage in store.load([DAY, NEXT]).coverage.items()}
    assert covered == {day: {A: AT} for day in (DAY, NEXT)}


def test_an_entry_that_failed_has_its_own_reason_before_that_of_a_wider_one(store: RawStore) -> None:
    for selector, why in ((PREFIX, "too dear"), (Selector("a-b"), "refused")):
        store.add_failure(Failure(Request(selector, DAY, DAY), why), AT)
    coverage = store.coverage(DAY) or Coverage()
    assert [coverage.failure(Selector(name)) for name in ("a-b", "a-c", "b")] == ["refused", "too dear", None]


def test_a_folder_whose_name_reads_as_a_glob_is_no_glob(tmp_path: Path) -> None:
    for name, downloads in (("of [1]", 1), ("of 1", 2)):
        RawStore(tmp_path / name).add_reading(reading(A, (DAY, "a", downloads)), AT)
    assert stored(RawStore(tmp_path / "of [1]"), DAY, NEXT) == {(DAY, "a"): 1}


def test_a_second_package_joins_the_first_and_a_second_reading_takes_the_place_of_the_first(store: RawStore) -> None:
    store.add_reading(reading(A, (DAY, "a", 1), (NEXT, "a", 2)), AT)
    store.add_reading(reading(B, (NEXT, "b", 3)), AT)
    store.add_reading(reading(A, (DAY, "a", 9)), AT)
    assert stored(store, DAY, NEXT) == {(DAY, "a"): 9, (NEXT, "b"): 3}


def test_a_prefix_takes_the_place_of_its_members_only(store: RawStore) -> None:
    store.add_reading(reading(Selector.parse("a-b"), (DAY, "a-b", 1), last=DAY), AT)
    store.add_reading(reading(A, (DAY, "a", 2), last=DAY), AT)
    store.add_reading(reading(PREFIX, (DAY, "a-c", 3), last=DAY), AT)
    assert stored(store, DAY) == {(DAY, "a"): 2, (DAY, "a-c"): 3}


def test_rows_that_no_request_of_the_day_asked_for_are_not_stored(store: RawStore) -> None:
    answer = reading(A, (DAY, "a", 1), (DAY, "b", 1), (NEXT, "a", 1))
    store.add_reading(Reading([Request(A, DAY, DAY)], answer.counts), AT)
    assert stored(store, DAY, NEXT) == {(DAY, "a"): 1}


def test_a_failure_is_noted_with_its_days_and_forgotten_once_they_are_read(store: RawStore) -> None:
    store.add_reading(reading(A, (DAY, "a", 1), last=DAY), AT)
    store.add_failure(Failure(Request(B, DAY, DAY), "why"), AT)
    coverage = store.coverage(DAY)
    assert coverage is not None
    assert coverage.failure(B) == "why"
    assert coverage.covers(A)
    assert not coverage.covers(B)
    store.add_reading(reading(B, last=DAY), AT)
    coverage = store.coverage(DAY)
    assert coverage is not None
    assert (coverage.read, coverage.failed) == ({A: AT, B: AT}, {})
    assert stored(store, DAY) == {(DAY, "a"): 1}


def test_another_stores_changes_are_seen(store: RawStore) -> None:
    store.add_reading(reading(A, last=DAY), AT)
    assert store.coverage(DAY) is not None
    RawStore(store.files.folder.parent).add_reading(reading(B, last=DAY), AT)
    coverage = store.coverage(DAY)
    assert coverage is not None
    assert coverage.covers(B)


@pytest.fixture
def damaged(store: RawStore) -> RawStore:
    """A store in which a day is about to be damaged, and has been read once before that."""
    store.add_reading(reading(A, (DAY, "a", 1), last=DAY), AT)
    store.merge()
    return RawStore(store.files.folder.parent)


def whys(store: RawStore) -> dict[str, str]:
    return {Path(name).name: why for name, why in store.damaged().items()}


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(50) + b"PAR1", b"{}"])
def test_a_damaged_day_counts_as_not_read_and_is_set_aside_by_the_next_reading(
    damaged: RawStore, content: bytes
) -> None:
    on_disk(damaged.path(DAY)).write_bytes(content)
    assert damaged.coverage(DAY) is None
    assert damaged.coverages([DAY]) == {}
    assert list(whys(damaged)) == [f"{DAY}.parquet"]
    damaged.add_reading(reading(A, (DAY, "a", 2), last=DAY), AT)
    damaged.merge()
    assert stored(damaged, DAY) == {(DAY, "a"): 2}
    aside = on_disk(damaged.files.folder) / f"{DAY}.parquet.corrupt"
    assert aside.read_bytes() == content
    assert "was set aside" in whys(damaged)[aside.name]
    aside.unlink()
    assert whys(damaged) == {}


def test_a_day_cut_off_anywhere_or_with_any_byte_changed_is_not_read(damaged: RawStore) -> None:
    whole = on_disk(damaged.path(DAY)).read_bytes()
    places = [*range(0, len(whole), 7), *range(len(whole) - 8, len(whole))]
    spoiled = [whole[:at] for at in places]
    spoiled += [whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :] for at in places]
    for content in spoiled:
        on_disk(damaged.path(DAY)).write_bytes(content)
        assert RawStore(damaged.files.folder.parent).coverage(DAY) is None


def test_a_day_of_another_schema_or_format_is_not_read_and_says_so(damaged: RawStore) -> None:
    newer = json.dumps({"format": 99, "rules": "", "read": {"a": AT.isoformat()}, "failed": {}, "crc32": "0"})
    RAW_SCHEMA.to_frame().write_parquet(on_disk(damaged.path(DAY)), metadata={"winnow": newer})
    assert whys(damaged) == {f"{DAY}.parquet": f"is of format 99, and this version of Winnow reads {FORMAT}"}
    assert damaged.coverage(DAY) is None
    on_disk(damaged.path(DAY)).unlink()
    DayStore(damaged.files.folder, HONEST_SCHEMA).write(DAY, HONEST_SCHEMA.to_frame(), Coverage(read={A: AT}))
    assert "has the columns date, package, category" in whys(damaged)[f"{DAY}.parquet"]


def test_tidying_sets_aside_what_is_damaged_and_leaves_what_is_sound(damaged: RawStore) -> None:
    damaged.add_reading(Reading([Request(A, NEXT, NEXT)], RAW_SCHEMA.to_frame()), AT)
    damaged.merge()
    on_disk(damaged.path(DAY)).write_bytes(b"")
    damaged.clean_up()
    assert damaged.stored_days() == [NEXT]


@pytest.mark.parametrize("later", [AT - timedelta(hours=1), AT, AT + timedelta(hours=1)])
def test_a_second_reading_has_a_stamp_of_its_own_whatever_the_clock_says(store: RawStore, later: datetime) -> None:
    store.add_reading(reading(A, last=DAY), AT)
    before = store.coverage(DAY)
    store.add_reading(reading(A, last=DAY), later)
    after = store.coverage(DAY)
    assert before
    assert after
    assert not after.within(before).covers(A)


def test_a_reading_of_fewer_source_rows_does_not_replace_one_of_more(store: RawStore) -> None:
    store.add_reading(replace(reading(A, (DAY, "a", 9), last=DAY), source_rows={DAY: 100}), AT)
    store.add_reading(replace(reading(A, (DAY, "a", 1), last=DAY), source_rows={DAY: 99}), AT)
    assert stored(store, DAY) == {(DAY, "a"): 9}
    store.add_reading(replace(reading(A, (DAY, "a", 12), last=DAY), source_rows={DAY: 120}), AT)
    assert stored(store, DAY) == {(DAY, "a"): 12}


def test_a_stamp_in_the_future_is_replaced_even_where_the_counts_stay(store: RawStore) -> None:
    store.add_reading(replace(reading(A, (DAY, "a", 9), last=DAY), source_rows={DAY: 100}), AT + timedelta(days=2))
    store.add_reading(replace(reading(A, (DAY, "a", 1), last=DAY), source_rows={DAY: 99}), AT)
    assert stored(store, DAY) == {(DAY, "a"): 9}
    coverage = store.coverage(DAY)
    assert coverage is not None
    assert coverage.read == {A: AT}


def test_a_wider_reading_is_newer_than_a_stamp_in_the_future_that_it_covers(store: RawStore) -> None:
    member = Selector.parse("a-b")
    store.add_reading(reading(member, (DAY, "a-b", 5), last=DAY), AT + timedelta(days=2))
    store.add_reading(reading(PREFIX, (DAY, "a-b", 65), last=DAY), AT)
    coverage = store.coverage(DAY)
    assert coverage is not None
    assert coverage.last_read(member) == AT
    assert stored(store, DAY) == {(DAY, "a-b"): 65}


def test_what_is_known_of_a_reading_is_stored_with_it(store: RawStore) -> None:
    unnamed = pl.DataFrame([(DAY, "a", 3), (DAY, "b", 4)], UNNAMED_SCHEMA, orient="row")
    answer = replace(reading(A, (DAY, "a", 9), last=DAY), source_rows={DAY: 100}, unnamed=unnamed)
    store.add_reading(replace(answer, short_days=frozenset([DAY])), AT)
    coverage = RawStore(store.files.folder.parent).coverage(DAY)
    assert coverage is not None
    assert coverage.facts_of(A) == ReadingFacts(source_rows=100, downloads=9, unnamed=3, is_short=True)


def test_a_file_of_a_day_that_is_none_is_passed_over(store: RawStore) -> None:
    store.add_reading(reading(A, last=DAY), AT)
    store.merge()
    (on_disk(store.files.folder) / "2025-02-30.parquet").touch()
    assert store.stored_days() == [DAY]
