"""What the month's budget pays for: whole windows first, and room for the days to come."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sources.bigquery.budgets import DAY, FIGURES, NOW, OLD, PYTHON, ask, budget, query_of
from winnow_dagster.core.billing import GB, MB
from winnow_dagster.core.coverage import ONE_DAY, Request
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.names import Selector
from winnow_dagster.core.planning import plan_requests
from winnow_dagster.core.read_policy import ReadPolicy
from winnow_dagster.sources.bigquery.budget import Budget, BudgetConfig


def test_without_a_budget_anything_is_read() -> None:
    assert budget(None, spent=9e15).choose([ask("*", 60)], NOW).chosen == [ask("*", 60)]


def test_an_entry_that_the_budget_cannot_pay_for_does_not_stop_the_others() -> None:
    requests = [ask("a", 30), ask("*", 30), ask("b", 30)]
    choice = budget(1000 * GB, "a", "*", "b").choose(requests, NOW)
    assert choice.chosen == [requests[0], requests[2]]
    assert choice.refused == {
        requests[1]: "the month's queries take 3.0 GB, `*` needs about 2.73 TiB more, and the budget is 0.91 TiB. "
        "Raise budget.tib_per_month, shorten window_days or list fewer packages, or wait for the next month"
    }
    assert choice.left_out == []


def test_where_a_wide_entry_does_not_fit_those_that_it_covers_are_read() -> None:
    entries = [Selector.parse(name) for name in ("*", "a", "b-*", "b-c")]
    days = [DAY - n * ONE_DAY for n in range(30)]
    requests = plan_requests(days, entries, {}, ReadPolicy(NOW))
    assert requests == [ask("*", 30)]
    choice = budget(1000 * GB, "*", "a", "b-*", "b-c").choose(requests, NOW)
    assert choice.chosen == [ask("a", 30), ask("b-*", 30)]
    assert list(choice.refused) == [ask("*", 30)]


def test_of_a_wide_entry_that_does_not_fit_the_others_are_read_for_its_days_only() -> None:
    narrow = (ask("a", 30), ask("b", 10, DAY - 20 * ONE_DAY))
    choice = budget(10 * GB, "*", "a", "b").choose([replace(ask("*", 5), narrower=narrow)], NOW)
    assert choice.chosen == [ask("a", 5)]


def test_an_entry_that_does_not_fit_takes_no_room_from_re_reads() -> None:
    requests = [ask("*"), ask("a", is_reread=True)]
    assert budget(10 * GB, "*", "a", settling=True).choose(requests, NOW).chosen == [ask("a", is_reread=True)]


def test_half_a_window_is_not_read_where_the_whole_does_not_fit() -> None:
    across = [ask("a", 10, LAST_MIXED_DAY), ask("a", 10, LAST_MIXED_DAY + 10 * ONE_DAY)]
    choice = budget(3 * GB, "a", "b").choose([*across, ask("b", 10)], NOW)
    assert list(choice.chosen) == [ask("b", 10)]
    assert list(choice.refused) == across


def test_entries_go_in_the_configs_order() -> None:
    choice = budget(1 * GB, "z", "a").choose([ask("a", 10), ask("z", 10)], NOW)
    assert choice.chosen == [ask("z", 10)]


def test_a_scan_that_is_paid_for_answers_more_packages_for_nothing() -> None:
    requests = [ask("a"), ask("b"), ask("c", 2)]
    choice = budget(150 * GB, "a", "b", "c", strategy="scan").choose(requests, NOW)
    assert choice.chosen == requests[:2]


def test_first_readings_go_before_re_reads() -> None:
    again, first = ask("a", 1, DAY - 3 * ONE_DAY, is_reread=True), ask("b", 9)
    choice = budget(1 * GB).choose([again, first], NOW)
    assert choice.chosen == [first, again]
    choice = budget(0.95 * GB).choose([again, first], NOW)
    assert (choice.chosen, choice.left_out) == ([first], [again])


def test_a_re_read_leaves_room_for_each_day_that_is_left_of_the_month() -> None:
    again = ask("a", 1, DAY - 3 * ONE_DAY, is_reread=True)
    # Today's reading of yesterday and those of the 28th, 29th and 30th, of two packages: 800 MB.
    assert budget(900 * MB, "a", "b").choose([again], NOW).chosen == [again]
    assert budget(899 * MB, "a", "b").choose([again], NOW).left_out == [again]
    assert budget(899 * MB, "a", "b").choose([again], datetime(2026, 12, 31, tzinfo=UTC)).chosen == [again]


def test_history_by_the_older_definition_leaves_room_for_the_months_re_reads_too() -> None:
    history = ask("a", 1, OLD, is_recount=True)
    name_bytes = FIGURES.estimate(query_of(history))
    limit = 8 * 100 * MB + name_bytes
    assert budget(limit, "a", settling=True).choose([history], NOW).chosen == [history]
    choice = budget(limit - 1, "a", settling=True).choose([history], NOW)
    assert (choice.chosen, choice.refused, choice.left_out) == ([], {}, [history])


def test_of_history_that_does_not_fit_as_a_whole_the_newest_days_are_read() -> None:
    history = ask("a", 100, OLD, is_recount=True)
    choice = budget(3.7 * FIGURES.estimate(query_of(ask("a", 1, OLD)))).choose([history], NOW)
    assert choice.chosen == [ask("a", 3, OLD, is_recount=True)]
    assert choice.left_out == [ask("a", 97, OLD - 3 * ONE_DAY, is_recount=True)]


def test_a_recount_that_a_window_waits_for_is_read_whole_or_says_why_not() -> None:
    windows = BudgetConfig({Selector("a"): 365})
    recount = ask("a", 100, LAST_MIXED_DAY, is_recount=True)
    needed = FIGURES.estimate(query_of(recount)) + 4 * 100 * MB
    assert Budget(needed, 0, FIGURES, "auto", windows).choose([recount], NOW).chosen == [recount]
    (why,) = Budget(needed - 1, 0, FIGURES, "auto", windows).choose([recount], NOW).refused.values()
    assert "the rest of the month needs about 400 MB, `a` needs about" in why


requests = st.lists(
    st.builds(
        ask,
        st.sampled_from(["a", "b", "c", "*"]),
        st.integers(1, 40),
        st.sampled_from([DAY, OLD]),
        is_reread=st.booleans(),
        is_recount=st.booleans(),
    ),
    max_size=6,
    unique=True,
)
entries = st.dictionaries(st.sampled_from(["a", "b", "c", "*"]).map(Selector.parse), st.just(PYTHON))


@given(
    requests,
    entries,
    st.floats(0, 1e13),
    st.floats(0, 1e13),
    st.sampled_from(["per_package", "batched", "scan", "auto"]),
)
def test_what_is_chosen_fits_the_budget_and_nothing_is_lost(
    asked: list[Request], by: dict[Selector, tuple[str, ...]], spent: float, size: float, strategy: str
) -> None:
    wanted = [replace(request, dimensions=by.get(request.selector, ())) for request in asked]
    found = budget(size, "a", "b", spent=spent, strategy=strategy)
    choice = found.choose(wanted, NOW)
    assert not choice.chosen or spent + found.price(choice.chosen) <= size
    days = sorted((r.selector, r.is_reread, r.is_recount, day) for r in wanted for day in r.days())
    parts = [*choice.chosen, *choice.refused, *choice.left_out]
    assert sorted((r.selector, r.is_reread, r.is_recount, day) for r in parts for day in r.days()) == days


@pytest.mark.parametrize(("now", "days"), [(datetime(2026, 11, 1, tzinfo=UTC), 30), (NOW, 4)])
def test_the_reserve_counts_the_days_left_of_the_month(now: datetime, days: int) -> None:
    found = budget(None, "a", "b-*", "b-c", settling=True).reserve(now)
    assert found.first_readings == found.rereads == days * 2 * 100 * MB
