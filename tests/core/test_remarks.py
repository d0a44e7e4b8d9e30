"""A number of 0 has a reason, or a remark that asks whether the name is right."""

from __future__ import annotations

from datetime import date

import pytest

from winnow_dagster.core.history import NUMBERS
from winnow_dagster.core.names import Selector
from winnow_dagster.core.remarks import judge_downloads, remark_on
from winnow_dagster.core.window import ALL, PackageState, Window, WindowCounts, WindowState

DAY = date(2025, 6, 30)


def window(days: int, downloads: int | None, category: str = "honest", *, length: int | None = None) -> WindowState:
    """Return a window of so many downloads, or one that is not whole yet."""
    if downloads is None:
        return WindowState(days, None, 0)
    numbers = dict.fromkeys(NUMBERS, 0) | {"raw": downloads, category: downloads}
    counts = WindowCounts(Window(length or days, DAY), numbers)
    return WindowState(days, counts, days)


def state(*windows: WindowState, package: str = "a") -> PackageState:
    return PackageState(package, "parquet", windows)


@pytest.mark.parametrize(
    ("windows", "remark"),
    [
        ([window(30, 0)], "no download in 30 days: is the name right?"),
        ([window(1, 0)], "no download in 1 day: is the name right?"),
        ([window(7, 0), window(30, 0)], "no download in 30 days: is the name right?"),
        ([window(7, 0), window(30, None)], "no download in 7 days: is the name right?"),
        ([window(ALL, 0, length=45)], "no download in 45 days: is the name right?"),
        ([window(7, 0), window(30, 1)], None),
        # The log knows the name, even if no person installed it.
        ([window(30, 1, "mirror")], None),
        ([window(30, None)], None),
    ],
)
def test_a_package_without_a_download_in_its_longest_whole_window_gets_a_remark(
    windows: list[WindowState], remark: str | None
) -> None:
    assert remark_on(state(*windows)) == remark


def test_a_group_without_a_download_is_asked_about_its_members() -> None:
    assert remark_on(state(window(30, 0), package="_group/mine")) == "no download in 30 days: are the names right?"


def test_a_prefix_that_was_read_and_selects_nothing_gets_a_remark_and_one_that_was_not_read_has_its_reason() -> None:
    selectors = [Selector.parse(text) for text in ("dagstr-*", "dagster-*", "late-*", "*")]
    published = {"dagster-*": [state(window(30, 5), package="dagster-x")], "dagstr-*": [], "late-*": [], "*": []}
    verdict = judge_downloads(published, selectors, {"late-*"})
    assert verdict.bad == {"dagstr-*": "no package with such a name was downloaded: is the prefix right?"}
    assert verdict.looked_at == 1
