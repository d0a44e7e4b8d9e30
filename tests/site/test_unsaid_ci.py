"""The estimate of unsaid CI in published files: of the window's own days, kept like a number, and explained."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from winnow_dagster.core.badge import BadgeStyle
from winnow_dagster.core.breakdowns import count_breakdowns
from winnow_dagster.core.coverage import BREAKDOWN_SCHEMA, Coverage, ReadingFacts
from winnow_dagster.core.days import Days, Package
from winnow_dagster.core.dimensions import FORMER_DIMENSIONS, KERNEL
from winnow_dagster.core.history import NUMBERS, History
from winnow_dagster.core.names import Selector
from winnow_dagster.core.unsaid_ci import UnsaidCi
from winnow_dagster.core.window import PackageState, Window, WindowCounts, WindowState
from winnow_dagster.site.breakdown_files import parse_breakdowns
from winnow_dagster.site.folder import format_folder
from winnow_dagster.site.site import SiteConfig
from winnow_dagster.site.words import format_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from winnow_dagster.core.breakdowns import PackageBreakdowns

DAY = date(2026, 9, 30)
AT = datetime(2026, 10, 1, 3, tzinfo=UTC)
LENGTH = 10
SITE = SiteConfig(3, styles={"a": BadgeStyle(slugs=("downloads",))}, breakdowns={"a": (KERNEL.name,)})

Files = dict[str, bytes]


def counted(
    names: Sequence[str] = ("a",),
    *,
    poetry: int = 20,
    days: int = LENGTH,
    dimension: str = KERNEL.name,
    pythons: Sequence[str] = ("3.12",),
) -> PackageBreakdowns:
    """Return what is counted of days on which 40 % of pip's downloads on one class of kernels are in CI."""
    rows = [
        (DAY - timedelta(days=n), name, dimension, f"azure/{python}", installer, ci, downloads)
        for n in range(days)
        for name in names
        for python in pythons
        for installer, ci, downloads in (("pip", True, 40), ("pip", None, 60), ("poetry", None, poetry))
    ]
    facts = {Selector(name): ReadingFacts(dimensions=(dimension,)) for name in names}
    coverage = {DAY - timedelta(days=n): Coverage(dict.fromkeys(facts, AT), facts=facts) for n in range(days)}
    stored = Days(pl.LazyFrame(rows, schema=BREAKDOWN_SCHEMA, orient="row"), coverage)
    return count_breakdowns(stored, {"a": [Selector(name) for name in names]}, {"a": (KERNEL.name,)})["a"]


def publish(
    computed: PackageBreakdowns, files: Files | None = None, *, as_of: date = DAY, length: int = LENGTH
) -> Files:
    counts = WindowCounts(Window(length, as_of), dict.fromkeys(NUMBERS, 9) | {"honest": 51822})
    package = Package(PackageState("a", "bigquery", (WindowState(length, counts, length),)), History.empty(), computed)
    before = files or {}
    return {**before, **format_folder(SITE, package, DAY + timedelta(days=1), before.get)}


def estimate_in(files: Files, length: int = LENGTH) -> Any:
    """Return the estimate of a window in `breakdowns.json`, or "absent"."""
    return json.loads(files["breakdowns.json"])["windows"].get(str(length), {}).get("unsaid_ci", "absent")


def test_the_estimate_is_in_the_json_and_read_back() -> None:
    files = publish(counted())
    found = estimate_in(files)
    assert list(found) == ["confidence", "low", "high", "unsaid", "told", "packages"]
    assert (found["confidence"], found["unsaid"], found["told"], found["packages"]) == (0.9, 200, 1000, 1)
    assert 60 < found["low"] < 80 < found["high"] < 100
    del found["confidence"]
    assert parse_breakdowns(files["breakdowns.json"]).unsaid_ci == {LENGTH: UnsaidCi(**found)}


def test_the_page_says_it_in_one_sentence_and_what_was_not_checked() -> None:
    files = publish(counted())
    page, found = files["index.html"].decode(), estimate_in(files)
    words = format_interval(found["low"], found["high"])
    assert f"Of 51,822 installs, {words} were probably CI jobs that did not say so." in page
    assert "200 installs by poetry and pdm" in page
    assert "in this package" in page
    assert "cannot be checked" in page


def test_the_page_shows_classes_of_kernels_and_the_files_have_their_pythons_too() -> None:
    files = publish(counted(pythons=("3.12", "3.9", "")))
    page = files["index.html"].decode()
    assert '<th scope="row">azure</th>' in page
    assert f'<td class="n">{3 * 80 * LENGTH:,}</td>' in page
    assert "azure/" not in page
    values = ["azure/", "azure/3.12", "azure/3.9"]
    assert list(json.loads(files["breakdowns.json"])["windows"][str(LENGTH)][KERNEL.name]["honest"]) == values
    assert files[f"{KERNEL.name}.csv"].decode().splitlines()[:4] == [
        f"date,{KERNEL.name},honest,ci",
        *(f"{DAY - timedelta(days=LENGTH - 1)},{value},80,40" for value in values),
    ]


def test_where_the_data_cannot_carry_one_the_json_says_null_and_the_page_nothing() -> None:
    files = publish(counted(poetry=1))
    assert estimate_in(files) is None
    assert b"probably CI jobs" not in files["index.html"]


def test_a_window_with_a_day_without_kernels_has_no_estimate() -> None:
    files = publish(counted(days=LENGTH - 1))
    assert estimate_in(files) == "absent"
    assert b"probably CI jobs" not in files["index.html"]


def test_days_by_another_version_of_the_classes_are_unknown() -> None:
    computed = counted(dimension=FORMER_DIMENSIONS[0])
    assert computed.known == {KERNEL.name: []}
    assert computed.values.is_empty()
    assert estimate_in(publish(computed)) == "absent"


def test_a_published_estimate_stays_until_its_days_are_counted_again() -> None:
    first = publish(counted())
    same = publish(counted(days=0), first)
    assert estimate_in(same) == estimate_in(first) != "absent"
    assert same["index.html"] == first["index.html"]
    changed = publish(counted(poetry=40), first)
    assert estimate_in(changed)["unsaid"] == 400
    silent = publish(counted(poetry=1), first)
    assert estimate_in(silent) is None
    later = publish(counted(days=0), first, as_of=DAY + timedelta(days=1))
    assert estimate_in(later) == "absent", "it is of other days than the window"


def test_a_group_adds_up_its_members() -> None:
    found = estimate_in(publish(counted(["a", "b", "c"])))
    assert (found["unsaid"], found["told"], found["packages"]) == (600, 3000, 3)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(4123, 6289, "4,100 to 6,300"), (0, 7, "0 to 7"), (31, 99, "31 to 99"), (97, 101, "90 to 110"), (0, 0, "0 to 0")],
)
def test_an_interval_is_rounded_away_from_its_middle(low: int, high: int, words: str) -> None:
    assert format_interval(low, high) == words
