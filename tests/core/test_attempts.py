"""Failed reads are retried: at growing intervals, at once with another setup, and once a day if they cost money."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from winnow_dagster.core.attempts import Attempt, Decision, Setup, decide, from_json, to_json
from winnow_dagster.core.billing import Entry
from winnow_dagster.core.names import Selector
from winnow_dagster.core.planning import Gap

NOW = datetime(2025, 7, 1, 4, tzinfo=UTC)
SETUP = Setup("one", NOW - timedelta(days=3))


def gap(*names: str, first: int = 1, last: int = 9) -> Gap:
    return Gap(date(2025, 6, first), date(2025, 6, last), tuple(map(Selector.parse, names)))


def ask(
    gaps: Sequence[Gap],
    attempts: Sequence[Attempt] = (),
    after: timedelta = timedelta(),
    setup: Setup = SETUP,
    *,
    is_paid: bool = False,
) -> Decision:
    return decide(gaps, attempts, NOW + after, setup, lambda attempt: set(attempt.selectors) if is_paid else set())


def waits(*, is_paid: bool) -> list[timedelta]:
    """Return after how long each attempt follows the one before, if none of them mends anything."""
    attempts, found, last = ask([gap("a")]).attempts, [], timedelta()
    for after in (timedelta(minutes=10 * n) for n in range(1, 6 * 24 * 6)):
        decision = ask([gap("a")], attempts, after, is_paid=is_paid)
        attempts = decision.attempts
        if decision.due:
            found.append(after - last)
            last = after
    return found


def test_what_fails_is_asked_for_at_growing_intervals_up_to_a_day() -> None:
    minutes = [wait.total_seconds() / 60 for wait in waits(is_paid=False)]
    assert minutes == [10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440, 1440, 1440]


def test_what_was_paid_for_and_failed_is_asked_for_once_a_day() -> None:
    assert waits(is_paid=True) == [timedelta(days=1)] * 5


@pytest.mark.parametrize(
    "changed",
    [replace(SETUP, digest="two"), replace(SETUP, loaded=NOW + timedelta(seconds=9))],
    ids=["config or key", "definitions"],
)
def test_with_another_setup_it_is_asked_for_at_once_unless_it_was_paid_for(changed: Setup) -> None:
    before = ask([gap("a")]).attempts
    soon = timedelta(seconds=30)
    assert ask([gap("a")], before, soon).due == []
    again = ask([gap("a")], before, soon, changed)
    assert again.due == [gap("a")]
    assert ask([gap("a")], again.attempts, 2 * soon, changed).due == []
    assert ask([gap("a")], before, soon, changed, is_paid=True).due == []


@pytest.mark.parametrize(("is_paid", "wait"), [(False, timedelta(minutes=10)), (True, timedelta(days=1))])
def test_what_was_asked_for_while_the_clock_was_ahead_waits_from_now_on(wait: timedelta, *, is_paid: bool) -> None:
    ahead = [replace(attempt, is_paid=is_paid) for attempt in ask([gap("a")], after=timedelta(days=20)).attempts]
    now = ask([gap("a")], ahead)
    assert now.due == []
    soon = ask([gap("a")], now.attempts, wait - timedelta(seconds=1))
    assert soon.due == []
    assert ask([gap("a")], soon.attempts, wait).due == [gap("a")]


def test_a_package_that_is_new_does_not_wait_for_one_that_failed() -> None:
    before = ask([gap("a")]).attempts
    decision = ask([gap("a", "b")], before, timedelta(seconds=30))
    assert decision.due == [gap("b")]
    assert ask([gap("a", "b")], decision.attempts, timedelta(seconds=60)).due == []


def test_days_that_were_not_asked_for_do_not_wait_and_those_that_were_do() -> None:
    before = ask([gap("a", first=1, last=9)]).attempts
    soon = timedelta(seconds=30)
    assert ask([gap("a", first=10, last=10)], before, soon).due == [gap("a", first=10, last=10)]
    assert ask([gap("a", first=2, last=10)], before, soon).due == []


def test_what_was_read_is_forgotten() -> None:
    before = ask([gap("a", "b")]).attempts
    (left,) = ask([gap("b", first=5, last=6)], before, timedelta(seconds=30)).attempts
    assert (left.selectors, left.first.day, left.last.day) == (("b",), 5, 6)
    assert ask([], before).attempts == []


@pytest.mark.parametrize(
    ("changes", "is_paid"),
    [
        ({}, True),
        ({"billed": None}, True),
        ({"billed": 0}, False),
        ({"at": NOW - timedelta(minutes=1)}, False),
        ({"selectors": ["b"]}, False),
        ({"first": date(2025, 6, 10), "last": date(2025, 6, 20)}, False),
    ],
)
def test_the_ledger_tells_what_was_paid_for(changes: dict[str, object], *, is_paid: bool) -> None:
    (attempt,) = ask([gap("a")]).attempts
    entry = Entry("it", NOW, date(2025, 6, 9), date(2025, 6, 9), ["a", "c"], "batched", 1.0, billed=10)
    assert attempt.paid_for([replace(entry, **changes)]) == ({"a"} if is_paid else set())  # type: ignore[arg-type]


def test_only_the_packages_that_were_paid_for_wait_for_a_day() -> None:
    attempts = ask([gap("a", "b")]).attempts
    again = decide([gap("a", "b")], attempts, NOW + timedelta(minutes=10), SETUP, lambda _: {"a"})
    assert again.due == [gap("b")]
    assert [(a.selectors, a.is_paid) for a in again.attempts] == [(("a",), True), (("b",), False)]


def test_attempts_survive_their_cursor() -> None:
    attempts = ask([gap("a", "b-*"), gap("c", first=12, last=12)]).attempts
    assert from_json(json.loads(json.dumps(to_json(attempts)))) == attempts
