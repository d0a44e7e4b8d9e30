"""The estimate of unsaid CI follows what installers say, stays within what is unsaid, and is silent without data."""

from __future__ import annotations

import math
from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from winnow_dagster.core.coverage import BREAKDOWN_SCHEMA
from winnow_dagster.core.dimensions import FORMER_DIMENSIONS, KERNEL
from winnow_dagster.core.unsaid_ci import (
    CELLS_SCHEMA,
    MAX_WIDTH,
    MIN_DAYS,
    MIN_PACKAGES,
    MIN_TOLD,
    MIN_UNSAID,
    UnsaidCi,
    estimate,
    kernel_cells,
)

DAY = date(2026, 9, 30)
NONE = pl.DataFrame(schema=CELLS_SCHEMA)
CLASSES = ("azure", "wsl", "macos")

PYTHONS = ("3.11", "3.12", "")

Cell = tuple[str, date, str, str, int, int, int]


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


def frame(cells: list[Cell]) -> pl.DataFrame:
    return pl.DataFrame(cells, schema=CELLS_SCHEMA, orient="row")


def even(
    package: str = "a",
    *,
    days: int = 30,
    told: int = 100,
    ci: int = 40,
    unsaid: int = 20,
    kernel: str = "azure",
    python: str = "3.12",
) -> list[Cell]:
    """Return the same cell on each day."""
    return [(package, ago(n), kernel, python, told, ci, unsaid) for n in range(days)]


def shown(cells: list[Cell], pool: pl.DataFrame = NONE) -> UnsaidCi:
    found = estimate(frame(cells), pool)
    assert found is not None
    return found


def middle(found: UnsaidCi) -> float:
    """Return the middle on the scale of log-odds, on which the interval is symmetric up to rounding."""
    low, high = ((n + 0.5) / (found.unsaid + 1) for n in (found.low, found.high))
    return (math.log(low / (1 - low)) + math.log(high / (1 - high))) / 2


counts = st.tuples(st.integers(0, 200), st.floats(0, 1), st.integers(0, 40))
traffic = st.lists(
    st.tuples(st.just("a"), st.integers(0, 20).map(ago), st.sampled_from(CLASSES), st.sampled_from(PYTHONS), counts),
    max_size=80,
    unique_by=lambda cell: cell[1:4],
).map(lambda cells: [(*key, n, round(n * share), m) for *key, (n, share, m) in cells])


@given(traffic, traffic)
def test_no_interval_leaves_the_downloads_that_do_not_say(cells: list[Cell], others: list[Cell]) -> None:
    found = estimate(frame(cells), pl.concat([frame(cells), frame(others).with_columns(package=pl.lit("b"))]))
    unsaid = sum(cell[-1] for cell in cells)
    if found:
        assert 0 <= found.low <= found.high <= found.unsaid == unsaid
        assert unsaid >= MIN_UNSAID
        assert found.told >= MIN_TOLD
        assert found.high - found.low <= MAX_WIDTH * unsaid


@given(st.integers(0, 99), st.integers(1, 60))
def test_more_ci_among_those_that_say_is_more_among_those_that_do_not(ci: int, more: int) -> None:
    assume(ci + more <= 100)
    wsl = even(kernel="wsl", ci=10)
    less, greater = (shown([*even(ci=count), *wsl]) for count in (ci, ci + more))
    assert (less.low, less.high) <= (greater.low, greater.high)
    assert middle(less) <= middle(greater)


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(chance: object) -> None:
    cells = [*even(ci=30), *even(kernel="wsl", ci=3, unsaid=5)]
    mixed = list(cells)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    assert estimate(frame(cells), NONE) == estimate(frame(mixed), NONE)


def test_each_class_of_kernels_has_its_own_share() -> None:
    said = [*even(ci=90, unsaid=0), *even(kernel="wsl", ci=2, unsaid=0)]
    azure, wsl = (shown([*said, *even(told=0, ci=0, unsaid=20, kernel=kernel)]) for kernel in ("azure", "wsl"))
    assert azure.low > 0.85 * azure.unsaid
    assert wsl.high < 0.05 * wsl.unsaid


def test_each_python_has_its_own_share_within_a_class_of_kernels() -> None:
    said = [*even(ci=90, unsaid=0, python="3.9"), *even(ci=2, unsaid=0)]
    old, new = (shown([*said, *even(told=0, ci=0, python=python)]) for python in ("3.9", "3.12"))
    assert old.low > 0.85 * old.unsaid
    assert new.high < 0.05 * new.unsaid


def test_a_python_with_few_downloads_shrinks_towards_its_class_of_kernels() -> None:
    # 97 % of the downloads on Azure are in CI, 3 % of those on WSL. Nothing is known of a tenth of the Pythons.
    said = [*even(ci=97, unsaid=0), *even(ci=3, unsaid=0, kernel="wsl")]
    rare = [*even(days=1, told=1, ci=0, unsaid=0, python="3.15"), *even(told=0, ci=0, unsaid=2, python="3.15")]
    found = shown([*said, *even(told=0, ci=0, unsaid=18), *rare])
    assert found.low < 0.97 * 540 + 0.65 * 60 < found.high
    assert middle(found) > math.log(0.9 / 0.1)


