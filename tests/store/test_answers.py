"""Answers that wait: stored at once, covered at once, merged once, and never over a later reading."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.rows import row, to_frame
from winnow_dagster.core.coverage import Coverage, Failure, Reading, Request, days_between
from winnow_dagster.core.names import EVERYTHING, Selector
from winnow_dagster.files import operations
from winnow_dagster.store.raw import RawStore

DAYS = days_between(date(2026, 6, 28), date(2026, 6, 30))
AT = datetime(2026, 7, 1, 4, tzinfo=UTC)
A, MEMBER, PREFIX = (Selector.parse(text) for text in ("a", "a-b", "a-*"))
HOUR = timedelta(hours=1)

State = dict[date, tuple[Coverage, list[tuple[str, int]]]]
"""The coverage of each day, and its downloads by package."""


class Killed(BaseException):
    """The process dies."""


@pytest.fixture
def store(tmp_path: Path) -> RawStore:
    return RawStore(tmp_path)


def reading(selector: Selector, downloads: int, *packages: str, over: list[date] = DAYS) -> Reading:
    rows = [row(day, package, downloads=downloads) for day in over for package in packages or [str(selector)]]
    return Reading([Request(selector, over[0], over[-1])], to_frame(rows))


def failure(selector: Selector, why: str = "why") -> Failure:
    return Failure(Request(selector, DAYS[0], DAYS[-1]), why)


def state(folder: Path) -> State:
    """Return all that another process finds in a store."""
    store = RawStore(folder)
    found = store.load(store.stored_days())
    assert found.coverage == store.coverages(store.stored_days())
    assert found.coverage == {day: store.coverage(day) for day in store.stored_days()}
    by_day = {day: found.of(day).collect() for day in found.coverage}
    assert downloads(pl.concat(by_day.values())) == downloads(found.counts.collect())
    return {day: (found.coverage[day], downloads(rows)) for day, rows in by_day.items()}


def downloads(counts: pl.DataFrame) -> list[tuple[str, int]]:
    return sorted((each["package"], each["downloads"]) for each in counts.iter_rows(named=True))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def dying_after(writes: int, patch: pytest.MonkeyPatch) -> None:
    """Let the process die once it has written or removed so many files."""
    left = iter(range(writes - 1))

    def dying(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*args: Any) -> Any:
            done = change(*args)
            if next(left, None) is None:
                raise Killed
            return done

        return changed

    for module, name in (("answers", "replace_file"), ("answers", "remove"), ("days", "replace_file")):
        patch.setattr(f"winnow_dagster.store.{module}.{name}", dying(getattr(operations, name)))


def kills(fill: Callable[[], None]) -> Iterator[int]:
    """Run a fill again and again, killed after its first write, its second and so on, until it ends."""
    for writes in range(1, 100):
        with pytest.MonkeyPatch.context() as patch:
            dying_after(writes, patch)
            try:
                fill()
            except Killed:
                pass
            else:
                return
        yield writes


def test_an_answer_is_one_file_until_a_merge_writes_each_day_once(store: RawStore, tmp_path: Path) -> None:
    for n in range(5):
        store.add_reading(reading(Selector(f"p{n}"), 1), AT)
    waiting = state(tmp_path)
    assert [path.split("/")[0] for path in files(tmp_path)] == ["answers"] * 5
    store.merge()
    assert sorted(files(tmp_path)) == [f"raw_downloads/{day}.parquet" for day in DAYS]
    assert state(tmp_path) == waiting
    assert [coverage.read.keys() for coverage, _ in waiting.values()] == [{Selector(f"p{n}") for n in range(5)}] * 3


def test_a_kill_after_any_write_of_a_fill_leaves_all_covered_that_was_answered(tmp_path: Path) -> None:
    answered: list[Selector] = []

    def fill() -> None:
        shutil.rmtree(tmp_path)
        answered.clear()
        store = RawStore(tmp_path)
        for name in ("a", "b", "c"):
            answered.append(Selector(name))
            store.add_reading(reading(Selector(name), 1), AT)
        store.merge()

    fill()
    expected = state(tmp_path)
    killed = 0
    for _ in kills(fill):
        killed += 1
        for _ in range(2):
            found = state(tmp_path)
            assert all(set(coverage.read) == set(answered) for coverage, _ in found.values())
            assert list(found) == DAYS
            assert len(answered) < 3 or found == expected
            # Another worker merges what the dead one left.
            RawStore(tmp_path).merge()
        assert not [path for path in files(tmp_path) if path.startswith("answers")]
    assert killed == 3 + len(DAYS) + 3


def test_merging_a_second_time_changes_no_file(store: RawStore, tmp_path: Path) -> None:
    for answer in (reading(A, 1), reading(PREFIX, 2, "a-b", "a-c"), reading(MEMBER, 3)):
        store.add_reading(answer, AT)
    store.add_failure(failure(Selector("b")), AT)
    store.add_failure(failure(A), AT)
    store.add_reading(reading(A, 4), AT)
    shutil.copytree(tmp_path / "answers", tmp_path / "before")
    store.merge()
    merged, stamps = files(tmp_path / "raw_downloads"), [p.stat().st_mtime_ns for p in tmp_path.glob("raw*/*")]
    shutil.rmtree(tmp_path / "answers")
    (tmp_path / "before").rename(tmp_path / "answers")
    RawStore(tmp_path).merge()
    assert files(tmp_path) == {f"raw_downloads/{name}": content for name, content in merged.items()}
    assert [p.stat().st_mtime_ns for p in tmp_path.glob("raw*/*")] == stamps


@pytest.mark.parametrize("first", [A, MEMBER])
@pytest.mark.parametrize("second", [MEMBER, PREFIX])
@pytest.mark.parametrize("third", [MEMBER, PREFIX])
def test_a_merge_that_was_cut_off_after_the_clock_went_back_is_repeated_without_a_change(
    store: RawStore, tmp_path: Path, first: Selector, second: Selector, third: Selector
) -> None:
    """By its stamp alone, the first answer seems the newest of all."""
    for n, (selector, at) in enumerate([(first, AT + HOUR), (second, AT), (third, AT + HOUR / 2)]):
        store.add_reading(reading(selector, n + 1, "a-b" if selector == PREFIX else str(selector)), at)
    shutil.copytree(tmp_path / "answers", tmp_path / "before")
    store.merge()
    merged = state(tmp_path)
    left = sorted(path.name for path in (tmp_path / "before").iterdir())
    while left:
        for name in left:
            shutil.copy(tmp_path / "before" / name, tmp_path / "answers" / name)
        assert state(tmp_path) == merged
        RawStore(tmp_path).merge()
        assert state(tmp_path) == merged
        # As `remove` does: the oldest is the first to go.
        del left[0]


def test_a_failure_before_the_clock_went_back_does_not_return_with_a_merge_that_is_repeated(
    store: RawStore, tmp_path: Path
) -> None:
    store.add_failure(failure(MEMBER), AT + HOUR)
    store.add_reading(reading(PREFIX, 1, "a-b"), AT)
    shutil.copytree(tmp_path / "answers", tmp_path / "before")
    store.merge()
    merged = state(tmp_path)
    shutil.copytree(tmp_path / "before", tmp_path / "answers", dirs_exist_ok=True)
    assert state(tmp_path) == merged
    assert not any(coverage.failed for coverage, _ in merged.values())


def test_a_failure_that_waits_does_not_bring_the_counts_of_its_days_into_memory(
    store: RawStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add_reading(reading(EVERYTHING, 1, "a", "b"), AT)
    store.add_failure(failure(A), AT + HOUR)
    with monkeypatch.context() as patch:
        patch.setattr(pl.LazyFrame, "collect", lambda *_: pytest.fail("the counts are read"))
        found = RawStore(tmp_path).load(DAYS)
    assert [coverage.failed for coverage in found.coverage.values()] == [{A: "why"}] * 3
    assert downloads(found.counts.collect()) == [("a", 1)] * 3 + [("b", 1)] * 3


def test_after_the_clock_went_back_the_oldest_answer_is_the_first_to_go(
    store: RawStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: list[str] = []
    another = threading.Event()

    def note(place: Path) -> None:
        if place.name.startswith("000001"):
            # If another goes at the same time, let it.
            another.wait(0.05)
        another.set()
        gone.append(place.name[:6])
        operations.remove(place)

    monkeypatch.setattr("winnow_dagster.store.answers.remove", note)
    store.add_reading(reading(A, 1), AT + HOUR)
    store.add_reading(reading(A, 2), AT)
    store.merge()
    assert gone == ["000001", "000002"]


@pytest.mark.parametrize("later", [A, Selector.parse("*")])
def test_an_older_answer_that_was_left_behind_never_replaces_a_later_reading(
    store: RawStore, tmp_path: Path, later: Selector
) -> None:
    overtaken = RawStore(tmp_path)
    store.add_reading(reading(later, 9, "a"), AT + HOUR)
    store.merge()
    before = state(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        # It slept since it looked at the days, and does not see what was read since.
        patch.setattr(overtaken, "_before", lambda _: dict.fromkeys(DAYS, Coverage()))
        overtaken.add_reading(reading(A, 1), AT)
        overtaken.add_failure(failure(A), AT)
    assert state(tmp_path) == before
    store.merge()
    assert state(tmp_path) == before


def test_an_older_answer_for_a_prefix_leaves_a_later_reading_of_a_member(store: RawStore, tmp_path: Path) -> None:
    overtaken = RawStore(tmp_path)
    store.add_reading(reading(MEMBER, 9), AT + HOUR)
    store.merge()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overtaken, "_before", lambda _: dict.fromkeys(DAYS, Coverage()))
        overtaken.add_reading(reading(PREFIX, 1, "a-b", "a-c"), AT)
    for _ in range(2):
        for coverage, rows in state(tmp_path).values():
            assert coverage.read == {MEMBER: AT + HOUR, PREFIX: AT}
            assert rows == [("a-b", 9), ("a-c", 1)]
        store.merge()


@pytest.mark.slow(20)
def test_waiting_answers_are_what_merging_after_each_would_have_stored(tmp_path: Path) -> None:
    """Of any order of readings and failures, wide and narrow, by clocks that go wrong."""
    selectors = [A, MEMBER, Selector("a-c"), PREFIX, Selector("b")]
    for seed in range(20):
        chance = random.Random(seed)
        at_once, waiting = tmp_path / f"{seed}-at-once", tmp_path / f"{seed}-waiting"
        stores = RawStore(at_once), RawStore(waiting)
        for n in range(8):
            selector, at = chance.choice(selectors), AT + chance.choice([n * HOUR, timedelta(), -HOUR, 99 * HOUR])
            over = sorted(chance.sample(DAYS, 2))
            names = ["a-b", "a-c", "a-d"] if selector == PREFIX else [str(selector)]
            answer = replace(reading(selector, n + 1, *names, over=over), source_rows={over[0]: chance.choice([8, 9])})
            fails = chance.random() < 0.2
            for store in stores:
                if fails:
                    store.add_failure(failure(selector, f"{n}"), at)
                else:
                    store.add_reading(answer, at)
            stores[0].merge()
            if chance.random() < 0.2:
                stores[1].merge()
            assert state(waiting) == state(at_once), f"seed {seed}"
        stores[1].merge()
        assert state(waiting) == state(at_once), f"seed {seed}"


def test_what_a_second_reading_has_more_is_told_before_it_is_merged(store: RawStore) -> None:
    assert store.add_reading(reading(A, 5), AT) == {}
    assert store.add_reading(reading(A, 7, over=DAYS[:1]), AT + HOUR) == {DAYS[0]: 2}
    store.merge()
    assert store.add_reading(reading(A, 4, over=DAYS[:2]), AT + 2 * HOUR) == {DAYS[0]: -3, DAYS[1]: -1}
    store.add_reading(reading(PREFIX, 5, "a-b"), AT)
    assert store.add_reading(reading(MEMBER, 6), AT + HOUR) == dict.fromkeys(DAYS, 1)


def test_a_scan_goes_into_the_days_at_once_after_what_waits(store: RawStore, tmp_path: Path) -> None:
    store.add_reading(reading(A, 1), AT)
    store.add_reading(reading(EVERYTHING, 9, "a", "b", over=DAYS[:2]), AT + HOUR)
    assert not list((tmp_path / "answers").iterdir())
    found = state(tmp_path)
    assert [[n for _, n in rows] for _, rows in found.values()] == [[9, 9], [9, 9], [1]]


def test_a_damaged_answer_counts_as_not_read_and_is_set_aside(store: RawStore, tmp_path: Path) -> None:
    store.add_reading(reading(A, 1), AT)
    store.add_reading(reading(Selector("b"), 2), AT)
    (first, second) = sorted((tmp_path / "answers").iterdir())
    whole = first.read_bytes()
    for at in [*range(0, len(whole), 37), *range(len(whole) - 8, len(whole))]:
        for content in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :]):
            first.write_bytes(content)
            found = RawStore(tmp_path)
            coverage = found.coverage(DAYS[0])
            assert coverage is not None
            assert set(coverage.read) == {Selector("b")}
    assert list(found.damaged()) == [str(first)]
    found.clean_up()
    found.merge()
    assert sorted(path.name for path in (tmp_path / "answers").iterdir()) == [f"{first.name}.corrupt"]
    assert list(found.damaged()) == [f"{first}.corrupt"]
    assert not second.exists()
    assert {name for _, rows in state(tmp_path).values() for name, _ in rows} == {"b"}


def test_a_short_day_that_was_not_asked_for_is_there_and_covers_nothing(store: RawStore, tmp_path: Path) -> None:
    store.add_failure(Failure(Request(A, DAYS[0], DAYS[0]), "short", is_short=True), AT)
    assert state(tmp_path) == {DAYS[0]: (Coverage(), [])}
    store.merge()
    assert state(tmp_path) == {DAYS[0]: (Coverage(), [])}


def test_threads_that_read_while_answers_come_and_are_merged_see_each_at_once(tmp_path: Path) -> None:
    writer, reader = RawStore(tmp_path), RawStore(tmp_path)
    writer.add_reading(reading(A, 1), AT)

    def look(_: int) -> set[bool]:
        return {coverage.covers(A) for coverage in reader.coverages(DAYS).values()} | {len(reader.stored_days()) == 3}

    with ThreadPoolExecutor(4) as pool:
        looks = [pool.submit(look, n) for n in range(100)]
        for n in range(10):
            writer.add_reading(reading(Selector(f"p{n}"), 1), AT)
            if n % 3 == 0:
                writer.merge()
        assert {seen for each in looks for seen in each.result()} == {True}
