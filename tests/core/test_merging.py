"""Merging: answers become the coverage and the counts of a day, in any batches, twice or not, and never backwards."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rows import row, to_frame
from winnow_dagster.core.answers import WaitingAnswer, answer_from_failure, answer_from_reading
from winnow_dagster.core.coverage import (
    NOTHING,
    UNNAMED_SCHEMA,
    Coverage,
    Failure,
    Reading,
    ReadingFacts,
    Request,
)
from winnow_dagster.core.merging import (
    ANSWER_COLUMN,
    merge_counts,
    merge_coverage,
)
from winnow_dagster.core.names import EVERYTHING, Selector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.rows import Row

DAY = date(2025, 6, 30)
BEFORE = DAY - timedelta(days=1)
AT = datetime(2025, 7, 1, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
A, B = Selector("x-a"), Selector("x-b")
PREFIX = Selector("x-", is_prefix=True)
PACKAGES = ("x-a", "x-b", "y")

Merged = tuple[Coverage, dict[str, int]]


def reading(*selectors: Selector, downloads: int = 1, rows: int | None = None) -> Reading:
    """Return an answer for DAY with so many downloads of each package that is asked for."""
    counts = to_frame(
        row(DAY, name, downloads=downloads) for name in PACKAGES if any(s.matches(name) for s in selectors)
    )
    source_rows = {} if rows is None else {DAY: rows}
    return Reading([Request(s, DAY, DAY) for s in selectors], counts, source_rows=source_rows)


def merge(before: Merged, answers: Sequence[tuple[WaitingAnswer, pl.DataFrame | None]]) -> Merged:
    coverage, replacements = merge_coverage(DAY, before[0], [answer for answer, _ in answers])
    frames = [
        counts.filter(pl.col("date") == DAY).with_columns(pl.lit(at).alias(ANSWER_COLUMN))
        for at, (_, counts) in enumerate(answers)
        if counts is not None
    ]
    fresh = pl.concat(frames) if frames else to_frame([]).with_columns(pl.lit(0).alias(ANSWER_COLUMN))
    stored = to_frame(row(DAY, name, downloads=count) for name, count in before[1].items())
    merged = merge_counts(stored, replacements, fresh)
    assert merged["package"].is_unique().all()
    return coverage, dict(merged.select("package", "downloads").iter_rows())


EMPTY: Merged = (NOTHING, {})


def answer(found: Reading, at: datetime = AT) -> tuple[WaitingAnswer, pl.DataFrame | None]:
    return answer_from_reading(found, at, {})[:2]


def failure(selector: Selector, at: datetime = AT) -> tuple[WaitingAnswer, pl.DataFrame | None]:
    return answer_from_failure(Failure(Request(selector, DAY, DAY), "on fire"), at, {}), None


def missing(coverage: Coverage) -> dict[Selector, str]:
    """Return why selectors that are not covered are not."""
    return {selector: why for selector, why in coverage.failed.items() if not coverage.covers(selector)}


selectors = st.sampled_from([A, B, Selector("y"), PREFIX, EVERYTHING])


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[WaitingAnswer, pl.DataFrame | None]]:
    """Draw answers in order of arrival, some of them for several selectors, and some of them stamped out of order."""
    found = []
    for n in range(draw(st.integers(1, 5))):
        at = AT + draw(st.integers(0, 5)) * HOUR + timedelta(seconds=n)
        asked = sorted(draw(st.sets(selectors, min_size=1, max_size=2)))
        is_failure = draw(st.integers(0, 3)) == 0
        found.append(failure(asked[0], at) if is_failure else answer(reading(*asked, downloads=n + 1), at))
    return found


@settings(max_examples=40)
@given(arrivals(), st.data())
def test_answers_merged_at_once_or_in_batches_are_the_same_day(
    answers: list[tuple[WaitingAnswer, pl.DataFrame | None]], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(answers)))
    assert merge(EMPTY, answers) == merge(merge(EMPTY, answers[:cut]), answers[cut:])


@settings(max_examples=40)
@given(arrivals())
def test_answers_merged_twice_are_merged_once(answers: list[tuple[WaitingAnswer, pl.DataFrame | None]]) -> None:
    once, counts = merge(EMPTY, answers)
    twice = merge((once, counts), answers)
    assert twice[1] == counts
    assert (twice[0].read, twice[0].facts) == (once.read, once.facts)
    # Of what is covered, a failure says nothing.
    assert missing(twice[0]) == missing(once)


@settings(max_examples=40)
@given(arrivals())
def test_each_package_has_its_count_of_the_latest_reading_that_covers_it(
    answers: list[tuple[WaitingAnswer, pl.DataFrame | None]],
) -> None:
    _, counts = merge(EMPTY, answers)
    for name in PACKAGES:
        read = [
            (found.at, counted.filter(package=name)["downloads"].item())
            for found, counted in answers
            if counted is not None and any(r.selector.matches(name) for r in found.requests)
        ]
        assert counts.get(name) == max(read, default=(AT, None))[1]


def test_an_answer_has_only_the_counts_that_were_asked_for() -> None:
    rows: list[Row] = [row(day, name) for day in (BEFORE, DAY) for name in PACKAGES]
    found = Reading([Request(A, DAY, DAY), Request(Selector("y"), BEFORE, DAY)], to_frame(rows))
    waiting, counts, _ = answer_from_reading(found, AT, {})
    assert set(counts.select("date", "package").iter_rows()) == {(DAY, "x-a"), (BEFORE, "y"), (DAY, "y")}
    assert waiting.days() == [BEFORE, DAY]
    assert {day: set(facts) for day, facts in waiting.facts.items()} == {
        BEFORE: {Selector("y")},
        DAY: {A, Selector("y")},
    }


def test_the_facts_of_a_reading_are_those_of_each_selector_and_day() -> None:
    rows = [row(DAY, "x-a", downloads=2), row(DAY, "x-a", installer="uv", downloads=3), row(DAY, "x-b", downloads=4)]
    unnamed = pl.DataFrame({"date": [DAY], "package": ["x-b"], "rows": [7]}, schema=UNNAMED_SCHEMA)
    requests = [Request(A, BEFORE, DAY), Request(PREFIX, DAY, DAY)]
    found = Reading(requests, to_frame(rows), unnamed=unnamed, source_rows={DAY: 99}, short_days=frozenset([DAY]))
    facts = answer_from_reading(found, AT, {})[0].facts
    assert facts[BEFORE] == {A: ReadingFacts(None, 0)}
    assert facts[DAY] == {A: ReadingFacts(99, 5, 0, is_short=True), PREFIX: ReadingFacts(99, 9, 7, is_short=True)}


def test_a_stamp_that_a_reading_of_the_same_selector_has_is_not_given_again() -> None:
    stored = {DAY: Coverage({A: AT, B: AT + timedelta(microseconds=1)})}
    assert answer_from_reading(reading(A), AT, stored)[0].at == AT + timedelta(microseconds=1)
    assert answer_from_reading(reading(A, B), AT, stored)[0].at == AT + timedelta(microseconds=2)
    assert answer_from_reading(reading(Selector("y")), AT, stored)[0].at == AT


def test_a_failure_leaves_what_is_covered_and_gives_its_reason() -> None:
    read = merge(EMPTY, [answer(reading(A))])
    coverage, counts = merge(read, [failure(A, AT + HOUR), failure(B, AT + HOUR)])
    assert counts == read[1]
    assert coverage.covers(A)
    assert (coverage.failure(A), coverage.failure(B)) == ("on fire", "on fire")
    assert merge((coverage, counts), [answer(reading(PREFIX), AT + 2 * HOUR)])[0].failed == {}


def test_a_failure_is_of_the_days_that_were_asked_for() -> None:
    waiting = answer_from_failure(Failure(Request(A, BEFORE, BEFORE), "on fire"), AT, {})
    assert merge_coverage(DAY, NOTHING, [waiting])[0] == NOTHING


def test_an_older_failure_says_nothing_of_a_later_reading() -> None:
    read = merge(EMPTY, [answer(reading(PREFIX), AT + HOUR)])
    assert merge(read, [failure(A)]) == read


def test_a_short_day_that_was_not_asked_for_is_neither_read_nor_failed() -> None:
    waiting = answer_from_failure(Failure(Request(A, DAY, DAY), "rows are lost", is_short=True), AT, {})
    assert merge_coverage(DAY, NOTHING, [waiting]) == (NOTHING, [])


def test_a_reading_of_fewer_source_rows_does_not_replace_one_of_more() -> None:
    read = merge(EMPTY, [answer(reading(PREFIX, downloads=5, rows=100))])
    assert merge(read, [answer(reading(A, downloads=4, rows=99), AT + HOUR)]) == read
    assert merge(read, [answer(reading(A, downloads=6, rows=100), AT + HOUR)])[1] == {"x-a": 6, "x-b": 5}
    assert merge(read, [answer(reading(A, downloads=7), AT + HOUR)])[1] == {"x-a": 7, "x-b": 5}


def test_an_older_wide_reading_fills_in_only_what_no_later_one_has() -> None:
    read = merge(EMPTY, [answer(reading(A, downloads=9), AT + HOUR)])
    coverage, counts = merge(read, [answer(reading(EVERYTHING, downloads=1))])
    assert counts == {"x-a": 9, "x-b": 1, "y": 1}
    assert coverage.read == {A: AT + HOUR, EVERYTHING: AT}


def test_a_clock_that_was_ahead_does_not_keep_its_reading_from_being_replaced() -> None:
    ahead = {DAY: Coverage({A: AT + 24 * HOUR})}
    before: Merged = (ahead[DAY], {"x-a": 9})
    late = answer_from_reading(reading(A, downloads=2), AT, ahead)[:2]
    coverage, counts = merge(before, [late])
    assert (coverage.read, counts) == ({A: AT}, {"x-a": 2})


def test_counts_by_an_older_definition_go_once_they_are_read_again() -> None:
    before = Coverage(legacy={A: AT, Selector("y"): AT})
    coverage, _ = merge_coverage(DAY, before, [answer(reading(PREFIX), AT + HOUR)[0]])
    assert coverage.legacy == {Selector("y"): AT}
    assert coverage.read == {PREFIX: AT + HOUR}
