"""Counting: each number of a day is the sum of the downloads that it names, whatever order the rows come in."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import TYPE_CHECKING
from weakref import ref

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rows import Row, row, to_frame
from winnow_dagster.core.categories import winnow
from winnow_dagster.core.counting import DayCounts, is_last_of_run, select_numbers, sum_days, sum_windows
from winnow_dagster.core.history import NUMBERS
from winnow_dagster.core.window import MAX_UNLISTED, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST = date(2025, 6, 1)
LAST = FIRST + timedelta(days=4)

CATEGORY_OF = {
    "pip": "honest", "uv": "honest", "pdm": "honest", "bandersnatch": "mirror", "Browser": "browser",
    "requests": "script", "": "unknown", None: "unknown", "conda": "other", "PIP": "other",
}  # fmt: skip
SYSTEMS = {"Linux": "linux", "Darwin": "macos", "Windows": "windows", "linux": "other_system", None: "other_system"}

rows = st.builds(
    row,
    st.integers(0, 4).map(lambda n: FIRST + timedelta(days=n)),
    st.sampled_from(["a", "b", "c"]),
    installer=st.sampled_from(list(CATEGORY_OF)),
    system=st.sampled_from(list(SYSTEMS)),
    ci=st.sampled_from([True, False, None]),
    downloads=st.integers(1, 2**40),
)


def honest(found: list[Row]) -> pl.DataFrame:
    return winnow(to_frame(found).lazy()).collect()


def numbers_of(each: Row) -> list[str]:
    """Return the names of the numbers that a raw count adds to."""
    category = "ci" if each["ci"] else CATEGORY_OF[each["installer"]]
    by = [str(each["installer"]), SYSTEMS[each["system"]]] if category == "honest" else []
    return ["raw", category, *by]


def count_one_by_one(found: list[Row]) -> dict[str, dict[date, tuple[int, ...]]]:
    totals: dict[tuple[str, date], Counter[str]] = {}
    for each in found:
        counter = totals.setdefault((each["package"], each["date"]), Counter())
        for number in numbers_of(each):
            counter[number] += each["downloads"]
    by_package: dict[str, dict[date, tuple[int, ...]]] = {}
    for (package, day), counter in totals.items():
        by_package.setdefault(package, {})[day] = tuple(counter[number] for number in NUMBERS)
    return by_package


@settings(max_examples=40)
@given(st.lists(rows))
def test_each_number_of_a_day_is_what_counting_one_by_one_gives(found: list[Row]) -> None:
    assert DayCounts.of([honest(found)]).by_package() == count_one_by_one(found)


@settings(max_examples=25)
@given(st.lists(rows), st.integers(0, 2**32))
def test_the_order_of_rows_makes_no_difference(found: list[Row], seed: int) -> None:
    ordered = honest(found).sort("date", "package")
    mixed = ordered.sample(fraction=1, shuffle=True, seed=seed)
    sums = [sum_days(select_numbers(r.lazy(), NUMBERS).collect(), NUMBERS) for r in (ordered, mixed)]
    assert sums[0].equals(sums[1])
    assert sums[0].select("date", "package").is_unique().all()


@settings(max_examples=25)
@given(st.lists(rows), st.integers(1, 5), st.integers(1, 5))
def test_windows_summed_together_are_windows_summed_one_by_one(found: list[Row], one: int, other: int) -> None:
    windows = [Window(one, LAST), Window(other, LAST - timedelta(days=1))]
    numbers = ("honest", "raw", "linux")
    counted = select_numbers(honest(found).lazy(), numbers)
    together = {package: sums for package, *sums in sum_windows(counted, windows, numbers).iter_rows()}
    days = DayCounts.of([honest(found)])
    for package, sums in together.items():
        totals = [days.total(window, [package])[package].numbers for window in windows]
        assert sums == [total[number] for total in totals for number in numbers]
    assert list(together) == sorted({each["package"] for each in found})


def test_a_total_leaves_out_other_days_and_other_packages() -> None:
    days = DayCounts.of([honest([row(LAST - timedelta(days=n), "a", downloads=10**n) for n in range(5)])])
    found = days.total(Window(2, LAST - timedelta(days=1)), ["a", "b"])
    assert list(found) == ["a", "b"]
    assert found["a"].honest == 10 + 100
    assert found["b"].numbers == dict.fromkeys(NUMBERS, 0)
    assert found["b"].unlisted == {}


def test_installers_that_nobody_listed_are_named_with_their_downloads_in_the_window() -> None:
    found = [
        row(LAST, "a", installer="conda", downloads=3),
        row(LAST - timedelta(days=1), "a", installer="conda", downloads=4),
        row(LAST - timedelta(days=4), "a", installer="conda", downloads=100),
        row(LAST, "a", installer="rye", downloads=5),
        row(LAST, "a", installer="rye", ci=True, downloads=50),
        row(LAST, "b", installer="other", downloads=7),
        row(LAST, "a", downloads=9),
    ]
    assert DayCounts.of([honest(found)]).total(Window(2, LAST), ["a"])["a"].unlisted == {"conda": 7, "rye": 5}


def test_installers_that_are_printed_alike_are_added_up() -> None:
    found = [row(LAST, "a", installer=name, downloads=1) for name in ("x\n", "x\t", "x\ufffd")]
    assert DayCounts.of([honest(found)]).total(Window(1, LAST), ["a"])["a"].unlisted == {"x\ufffd": 3}


def test_beyond_the_most_that_are_named_installers_are_others() -> None:
    found = [row(LAST, "a", installer=f"tool-{n:03}", downloads=1000 - n) for n in range(MAX_UNLISTED + 2)]
    unlisted = DayCounts.of([honest(found)]).total(Window(1, LAST), ["a"])["a"].unlisted
    assert unlisted is not None
    assert len(unlisted) == MAX_UNLISTED + 1
    assert unlisted["others"] == (1000 - MAX_UNLISTED) + (999 - MAX_UNLISTED)


def test_without_rows_there_are_no_days() -> None:
    for empty in (DayCounts.of([]), DayCounts.of([honest([])])):
        assert empty.by_package() == {}
        assert empty.total(Window(1, LAST), ["a"])["a"].raw == 0


def test_the_last_row_is_told_by_any_of_its_keys() -> None:
    frame = pl.DataFrame({"package": ["a", "a", "b", "b"], "date": [1, 2, 2, 2]})
    ends = frame.select(is_last_of_run(pl.col("package"), pl.col("date"))).to_series()
    assert ends.to_list() == [True, True, False, True]


def test_counted_batches_do_not_stay_in_memory() -> None:
    seen: list[ref[pl.DataFrame]] = []
    most = 0

    def batches() -> Iterator[pl.DataFrame]:
        nonlocal most
        for n in range(9):
            batch = honest([row(FIRST + timedelta(days=n), "a")])
            seen.append(ref(batch))
            most = max(most, sum(each() is not None for each in seen))
            yield batch
            del batch

    assert DayCounts.of(batches()).days["raw"].sum() == 9
    assert most <= 2
