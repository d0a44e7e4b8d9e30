"""The audit: a published file is what the store says, or what it said while its number was fresh; else it is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from tests.site.broken_down import believable
from winnow_dagster.core.badge import BadgeStyle
from winnow_dagster.core.breakdowns import PackageBreakdowns
from winnow_dagster.core.days import Package
from winnow_dagster.core.history import NUMBERS, Day, History
from winnow_dagster.core.verdicts import Verdict
from winnow_dagster.core.window import PackageState, Window, WindowCounts, WindowState
from winnow_dagster.publishing.audit import Recount, judge_published, windows_of
from winnow_dagster.site.folder import format_folder
from winnow_dagster.site.site import SiteConfig

DAY = date(2025, 6, 30)
TODAY = DAY + timedelta(days=1)
SITE = SiteConfig(3, styles={"a": BadgeStyle(slugs=("downloads", "honest-share"))})
BADGE = "downloads-3d-non-ci.json"

Files = dict[str, bytes]


def counts(honest: int, days: int = 3, as_of: date = DAY, raw: int | None = None) -> WindowCounts:
    total = honest if raw is None else raw
    numbers = dict.fromkeys(NUMBERS, 0) | dict.fromkeys(("honest", "pip", "linux"), honest)
    return WindowCounts(Window(days, as_of), numbers | {"raw": total, "ci": total - honest})


def state(*found: WindowCounts) -> PackageState:
    return PackageState("a", "bigquery", tuple(WindowState(each.window.days, each, each.window.days) for each in found))


def history(*downloads: int) -> History:
    """Return days with so many downloads each, the last of which is DAY."""
    first = DAY - timedelta(days=len(downloads) - 1)
    days = [
        Day(first + timedelta(days=n), provisional=False, numbers=(each,) * len(NUMBERS))
        for n, each in enumerate(downloads)
    ]
    return History(tuple(days))


def published(found: PackageState, days: History, today: date = TODAY) -> Files:
    return format_folder(SITE, Package(found, days), today, lambda _: None)


def judge(
    files: Files, found: PackageState, *stored: WindowCounts, days: History | None = None, today: date = TODAY
) -> Verdict:
    """Judge the files of a folder, whose record is `found`, by what the store says of windows and days."""
    told = {each.window: {"a": each} for each in stored}
    recount = Recount(told, {} if days is None else {"a": days})
    return judge_published(SITE, {"a": found}, recount, lambda _, name: files.get(name), today)


READ = state(counts(5))
DAYS = history(1, 2, 2)


def test_what_the_store_says_is_right() -> None:
    files = published(READ, DAYS)
    verdict = judge(files, READ, counts(5), days=DAYS)
    assert (verdict.bad, verdict.looked_at, verdict.facts) == ({}, len(files), {"windows_not_in_store": 0})


@pytest.mark.parametrize("name", sorted(published(READ, DAYS)))
def test_each_file_that_is_missing_or_changed_is_named(name: str) -> None:
    files = published(READ, DAYS)
    bad = judge({other: content for other, content in files.items() if other != name}, READ, counts(5)).bad
    assert bad[f"a/{name}"] == "is missing"
    changed = {**files, name: files[name] + b" "}
    if name == "history.json":
        # Damaged days are not read back. What shows them differs too.
        changed[name] = files[name].replace(b'"raw":1', b'"raw":3')
    assert f"a/{name}" in judge(changed, READ, counts(5), days=DAYS).bad


def test_a_wrong_number_is_told_with_the_right_one() -> None:
    files = published(READ, DAYS)
    bad = judge(files, READ, counts(7, raw=9), days=DAYS).bad
    assert bad[f"a/{BADGE}"] == "is '5'; the store says '7'"
    assert bad["a/honest-share-3d-non-ci.json"] == "is '100%'; the store says '77.8%'"
    assert bad["a/counts.json"] == "is 5 of 5 in 3d; the store says 7 of 9 in 3d"
    assert bad["a/index.html"].startswith("line ")
    assert "a/history.json" not in bad


def test_a_wrong_colour_is_wrong() -> None:
    files = published(READ, DAYS)
    files[BADGE] = files[BADGE].replace(b"lightgrey", b"blue")
    bad = judge(files, READ, counts(5)).bad
    assert list(bad) == [f"a/{BADGE}"]
    assert bad[f"a/{BADGE}"].endswith("""is '"color": "blue"'; the store says '"color": "lightgrey"'""")


def test_a_wrong_day_is_named_where_it_is_shown() -> None:
    bad = judge(published(READ, history(1, 9, 2)), READ, counts(5), days=DAYS).bad
    assert set(bad) == {"a/history.json", "a/history.csv", "a/chart.svg", "a/index.html"}


def test_days_that_the_store_has_lost_are_not_judged_and_days_it_has_besides_are_not_missed() -> None:
    files = published(READ, DAYS)
    assert judge(files, READ, counts(5), days=history(2, 2)).bad == {}
    assert judge(files, READ, counts(5), days=history(8, 1, 2, 2)).bad == {}
    assert judge(files, READ, counts(5)).bad == {}


def test_windows_that_the_store_has_lost_are_counted_and_not_judged() -> None:
    found = replace(state(counts(5), counts(9, 7)), former=state(counts(99, 30)).windows)
    files = published(found, DAYS)
    verdict = judge(files, found, counts(5))
    assert (verdict.bad, verdict.facts) == ({}, {"windows_not_in_store": 2})
    bad = judge(files, found, counts(5), counts(9, 7), counts(98, 30)).bad
    assert bad["a/downloads-30d-non-ci.json"] == "is '99'; the store says '98'"
    assert "a/downloads-7d-non-ci.json" not in bad


def test_a_badge_that_was_drawn_while_it_was_fresh_is_right_and_so_is_one_that_says_its_day() -> None:
    later = DAY + timedelta(days=9)
    for drawn in (TODAY, DAY + timedelta(days=4), later):
        assert judge(published(READ, DAYS, drawn), READ, counts(5), today=later).bad == {}


def test_a_badge_that_says_its_day_before_it_is_old_is_wrong() -> None:
    files = published(READ, DAYS, DAY + timedelta(days=4))
    assert judge(files, READ, counts(5), today=TODAY).bad[f"a/{BADGE}"] == f"is '5 to {DAY}'; the store says '5'"


def test_a_page_that_was_drawn_when_only_some_of_its_windows_were_old_is_right() -> None:
    found = state(counts(5), counts(9, 7, DAY - timedelta(days=2)))
    stored = [window.counts for window in found.windows if window.counts]
    days = [DAY + timedelta(days=n) for n in range(1, 7)]
    assert all(judge(published(found, DAYS, drawn), found, *stored, today=days[-1]).bad == {} for drawn in days)


def test_published_windows_are_listed_with_their_packages() -> None:
    one = replace(state(counts(5)), former=state(counts(9, 7)).windows)
    other = replace(state(counts(6), counts(1, 1)), package="b")
    nothing = PackageState("c", "bigquery", (WindowState(3, None, 0),))
    assert windows_of([one, other, nothing]) == {
        Window(3, DAY): {"a", "b"},
        Window(7, DAY): {"a"},
        Window(1, DAY): {"b"},
    }


BROKEN_DOWN = believable(3)
PYTHONS = SiteConfig(3, styles={"a": BadgeStyle(slugs=("downloads", "pythons"))})


def judge_breakdowns(files: Files, stored: PackageBreakdowns) -> dict[str, str]:
    recount = Recount({counts(5).window: {"a": counts(5)}}, {"a": DAYS}, {"a": stored})
    return dict(judge_published(PYTHONS, {"a": READ}, recount, lambda _, name: files.get(name), TODAY).bad)


def files_with_breakdowns() -> Files:
    return format_folder(PYTHONS, Package(READ, DAYS, BROKEN_DOWN), TODAY, lambda _: None)


def test_breakdowns_that_the_store_says_are_right_and_so_are_those_that_it_has_lost() -> None:
    files = files_with_breakdowns()
    assert judge_breakdowns(files, BROKEN_DOWN) == {}
    assert judge_breakdowns(files, PackageBreakdowns()) == {}
    # The store may have read more days since.
    assert judge_breakdowns(files, believable(9)) == {}


@pytest.mark.parametrize("name", ["python.csv", "version.csv", "cpu.csv"])
def test_another_number_in_a_breakdown_is_named(name: str) -> None:
    files = files_with_breakdowns()
    header, line, *rest = files[name].split(b"\n")
    changed = {**files, name: b"\n".join([header, line + b"0", *rest])}
    assert set(judge_breakdowns(changed, BROKEN_DOWN)) == {f"a/{name}"}


def test_another_number_in_the_windows_of_breakdowns_is_named() -> None:
    files = files_with_breakdowns()
    changed = {**files, "breakdowns.json": files["breakdowns.json"].replace(b'"3.12": ', b'"3.12": 1')}
    assert "a/breakdowns.json" in judge_breakdowns(changed, BROKEN_DOWN)
