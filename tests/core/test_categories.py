"""Every raw download falls in exactly one category, and only the listed installers are honest."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rows import Row, row, to_frame
from winnow_dagster.core.categories import (
    BROWSERS,
    CATEGORIES,
    HONEST_SCHEMA,
    INSTALLERS,
    MIRRORS,
    SCRIPTS,
    winnow,
)

DAY = date(2025, 6, 30)

installers = st.sampled_from([*INSTALLERS, *MIRRORS, *BROWSERS, *SCRIPTS, "conda", "", "PIP", None]) | st.text(
    max_size=5
)
raw_rows = st.builds(
    row,
    st.dates(date(2025, 6, 1), date(2025, 6, 3)),
    st.sampled_from(["a", "b"]),
    installer=installers,
    system=st.sampled_from(["Linux", "Darwin", "Windows", "FreeBSD", None]),
    ci=st.sampled_from([True, False, None]),
    downloads=st.integers(1, 2**40),
)


def categorise(installer: str | None, *, ci: bool | None) -> str:
    raw = to_frame([row(DAY, "a", installer=installer, system=None, ci=ci)])
    category: str = winnow(raw.lazy()).collect()["category"].item()
    return category


@given(st.lists(raw_rows))
def test_the_seven_categories_sum_to_the_raw_total_of_each_day_and_package(rows: list[Row]) -> None:
    raw = to_frame(rows)
    honest = winnow(raw.lazy()).collect()
    assert honest.schema == HONEST_SCHEMA
    assert set(honest["category"]) <= set(CATEGORIES)
    keys = ["date", "package"]
    totals = [frame.group_by(keys).agg(pl.col("downloads").sum()).sort(keys) for frame in (raw, honest)]
    assert totals[0].equals(totals[1])


@pytest.mark.parametrize("ci", [None, False])
@pytest.mark.parametrize("installer", INSTALLERS)
def test_a_listed_installer_outside_ci_is_honest_whether_ci_is_null_or_false(
    installer: str, *, ci: bool | None
) -> None:
    assert categorise(installer, ci=ci) == "honest"


@given(installers)
def test_ci_wins_over_every_installer(installer: str | None) -> None:
    assert categorise(installer, ci=True) == "ci"


@pytest.mark.parametrize(
    ("installer", "category"),
    [
        ("bandersnatch", "mirror"),
        ("Nexus", "mirror"),
        ("devpi", "mirror"),
        ("Artifactory", "mirror"),
        ("z3c.pypimirror", "mirror"),
        ("pep381client", "mirror"),
        ("Browser", "browser"),
        ("requests", "script"),
        (None, "unknown"),
        ("", "unknown"),
        ("conda", "other"),
        ("Homebrew", "other"),
        ("setuptools", "other"),
        ("rye", "other"),
        ("OS", "other"),
        ("PIP", "other"),
        ("pip ", "other"),
        ("nexus", "other"),
    ],
)
def test_what_is_not_listed_exactly_is_not_counted(installer: str | None, category: str) -> None:
    assert categorise(installer, ci=None) == category
