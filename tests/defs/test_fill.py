"""A fill that dies leaves no answer unused, and nobody asks for what waits to be merged."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.buckets import MakeInBuckets, gcs_backend, house_of, s3_backend, service
from tests.conftest import DAY, House, MakeHouse, RowSource
from tests.rows import row
from winnow_dagster.core.coverage import Failure, Reading, Request
from winnow_dagster.core.names import Selector
from winnow_dagster.defs import checks
from winnow_dagster.files import operations

__all__ = ["gcs_backend", "house_of", "s3_backend", "service"]

NAMES = ("a", "b", "c")
FIRST = DAY - timedelta(days=2)
DAYS = [FIRST + timedelta(days=n) for n in range(3)]


class Killed(BaseException):
    """The process dies."""


@pytest.fixture
def make(make_house: MakeHouse) -> Callable[[], House]:
    make_house.source.rows = [row(day, name, downloads=100) for day in DAYS for name in NAMES]
    return lambda: make_house(dict.fromkeys(NAMES, (3,)))


def fill(house: House) -> None:
    """Read what is missing, as a run does."""
    for answer in house.winnow.fetch(house.winnow.settings.days_of_longest_window(DAY), (), refetch=False):
        if isinstance(answer, Failure):
            house.winnow.raw.add_failure(answer, house.winnow.clock.now())
        else:
            house.winnow.raw.add_reading(answer, house.winnow.clock.now())


def die_after(writes: int, patch: pytest.MonkeyPatch) -> None:
    """Let the process die once it has written or removed so many files of the store."""
    left = itertools.count(1)

    def dying(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*args: Any) -> Any:
            done = change(*args)
            if next(left) >= writes:
                raise Killed
            return done

        return changed

    for module, name in (("answers", "replace_file"), ("answers", "remove"), ("days", "replace_file")):
        patch.setattr(f"winnow_dagster.store.{module}.{name}", dying(getattr(operations, name)))


def fill_and_die(house: House, writes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        die_after(writes, patch)
        with pytest.raises(Killed):
            fill(house)


@pytest.mark.parametrize("writes", range(1, 10))
def test_a_fill_that_is_killed_asks_for_the_rest_only(
    make: Callable[[], House], source: RowSource, writes: int
) -> None:
    fill_and_die(make(), writes)
    asked = [str(request.selector) for request in source.asked]
    assert asked == list(NAMES[: min(writes, 3)])
    # Another worker, with a memory of its own.
    after = make()
    found = after.winnow.raw.coverages(DAYS)
    assert {day: {str(s) for s in coverage.read} for day, coverage in found.items()} == {d: set(asked) for d in DAYS}
    fill(after)
    assert [str(request.selector) for request in source.asked] == list(NAMES)
    assert after.winnow.raw.load(DAYS).counts.collect()["downloads"].sum() == 900
    assert not list((after.data_dir / "parquet" / "answers").iterdir())


def test_what_waits_counts_as_covered_for_gaps_and_checks_and_the_counts_follow(
    make: Callable[[], House], source: RowSource
) -> None:
    source.failing = {"c"}
    fill_and_die(make(), writes=3)
    house = make()
    assert list(house.winnow.raw.stored_days()) == DAYS
    (damaged,) = (check for check in checks.CHECKS if check.name == "no_damaged_days")
    assert damaged.judge(house.winnow).looked_at == len(DAYS)
    assert house.winnow.missing()["c"].endswith("the source is on fire. Put it out")
    # The honest counts of what waits are missing, and reading the gap only merges it.
    (gap,) = house.winnow.gaps([Selector("a"), Selector("b")])
    source.asked.clear()
    assert house.run("raw_downloads", "honest_downloads", days=(gap.first, gap.last), packages=["a", "b"]).success
    assert source.asked == []
    assert house.winnow.gaps([Selector("a"), Selector("b")]) == []
    (sums,) = (check for check in checks.CHECKS if check.name == "categories_sum_to_raw")
    assert sums.judge(house.winnow).bad == {}


@pytest.mark.parametrize("minutes", [-60, 0, 60])
def test_an_answer_that_was_stored_before_its_run_died_is_no_answer_to_a_reread(
    make: Callable[[], House], source: RowSource, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    house = make()
    fill(house)
    source.asked.clear()
    (stored,) = set(house.winnow.raw.coverages([DAY])[DAY].read.values())
    recover, source.paid = source.recover, [Request(Selector("a"), FIRST, DAY)]
    at = stored + timedelta(minutes=minutes)

    def recover_as_of(asked: Sequence[Request]) -> list[Reading]:
        return [replace(answer, read_at=at) for answer in recover(asked) if isinstance(answer, Reading)]

    monkeypatch.setattr(source, "recover", recover_as_of)
    for answer in house.winnow.fetch(DAYS, ["a"], refetch=True):
        assert isinstance(answer, Reading)
        house.winnow.raw.add_reading(answer, answer.read_at or house.winnow.clock.now())
    # A query that was sent after the last reading answers it.
    assert len(source.asked) == (minutes <= 0)


def test_in_a_bucket_another_worker_merges_what_a_dead_one_left(house_of: MakeInBuckets, source: RowSource) -> None:
    counts = [(name, 10) for name in NAMES]
    dead = house_of(counts)
    fill_and_die(dead, writes=2)
    after = house_of(counts)
    assert after.count(DAY, DAY).success
    assert [str(request.selector) for request in source.asked] == list(NAMES)
    coverage = after.winnow.honest.coverage(DAY)
    assert coverage is not None
    assert {str(selector) for selector in coverage.read} == set(NAMES)


def test_pages_say_why_a_day_is_missing_whose_failure_waits(make: Callable[[], House], source: RowSource) -> None:
    source.failing = {"a"}
    fill_and_die(make(), writes=3)
    house = make()
    assert house.run("badges").success
    (state,) = house.winnow.published()["a"]
    assert state.problem == f"{DAY} could not be read"
