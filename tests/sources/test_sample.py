"""Sample data: the same for everyone, of every category, and for any package."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from packaging.version import Version

from winnow_dagster.core.categories import CATEGORIES, winnow
from winnow_dagster.core.coverage import Reading, Request
from winnow_dagster.core.dimensions import INSTALLER, OPEN_DIMENSIONS
from winnow_dagster.core.names import Selector
from winnow_dagster.sources.sample import SampleSource
from winnow_dagster.sources.sample_values import Client, SampleValues

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


def test_each_dimension_sums_to_the_counts_and_only_those_asked_for_are_made() -> None:
    keys = ["date", "package", "installer", "ci"]
    for name in ("barley", "grain-*"):
        whole = counts(name).group_by(keys).agg(pl.col("downloads").sum()).sort(keys)
        for dimensions in (("python",), tuple(OPEN_DIMENSIONS), ()):
            found = breakdowns(name, *dimensions)
            assert set(found["dimension"]) == set(dimensions)
            assert not found.select("dimension", "value", *keys).is_duplicated().any()
            for _, rows in found.group_by("dimension"):
                assert rows.group_by(keys).agg(pl.col("downloads").sum()).sort(keys).equals(whole)


@pytest.mark.parametrize("name", OPEN_DIMENSIONS)
def test_clients_name_values_of_each_dimension(name: str) -> None:
    assert len(set(breakdowns("oat", name)["value"]) - {""}) > 1, "give it values in sample_values.py"


def test_a_dimension_without_made_up_values_is_not_said() -> None:
    clients = [(Client("pip", "Linux", None), 5)]
    assert SampleValues("oat").break_down("new", LAST, clients) == {("", "pip", None): 5}


def test_breakdowns_change_no_count_and_are_the_same_in_whatever_range_and_process() -> None:
    (answer,) = SampleSource().read([Request(Selector.parse("oat"), LAST, LAST, dimensions=tuple(OPEN_DIMENSIONS))])
    assert isinstance(answer, Reading)
    assert answer.counts.equals(counts("oat", LAST, LAST))
    assert answer.breakdowns.equals(breakdowns("oat", *OPEN_DIMENSIONS).filter(pl.col("date") == LAST))
    program = (
        "from tests.sources.test_sample import *;print(breakdowns('oat', *OPEN_DIMENSIONS)['downloads'].hash().sum())"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert other.stdout.strip() == str(breakdowns("oat", *OPEN_DIMENSIONS)["downloads"].hash().sum())


def test_the_counts_of_the_sample_are_those_of_earlier_releases() -> None:
    found = counts("barley", LAST, LAST).sort("downloads", descending=True).head(3)
    assert found.rows() == [
        (LAST, "barley", "pip", "Linux", True, 180),
        (LAST, "barley", "pip", "Linux", None, 165),
        (LAST, "barley", "uv", "Linux", None, 77),
    ]


def test_ci_runs_every_python_and_people_recent_ones() -> None:
    honest, ci = shares("barley", "python")
    matrix = [ci[f"3.{minor}"] for minor in range(9, 15)]
    assert max(matrix) < 1.1 * min(matrix)
    assert 0 < ci["3.8"] < 0.05
    assert sum(honest[f"3.{minor}"] for minor in range(11, 15)) > 0.6
    assert 0 < honest["3.9"] < 0.1
    assert honest[""] > 0


@pytest.mark.parametrize(
    ("dimension", "values"),
    [
        ("country", {"US", "DE", "CN", ""}),
        ("libc", {"glibc", "musl", ""}),
        ("cpu", {"x86_64", "arm64", "AMD64", "aarch64", ""}),
        ("file_type", {"bdist_wheel", "sdist"}),
        ("subcommand", {"sync", "pip install", "tool run", "lock", ""}),
        ("kernel_v2", {"azure/3.12", "wsl/3.13", "macos/3.14", "windows/3.9", ""}),
    ],
)
def test_values_are_spelled_as_in_the_log(dimension: str, values: set[str]) -> None:
    honest, _ = shares("barley", dimension)
    assert values <= honest.keys()


def test_releases_appear_within_a_month_or_two_and_people_upgrade_in_weeks() -> None:
    found = breakdowns("barley", "version", first=FIRST - timedelta(days=90))
    by_day = _honest(found).group_by("date", "value").agg(pl.col("downloads").sum())
    by_day = by_day.with_columns(share=pl.col("downloads") / pl.col("downloads").sum().over("date")).sort("date")
    first = {version: day for day, version in by_day.select("date", "value").reverse().iter_rows()}
    new = sorted((version for version, day in first.items() if day > FIRST - timedelta(days=80)), key=first.__getitem__)
    assert len(new) >= 3
    uptake = by_day.filter(pl.col("value") == new[0])["share"].to_list()
    assert uptake[0] < 0.15
    assert uptake[14] > 2 * uptake[0]
    assert all(Version(version).release for version in first)
    assert [Version(version) for version in new] == sorted(Version(version) for version in new)


def breakdowns(name: str, *dimensions: str, first: date = FIRST, last: date = LAST) -> pl.DataFrame:
    (answer,) = SampleSource().read([Request(Selector.parse(name), first, last, dimensions=dimensions)])
    assert isinstance(answer, Reading)
    return answer.breakdowns


def shares(name: str, dimension: str) -> tuple[dict[str, float], dict[str, float]]:
    """Return the honest and the CI share of each value."""
    found = breakdowns(name, dimension)
    return _shares(_honest(found)), _shares(found.filter("ci"))


def _honest(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("ci").is_null(), pl.col("installer").is_in(list(INSTALLER.values)))


def _shares(rows: pl.DataFrame) -> dict[str, float]:
    downloads = pl.col("downloads").sum()
    return dict(rows.group_by("value").agg(downloads / rows["downloads"].sum()).iter_rows())
