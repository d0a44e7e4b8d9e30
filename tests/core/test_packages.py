"""Packages: what the stored days say of each package, prefix and group, and of which windows they say nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from tests.rows import row, to_frame
from winnow_dagster.core.categories import winnow
from winnow_dagster.core.coverage import Coverage, ReadingFacts, days_between
from winnow_dagster.core.days import CountOptions, Days, Package
from winnow_dagster.core.definition import Definition
from winnow_dagster.core.names import EVERYTHING, Group, Selector, normalise
from winnow_dagster.core.packages import describe_packages, lacks_rows, recount
from winnow_dagster.core.window import ALL, Window, WindowCounts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from tests.rows import Row

DAY = date(2025, 6, 30)
FIRST = DAY - timedelta(days=4)
AT = datetime(2025, 7, 1, 4, tzinfo=UTC)
A, B = Selector("a"), Selector("x-b")
PREFIX = Selector("x-", is_prefix=True)
BOTH = Group(normalise("both"), (A, PREFIX))
OPTIONS = CountOptions(DAY, "parquet")


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


def stored(rows: Iterable[Row], *selectors: Selector, without: Collection[date] = ()) -> Days:
    """Return honest counts of five days that were read for these selectors, except of some of the days."""
    coverage = {day: Coverage(dict.fromkeys(selectors, AT)) for day in days_between(FIRST, DAY) if day not in without}
    return Days(winnow(to_frame(rows).lazy()), coverage)


def on_each_day(package: str, downloads: int = 1) -> list[Row]:
    return [row(day, package, downloads=downloads) for day in days_between(FIRST, DAY)]


def one(
    honest: Days,
    which: Selector | Group = A,
    *lengths: int,
    raw: Mapping[date, Coverage] | None = None,
    options: CountOptions = OPTIONS,
) -> Package:
    (found,) = describe_packages(honest, {which: lengths or (3,)}, raw or honest.coverage, options)[str(which)]
    return found


def headline(package: Package) -> WindowCounts:
    counts = package.state.headline.counts
    assert counts
    return counts


def test_a_package_has_the_newest_window_whose_days_are_all_covered() -> None:
    package = one(stored(on_each_day("a"), A, without=[DAY]))
    assert headline(package).window == Window(3, ago(1))
    assert headline(package).honest == 3
    assert package.state.headline.covered_days == 2
    assert [day.date for day in package.history.days] == days_between(FIRST, ago(1))


def test_each_length_has_a_window_of_its_own() -> None:
    windows = one(stored(on_each_day("a"), A, without=[ago(1)]), A, 3, 1, 4).state.windows
    assert [(w.days, w.counts and w.counts.window, w.covered_days) for w in windows] == [
        (3, Window(3, ago(2)), 2),
        (1, Window(1, DAY), 1),
        (4, None, 3),
    ]


def test_a_covered_day_without_a_row_is_a_day_without_downloads() -> None:
    package = one(stored([row(DAY, "a", downloads=7)], A))
    assert headline(package).honest == 7
    assert [day.by_name()["raw"] for day in package.history.days] == [0, 0, 0, 0, 7]


def test_a_day_that_was_read_for_another_package_says_nothing() -> None:
    package = one(stored([row(DAY, "a"), row(DAY, "x-b")], B))
    assert package.state.headline.counts is None
    assert package.history.days == ()


def test_days_after_the_newest_day_asked_for_are_left_out() -> None:
    package = one(stored(on_each_day("a"), A), options=replace(OPTIONS, through=ago(1)))
    assert headline(package).window == Window(3, ago(1))
    assert package.history.last == ago(1)


def test_the_window_of_all_days_begins_after_the_last_gap() -> None:
    package = one(stored(on_each_day("a"), A, without=[ago(3)]), A, ALL)
    assert headline(package).window == Window(3, DAY)


def test_a_prefix_publishes_each_package_that_was_downloaded_but_those_with_an_entry() -> None:
    honest = stored([*on_each_day("x-a"), *on_each_day("x-b", 2), *on_each_day("y")], PREFIX, B)
    found = describe_packages(honest, {PREFIX: (3,), B: (1,)}, honest.coverage, OPTIONS)
    assert {key: [p.state.package for p in packages] for key, packages in found.items()} == {
        "x-*": ["x-a"],
        "x-b": ["x-b"],
    }
    assert headline(found["x-b"][0]).honest == 2


def test_of_everything_only_the_packages_in_full_are_described() -> None:
    honest = stored([*on_each_day("a"), *on_each_day("b")], EVERYTHING)
    found = describe_packages(honest, {EVERYTHING: (3,)}, honest.coverage, OPTIONS, in_full=["b"])
    assert [package.state.package for package in found["*"]] == ["b"]
    assert describe_packages(honest, {EVERYTHING: (3,)}, honest.coverage, OPTIONS) == {"*": []}


def test_a_group_adds_up_its_members_and_names_them() -> None:
    rows = [*on_each_day("a", 1), *on_each_day("x-a", 10), *on_each_day("x-b", 100), *on_each_day("y", 1000)]
    honest = stored(rows, A, PREFIX)
    found = describe_packages(honest, {A: (3,), PREFIX: (3,), BOTH: (3, 1)}, honest.coverage, OPTIONS)
    (group,) = found["_group/both"]
    assert [w.counts and w.counts.honest for w in group.state.windows] == [333, 111]
    assert group.state.members == ("a", "x-a", "x-b")
    assert [day.by_name()["raw"] for day in group.history.days] == [111] * 5
    assert [headline(package).honest for package in (*found["a"], *found["x-*"])] == [3, 30, 300]


def test_a_member_of_two_parts_of_a_group_is_added_once() -> None:
    group = Group(normalise("both"), (B, PREFIX))
    assert headline(one(stored(on_each_day("x-b"), PREFIX), group)).honest == 3


def test_members_that_only_everything_selects_stand_as_they_are_written() -> None:
    honest = stored(on_each_day("x-b"), EVERYTHING)
    (group,) = describe_packages(honest, {EVERYTHING: (3,), BOTH: (3,)}, honest.coverage, OPTIONS)["_group/both"]
    assert group.state.members == ("a", "x-*")


def test_a_group_has_no_window_with_a_day_that_lacks_a_member() -> None:
    honest = stored(on_each_day("a"), A, PREFIX)
    lacking = {**honest.coverage, DAY: Coverage({A: AT})}
    package = one(replace(honest, coverage=lacking), BOTH)
    assert headline(package).window == Window(3, ago(1))


def test_the_newest_day_that_failed_is_named_without_its_reason() -> None:
    honest = stored(on_each_day("a"), A, without=[ago(1), ago(2)])
    raw = {ago(n): Coverage(failed={A: "account 42 has no right"}) for n in (1, 2)}
    assert one(honest, raw=raw).state.problem == f"{ago(1)} could not be read"
    assert one(honest, raw=raw, options=replace(OPTIONS, short_days=frozenset([DAY]))).state.problem == lacks_rows(DAY)


def test_a_failure_of_a_covered_day_or_before_the_longest_window_is_no_problem() -> None:
    honest = stored(on_each_day("a"), A)
    failed = Coverage({A: AT}, failed={A: "on fire"})
    assert one(honest, raw={**honest.coverage, DAY: failed}).state.problem is None
    old = {**honest.coverage, ago(3): Coverage(failed={A: "on fire"})}
    assert one(honest, raw=old).state.problem is None
    assert one(honest, A, 3, 4, raw=old).state.problem == f"{ago(3)} could not be read"


def test_short_days_of_a_window_are_named_and_marked() -> None:
    honest = stored(on_each_day("a"), A)
    short = Coverage({A: AT}, facts={A: ReadingFacts(is_short=True)})
    package = one(replace(honest, coverage={**honest.coverage, ago(1): short, ago(4): short}))
    assert headline(package).short_days == (ago(1),)
    assert package.history.short_days() == [ago(4), ago(1)]
    empty = one(honest, options=replace(OPTIONS, empty_days=frozenset([ago(2)])))
    assert headline(empty).short_days == (ago(2),)


def test_a_day_that_has_not_settled_is_provisional() -> None:
    package = one(stored(on_each_day("a"), A), options=replace(OPTIONS, settle_days=2))
    assert [day.provisional for day in package.history.days] == [False, False, False, True, True]


def test_days_counted_by_the_older_definition_are_in_the_history_and_in_no_window() -> None:
    honest = stored(on_each_day("a"), A)
    older = {**honest.coverage, **{ago(n): Coverage(legacy={A: AT}) for n in (3, 4)}}
    package = one(replace(honest, coverage=older), A, 3, 4, ALL)
    assert [w.counts and w.counts.window for w in package.state.windows] == [Window(3, DAY), None, None]
    assert [day.definition for day in package.history.days] == [Definition.REQUESTS] * 2 + [Definition.FILES] * 3


def again(
    honest: Days, windows: Mapping[Window, Sequence[str]], **members: Selector
) -> dict[Window, dict[str, WindowCounts]]:
    return recount(honest, {name: (part,) for name, part in members.items()}, windows, OPTIONS)[0]


def test_what_is_described_is_what_is_recounted() -> None:
    honest = stored([*on_each_day("a"), *on_each_day("x-a", 10), *on_each_day("x-b", 100)], A, PREFIX)
    described = describe_packages(honest, {A: (3,), BOTH: (3,)}, honest.coverage, OPTIONS)
    members = {"a": (A,), "_group/both": BOTH.members}
    windows, days = recount(honest, members, {Window(3, DAY): list(members)}, OPTIONS)
    for name in members:
        (package,) = described[name]
        assert windows[Window(3, DAY)][name] == headline(package)
        assert days[name] == package.history


def test_only_covered_windows_are_recounted_and_only_for_the_names_that_want_them() -> None:
    honest = stored(on_each_day("a"), A, without=[FIRST])
    windows = {Window(4, DAY): ["a"], Window(5, DAY): ["a"], Window(1, DAY): []}
    found = again(honest, windows, a=A)
    assert {window: list(counts) for window, counts in found.items()} == {
        Window(4, DAY): ["a"],
        Window(5, DAY): [],
        Window(1, DAY): [],
    }
