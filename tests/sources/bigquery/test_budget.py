"""What the month's budget pays for: whole windows first, and room for the days to come."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow_dagster.core.billing import GB, MB
from winnow_dagster.core.coverage import ONE_DAY, Request
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.names import Selector
from winnow_dagster.core.planning import ReadPolicy, plan_requests
from winnow_dagster.sources.bigquery.billing import Figures, relative_size
from winnow_dagster.sources.bigquery.budget import MAX_NAMED, Budget, BudgetConfig, Choice, describe_left_out
from winnow_dagster.sources.bigquery.query import PLAIN_COLUMNS, CountQuery

NOW = datetime(2026, 11, 27, 4, tzinfo=UTC)
DAY = NOW.date() - ONE_DAY
OLD = LAST_MIXED_DAY - 100 * ONE_DAY
FIGURES = Figures(package_day_bytes=100 * MB, scan_day_bytes=100 * GB)


def ask(
    name: str = "a",
    days: int = 1,
    last: date = DAY,
    *,
    is_reread: bool = False,
    is_recount: bool = False,
    by: tuple[str, ...] = (),
) -> Request:
    return Request(Selector.parse(name), last - (days - 1) * ONE_DAY, last, is_reread, is_recount, by)


def configured(*names: str, settling: bool = False, by: tuple[str, ...] = ()) -> BudgetConfig:
    windows = {Selector.parse(name): 30 for name in names}
    return BudgetConfig(windows, frozenset(windows if settling else ()), dimensions=dict.fromkeys(windows, by))


def budget(
    size: float | None,
    *names: str,
    settling: bool = False,
    spent: float = 0,
    strategy: str = "auto",
    by: tuple[str, ...] = (),
) -> Budget:
    return Budget(size, spent, FIGURES, strategy, configured(*names, settling=settling, by=by))


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
    name_bytes = FIGURES.estimate(_query(history))
    limit = 8 * 100 * MB + name_bytes
    assert budget(limit, "a", settling=True).choose([history], NOW).chosen == [history]
    choice = budget(limit - 1, "a", settling=True).choose([history], NOW)
    assert (choice.chosen, choice.refused, choice.left_out) == ([], {}, [history])


def test_of_history_that_does_not_fit_as_a_whole_the_newest_days_are_read() -> None:
    history = ask("a", 100, OLD, is_recount=True)
    choice = budget(3.7 * FIGURES.estimate(_query(ask("a", 1, OLD)))).choose([history], NOW)
    assert choice.chosen == [ask("a", 3, OLD, is_recount=True)]
    assert choice.left_out == [ask("a", 97, OLD - 3 * ONE_DAY, is_recount=True)]


def test_a_recount_that_a_window_waits_for_is_read_whole_or_says_why_not() -> None:
    windows = BudgetConfig({Selector("a"): 365})
    recount = ask("a", 100, LAST_MIXED_DAY, is_recount=True)
    needed = FIGURES.estimate(_query(recount)) + 4 * 100 * MB
    assert Budget(needed, 0, FIGURES, "auto", windows).choose([recount], NOW).chosen == [recount]
    (why,) = Budget(needed - 1, 0, FIGURES, "auto", windows).choose([recount], NOW).refused.values()
    assert "the rest of the month needs about 400 MB, `a` needs about" in why


PYTHON = ("python",)
PYTHON_BYTES = relative_size((*PLAIN_COLUMNS, "details.python")) * 100 * MB
"""The size of a package and day with its Python versions; without them it is 100 MB."""


def test_the_last_entries_lose_their_breakdowns_where_not_all_fit() -> None:
    firsts = [ask(name, 30, by=PYTHON) for name in "abc"]
    # The headlines of the last four days of the month: 1.2 GB.
    limit = 90 * PYTHON_BYTES + 12 * 100 * MB
    assert budget(limit, *"abc", by=PYTHON).choose(firsts, NOW).without_breakdowns == []
    choice = budget(limit - 1, *"abc", by=PYTHON).choose(firsts, NOW)
    assert choice.chosen == [*firsts[:2], ask("c", 30)]
    assert (choice.without_breakdowns, choice.refused) == ([Selector("c")], {})
    choice = budget(30 * PYTHON_BYTES + 72 * 100 * MB - 1, *"abc", by=PYTHON).choose(firsts, NOW)
    assert choice.chosen == [ask(name, 30) for name in "abc"]


def test_a_breakdown_never_costs_an_entry() -> None:
    firsts = [ask(name, 30, by=PYTHON) for name in "abc"]
    choice = budget(60 * 100 * MB, *"abc", by=PYTHON).choose(firsts, NOW)
    assert choice.chosen == [ask("a", 30), ask("b", 30)]
    assert [request.selector for request in choice.refused] == [Selector("c")]
    (why,) = choice.refused.values()
    assert "`c` needs about 3.0 GB more" in why


def test_an_entry_that_never_fits_takes_no_breakdown_from_the_others() -> None:
    firsts = [ask("a", by=PYTHON), ask("*", 30)]
    assert budget(10 * GB, "a", "*").choose(firsts, NOW).chosen == firsts[:1]


def test_a_narrower_entry_that_is_read_instead_keeps_its_own_breakdowns() -> None:
    wide = replace(ask("*", 5, by=PYTHON), narrower=(ask("a", 30, by=PYTHON),))
    choice = budget(10 * GB, "*", "a").choose([wide], NOW)
    assert (choice.chosen, choice.without_breakdowns) == ([ask("a", 5, by=PYTHON)], [])


def test_a_re_read_leaves_room_for_the_breakdowns_of_the_rest_of_the_month_and_keeps_its_own() -> None:
    again = ask("a", 1, DAY - 3 * ONE_DAY, is_reread=True, by=PYTHON)
    limit = 4 * PYTHON_BYTES + PYTHON_BYTES
    assert budget(limit, "a", by=PYTHON).choose([again], NOW).chosen == [again]
    choice = budget(limit - 1, "a", by=PYTHON).choose([again], NOW)
    assert (choice.chosen, choice.left_out, choice.without_breakdowns) == ([], [again], [])


def test_a_recount_that_a_window_waits_for_loses_its_breakdowns_first() -> None:
    windows = BudgetConfig({Selector("a"): 365})
    recount = ask("a", 100, LAST_MIXED_DAY, is_recount=True, by=PYTHON)
    needed = FIGURES.estimate(_query(recount)) + 4 * 100 * MB
    assert Budget(needed, 0, FIGURES, "auto", windows).choose([recount], NOW).chosen == [recount]
    choice = Budget(needed - 1, 0, FIGURES, "auto", windows).choose([recount], NOW)
    assert choice.chosen == [replace(recount, dimensions=())]
    assert choice.without_breakdowns == [Selector("a")]


def test_one_phrase_names_all_that_the_budget_left_out() -> None:
    names = [Selector(f"p{n}") for n in range(MAX_NAMED + 3)]
    again = ask("a", 2, is_reread=True)
    assert describe_left_out(Choice([], {}, [])) == ""
    assert describe_left_out(Choice([], {}, [again], names[:2])) == (
        "re-reads of 2026-11-25 to 2026-11-26 and breakdowns of `p0`, `p1`"
    )
    assert describe_left_out(Choice([], {}, [], names)).endswith("`p18`, `p19` and 3 more entries")


NAMES = ("a", "b", "c")
firsts = st.lists(
    st.builds(ask, st.sampled_from(NAMES), st.integers(1, 40), st.sampled_from([DAY, OLD])), max_size=6, unique=True
)
rereads = st.lists(
    st.builds(lambda name: ask(name, is_reread=True, by=PYTHON), st.sampled_from(NAMES)), max_size=2, unique=True
)
breakdowns = st.fixed_dictionaries(
    {Selector(name): st.sampled_from([(), PYTHON, ("python", "version")]) for name in NAMES}
)


@given(firsts, rereads, breakdowns, st.floats(0, 3e10), st.sampled_from(["per_package", "batched", "scan", "auto"]))
def test_near_the_budget_re_reads_go_first_then_breakdowns_from_the_last_entry_then_entries(
    first: list[Request],
    again: list[Request],
    by: dict[Selector, tuple[str, ...]],
    size: float,
    strategy: str,
) -> None:
    config = replace(configured(*NAMES), dimensions=by)
    found = Budget(size, 0, FIGURES, strategy, config)
    asked = [replace(request, dimensions=by[request.selector]) for request in first]
    choice = found.choose([*asked, *again], NOW)
    kept = {r.selector: r.dimensions for r in choice.chosen if not r.is_reread}
    # The entries that are read are those that are read if no entry has breakdowns.
    plain = Budget(size, 0, FIGURES, strategy, configured(*NAMES)).choose(first, NOW)
    assert {r.selector for r in choice.refused} == {r.selector for r in plain.refused}
    # The others have all their breakdowns, or lost them from the last entry upwards.
    order = [Selector(name) for name in NAMES if Selector(name) in kept and by[Selector(name)]]
    lost = [selector for selector in order if not kept[selector]]
    assert lost == list(choice.without_breakdowns) == order[len(order) - len(lost) :]
    assert all(kept[selector] == by[selector] for selector in order if selector not in lost)
    read = [replace(r, dimensions=()) for r in choice.chosen if not r.is_reread]
    reserve = found.reserve(NOW, {r.selector for r in choice.refused}, breakdowns=False).first_readings
    broken_down = [r for r in choice.chosen if not r.is_reread]
    assert lost == order or not found.refuses(found.price(broken_down), reserve)
    if lost and strategy == "per_package":
        more = [replace(r, dimensions=by[r.selector]) if r.selector not in lost[1:] else r for r in read]
        assert found.refuses(found.price(more), reserve)
    # A re-read takes no room from any of them, and has its breakdowns.
    assert list(found.choose(asked, NOW).chosen) == broken_down
    assert all(r.dimensions == PYTHON for r in choice.chosen if r.is_reread)


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


def _query(request: Request) -> CountQuery:
    return CountQuery([request], "per_package")


@pytest.mark.parametrize(("now", "days"), [(datetime(2026, 11, 1, tzinfo=UTC), 30), (NOW, 4)])
def test_the_reserve_counts_the_days_left_of_the_month(now: datetime, days: int) -> None:
    found = budget(None, "a", "b-*", "b-c", settling=True).reserve(now)
    assert found.first_readings == found.rereads == days * 2 * 100 * MB
