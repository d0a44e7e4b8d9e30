"""Sample data: the same for everyone, of every category, and for any package."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from winnow_dagster.core.categories import CATEGORIES, winnow
from winnow_dagster.core.coverage import Reading, Request
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.sample import SampleSource

FIRST, LAST = date(2025, 6, 1), date(2025, 6, 30)
ROOT = Path(__file__).parents[2]


def counts(name: str, first: date = FIRST, last: date = LAST) -> pl.DataFrame:
    (answer,) = SampleSource().read([Request(Selector.parse(name), first, last)])
    assert isinstance(answer, Reading)
    return answer.counts


def test_a_day_has_the_same_counts_in_whatever_range_and_process_it_is_read() -> None:
    alone = counts("barley", LAST, LAST)
    assert alone.equals(counts("barley").filter(pl.col("date") == LAST))
    program = (
        "from tests.sources.test_sample import LAST, counts;print(counts('barley', LAST, LAST)['downloads'].to_list())"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert other.stdout.strip() == str(alone["downloads"].to_list())


@pytest.mark.parametrize("name", ["barley", "oat", "rye", "wheat"])
def test_every_category_has_a_believable_share(name: str) -> None:
    honest = winnow(counts(name).lazy()).collect()
    shares = dict(honest.group_by("category").agg(pl.col("downloads").sum() / honest["downloads"].sum()).iter_rows())
    assert set(shares) == set(CATEGORIES)
    assert 0.3 < shares["honest"] < 0.7
    assert 0.15 < shares["ci"] < 0.5


def test_a_prefix_has_packages_of_its_own() -> None:
    packages = set(counts("grain-*")["package"])
    assert len(packages) > 1
    assert all(package.startswith("grain-") for package in packages)
