"""What the month's budget pays for where entries ask for breakdowns: re-reads give way first, then breakdowns."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from tests.sources.bigquery.budgets import DAY, FIGURES, NOW, OLD, PYTHON, ask, budget, configured, query_of
from winnow_dagster.core.billing import GB, MB, TIB
from winnow_dagster.core.coverage import ONE_DAY, Request, days_between
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.bigquery.billing import Figures, relative_size
from winnow_dagster.sources.bigquery.budget import MAX_NAMED, Budget, BudgetConfig, Choice, describe_left_out
from winnow_dagster.sources.bigquery.query import PLAIN_COLUMNS

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


def test_a_day_that_is_read_again_for_its_breakdown_is_never_read_without_it() -> None:
    backfill = replace(ask("a", 30, by=PYTHON), is_replacing=True)
    limit = 30 * PYTHON_BYTES + 4 * 100 * MB
    assert budget(limit, "a", by=PYTHON).choose([backfill], NOW).chosen == [backfill]
    choice = budget(30 * PYTHON_BYTES - 1, "a", by=PYTHON).choose([backfill], NOW)
    assert (choice.chosen, list(choice.refused)) == ([], [backfill])


def test_a_recount_that_a_window_waits_for_loses_its_breakdowns_first() -> None:
    windows = BudgetConfig({Selector("a"): 365})
    recount = ask("a", 100, LAST_MIXED_DAY, is_recount=True, by=PYTHON)
    needed = FIGURES.estimate(query_of(recount)) + 4 * 100 * MB
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


def test_in_the_month_of_the_first_fill_of_100_packages_only_re_reads_give_way_to_the_free_tier() -> None:
    both = ("python", "version")
    # A tenth of the packages in a tenth of the free TiB, since each choice compares all packages with each other.
    names, limit = [f"p{n}" for n in range(10)], TIB / 10
    spent, left_out = 0.0, 0
    for day in days_between(date(2026, 11, 1), date(2026, 11, 30)):
        now = datetime(day.year, day.month, day.day, 4, tzinfo=UTC)
        yesterday, settled = day - ONE_DAY, day - 4 * ONE_DAY
        first = [ask(name, 30 if day.day == 1 else 1, yesterday, by=both) for name in names]
        again = [ask(name, 1, settled, is_reread=True, by=both) for name in names]
        config = configured(*names, settling=True, by=both)
        found = Budget(limit, spent, Figures(), "auto", config)
        choice = found.choose([*first, *again], now)
        assert (choice.refused, choice.without_breakdowns) == ({}, [])
        spent += found.price(choice.chosen)
        left_out += len(choice.left_out)
    assert 0.95 * limit < spent <= limit
    assert 0 < left_out < 30 * 10


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