def test_days_that_differ_make_the_interval_wider() -> None:
    alike = shown(even())
    cells: list[Cell] = [
        (name, day, kernel, python, told, 10 if day.day % 2 else 70, unsaid)
        for name, day, kernel, python, told, _, unsaid in even()
    ]
    assert sum(cell[5] for cell in cells) == sum(cell[5] for cell in even())
    differing = shown(cells)
    assert differing.high - differing.low > 1.5 * (alike.high - alike.low)
    assert differing.low < alike.low < alike.high < differing.high


def test_more_days_make_the_interval_narrower() -> None:
    short, long = (shown(even(days=days)) for days in (MIN_DAYS, 60))
    assert (long.high - long.low) / long.unsaid < (short.high - short.low) / short.unsaid


@pytest.mark.parametrize(
    "cells",
    [
        [],
        even(unsaid=0),
        even(days=1, unsaid=MIN_UNSAID - 1, told=1000, ci=400),
        even(days=MIN_DAYS - 1),
        even(told=(MIN_TOLD - 1) // 30, ci=1),
        even(told=0, ci=0),
        [*even(unsaid=0), *even(told=0, ci=0, kernel="never seen")],
        even(told=10**6, ci=0),
        even(told=10**6, ci=10**6),
    ],
    ids=[
        "nothing",
        "all say",
        "too few unsaid",
        "too few days",
        "too few told",
        "none told",
        "no class in common",
        "none in CI",
        "all in CI",
    ],
)
def test_nothing_is_shown_where_the_data_cannot_carry_it(cells: list[Cell]) -> None:
    assert estimate(frame(cells), NONE) is None


def test_a_package_with_too_few_downloads_learns_from_all_packages() -> None:
    small = even(told=1, ci=1)
    others = [cell for n in range(MIN_PACKAGES) for cell in even(f"b{n}", ci=40, unsaid=0)]
    found = shown(small, frame(others))
    assert (found.packages, found.told) == (MIN_PACKAGES, 30 * 100 * MIN_PACKAGES)
    assert found.low < 0.4 * found.unsaid < found.high
    assert estimate(frame(small), frame(others[: -30 * 2])) is None, "fewer packages do not tell how they differ"
    enough = shown(even(ci=90), frame(others))
    assert enough.packages == 1
    assert enough.low > 0.8 * enough.unsaid


def test_packages_that_differ_make_the_interval_of_a_small_one_wider() -> None:
    small = even(told=1, ci=0, unsaid=20)
    alike, differing = (
        shown(small, frame([cell for n in range(12) for cell in even(f"b{n}", ci=40 + by * (-1) ** n, unsaid=0)]))
        for by in (0, 10)
    )
    assert differing.high - differing.low > 1.5 * (alike.high - alike.low)


def test_cells_count_who_says_and_who_never_does_and_leave_out_all_others() -> None:
    rows = [
        (DAY, "a", KERNEL.name, "azure/3.12", "pip", True, 7),
        (DAY, "a", KERNEL.name, "azure/3.12", "pip", None, 2),
        (DAY, "a", KERNEL.name, "azure/3.12", "uv", None, 1),
        (DAY, "a", KERNEL.name, "azure/3.12", "poetry", None, 5),
        (DAY, "a", KERNEL.name, "azure/3.12", "pdm", None, 3),
        (DAY, "a", KERNEL.name, "azure/3.12", "poetry", True, 4),
        (DAY, "a", KERNEL.name, "azure/3.12", "Browser", None, 90),
        (DAY, "a", KERNEL.name, "azure/3.12", None, None, 90),
        (DAY, "a", KERNEL.name, "", "poetry", None, 90),
        (DAY, "a", "python", "3.12", "pip", None, 90),
        (DAY, "b", KERNEL.name, "wsl/3.9", "pip", None, 6),
        (DAY, "b", KERNEL.name, "wsl/", "poetry", None, 4),
    ]
    found = kernel_cells(pl.DataFrame(rows, schema=BREAKDOWN_SCHEMA, orient="row"))
    assert sorted(found.iter_rows()) == [
        ("a", DAY, "azure", "3.12", 10, 7, 8),
        ("b", DAY, "wsl", "", 0, 0, 4),
        ("b", DAY, "wsl", "3.9", 6, 0, 0),
    ]


@pytest.mark.parametrize("other", FORMER_DIMENSIONS)
def test_days_of_another_version_of_the_classes_are_not_mixed(other: str) -> None:
    rows = [(DAY, "a", other, "azure", "pip", True, 7), (DAY, "a", other, "azure", "poetry", None, 7)]
    assert kernel_cells(pl.DataFrame(rows, schema=BREAKDOWN_SCHEMA, orient="row")).is_empty()
