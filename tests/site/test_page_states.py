"""Every sentence on a page is true in every state of a package."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from datetime import date, timedelta

import pytest

from winnow_dagster.core.badge import DEFAULT_STYLE
from winnow_dagster.core.categories import CATEGORIES, INSTALLERS
from winnow_dagster.core.days import Package
from winnow_dagster.core.dimensions import SYSTEM
from winnow_dagster.core.history import NUMBERS, Day, History
from winnow_dagster.core.reader_query import ReaderQuery
from winnow_dagster.core.window import PackageState, Window, WindowCounts, WindowState
from winnow_dagster.site.page import format_page
from winnow_dagster.site.site import SiteConfig

AS_OF = date(2026, 11, 20)
TODAY = AS_OF + timedelta(days=1)
SITE = SiteConfig(
    3,
    styles={"rich": DEFAULT_STYLE, "_group/tools": DEFAULT_STYLE},
    reader_queries={"parquet": ReaderQuery("a.b.c", "In a database", lambda *_: "SELECT 1", honest_ci="false")},
    remarks={"parquet": ("It may leave rows out.",)},
)
PROBLEM = "2026-11-20 could not be read"


def counts(days: int, as_of: date = AS_OF) -> WindowCounts:
    categories = dict(zip(CATEGORIES, (70, 10, 5, 4, 3, 2, 6), strict=True))
    installers = dict.fromkeys(INSTALLERS, 10) | {"pip": 20}
    systems = dict.fromkeys(SYSTEM.numbers, 20) | {"other_system": 10}
    return WindowCounts(Window(days, as_of), {"raw": 100, **categories, **installers, **systems}, {"conda": 6})


READ = PackageState("rich", "parquet", (WindowState(30, counts(30), 30), WindowState(7, counts(7), 7)))
STATES = {
    "read": READ,
    "nothing read": PackageState("rich", "parquet", (WindowState(30, None, 0),)),
    "nothing read, and why": PackageState("rich", "parquet", (WindowState(30, None, 29),), PROBLEM),
    "partly read": replace(
        READ, windows=(WindowState(30, None, 12), WindowState(7, counts(7), 7)), problem="2026-11-01 could not be read"
    ),
    "a day failed": replace(READ, problem=PROBLEM),
    "stale": replace(READ, windows=(WindowState(30, counts(30, AS_OF - timedelta(days=9)), 21),)),
    "sample": replace(READ, source="sample"),
    "removed": replace(READ, package="gone"),
    "group": replace(READ, package="_group/tools", members=("rich", "tools-*")),
    "short": replace(READ, windows=(WindowState(30, counts(30).with_short_days([AS_OF]), 30),)),
}


def text(state: PackageState) -> str:
    """Return what a reader reads."""
    history = History((Day(AS_OF, provisional=False, numbers=(1,) * len(NUMBERS)),))
    page = format_page(Package(state, history), SITE.badges(state, TODAY), SITE, TODAY).decode()
    body = page.partition("<body>")[2]
    # What a script shows later is not read now.
    body = re.sub(r"<(\w+)[^>]* hidden[^>]*>.*?</\1>", "", body, flags=re.DOTALL)
    body = re.sub(r"</?(?:a|code|q|small|strong|time)\b[^>]*>", "", body)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


@pytest.mark.parametrize("name", STATES)
def test_no_page_names_an_index_that_has_no_winnow(name: str) -> None:
    assert "pip install" not in text(STATES[name])


@pytest.mark.parametrize("name", [name for name, state in STATES.items() if state.headline.counts])
def test_what_was_winnowed_names_every_category_but_honest(name: str) -> None:
    sentence = "The rest was winnowed: CI jobs, mirrors, browsers, scripts, unknown clients and other installers."
    assert sentence in text(STATES[name])


@pytest.mark.parametrize("name", [name for name, state in STATES.items() if not state.headline.counts])
def test_without_a_number_a_page_speaks_of_none(name: str) -> None:
    shown = text(STATES[name])
    assert "The rest was winnowed" not in shown
    assert "is shown is older" not in shown
    assert "collecting" in shown


def test_a_day_that_failed_is_said_to_hold_back_its_windows_only() -> None:
    assert f"{PROBLEM}. Until that day is read, windows that include it keep their older numbers." in text(
        STATES["a day failed"]
    )
    assert f"{PROBLEM}. There is no number before that day is read." in text(STATES["nothing read, and why"])


def test_other_installers_name_the_window_that_they_are_of() -> None:
    assert "Other installers, which are never counted as honest, over 30 days: conda 6" in text(READ)


def test_the_footer_names_the_public_dataset_if_readers_have_access_to_it() -> None:
    assert "PyPI's download statistics (a.b.c), licensed" in text(READ)
    assert "PyPI's download statistics, licensed" in text(replace(READ, source="clickhouse"))


def test_the_footer_and_the_notes_tell_the_limits_of_the_source() -> None:
    assert text(READ).count("It may leave rows out.") == 2
    assert "leave rows out" not in text(replace(READ, source="clickhouse"))


def test_a_window_from_another_source_names_it() -> None:
    kept = replace(READ, windows=(WindowState(30, replace(counts(30), source="bigquery"), 3), READ.windows[1]))
    assert "The numbers of 30 days are from another source, bigquery." in text(kept)
    assert "until this site's present source, parquet, has every day" in text(kept)
    assert "another source" not in text(READ)


def test_the_query_says_how_it_tells_ci() -> None:
    assert "the honest are those on the list above with ci false:" in text(READ)


def test_the_query_is_spoken_of_where_there_is_one_only() -> None:
    assert "run the query" in text(READ)
    for name in ("nothing read", "sample"):
        assert "the query" not in text(STATES[name])


def test_sample_data_is_not_said_to_be_from_pypi() -> None:
    assert "Data: PyPI's download statistics" in text(READ)
    shown = text(STATES["sample"])
    assert "PyPI's download statistics" not in shown
    assert "Sample data, made up by Winnow" in shown


def test_a_removed_package_is_said_to_be_no_longer_counted() -> None:
    assert "This site no longer counts gone." in text(STATES["removed"])
    assert "no longer counts" not in text(READ)


def test_a_stale_page_names_its_day() -> None:
    assert "Out of date. The newest number is as of 2026-11-11" in text(STATES["stale"])


def test_short_days_are_listed() -> None:
    assert "PyPI's log has lost rows of 2026-11-20." in text(STATES["short"])
    assert "lost rows" not in text(READ)


def test_a_group_names_its_members() -> None:
    assert "Their downloads, added up: rich, tools-*." in text(STATES["group"])
