"""A dimension is one entry: everything derives from it, and one that a later release adds loses nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from tests import downloads
from tests.rows import row, to_frame
from winnow_dagster.core.badge import SLUGS
from winnow_dagster.core.categories import HONEST_SCHEMA, RAW_SCHEMA, winnow
from winnow_dagster.core.coverage import Reading, Request
from winnow_dagster.core.days import CountOptions
from winnow_dagster.core.history import NUMBERS
from winnow_dagster.core.names import Selector
from winnow_dagster.core.packages import describe_packages
from winnow_dagster.core.shard import ALL_COLUMNS
from winnow_dagster.site.history import format_json
from winnow_dagster.site.record import format_record
from winnow_dagster.sources.bigquery.query import PLAIN_COLUMNS
from winnow_dagster.sources.parquet.schema import COLUMNS
from winnow_dagster.store.raw import RawStore

if TYPE_CHECKING:
    from winnow_dagster.core.days import Package

ROOT = Path(__file__).parents[2]
OLD, NEW = date(2025, 6, 29), date(2025, 6, 30)
A = Selector("a")

INSTALLERS = ("pip", "pipenv", "pipx", "uv", "poetry", "pdm")


def test_what_is_stored_and_published_derives_from_the_table() -> None:
    assert RAW_SCHEMA.names() == ["date", "package", "installer", "system", "ci", "downloads"]
    assert HONEST_SCHEMA.names() == ["date", "package", "category", "installer", "system", "downloads"]
    assert NUMBERS[8:] == (*INSTALLERS, "linux", "macos", "windows", "other_system")
    assert ("honest", "raw", *INSTALLERS, "linux", "macos", "windows") == ALL_COLUMNS
    assert (
        "downloads",
        *(f"installer-{name}" for name in (*INSTALLERS, "pip-family")),
        *(f"os-{name}" for name in ("linux", "macos", "windows")),
        "honest-share",
    ) == SLUGS
    assert PLAIN_COLUMNS == ("timestamp", "project", "details.installer.name", "details.system.name", "details.ci")
    assert tuple(COLUMNS) == (*PLAIN_COLUMNS, "file.filename")


def test_each_number_has_one_name() -> None:
    assert len(set(NUMBERS)) == len(NUMBERS)


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what a release with a dimension `python` finds in a folder of this release."""
    folder = tmp_path_factory.mktemp("later")
    store = RawStore(folder)
    counts = to_frame(row(day, "a", downloads=5) for day in (OLD, NEW))
    store.add_reading(Reading([Request(A, OLD, NEW)], counts), datetime(2025, 7, 1, 4, tzinfo=UTC))
    package = published(folder)
    (folder / "history.json").write_bytes(format_json(package.state, package.history))
    (folder / "counts.json").write_bytes(format_record(package.state))
    write_exports(folder)
    command = [sys.executable, "-m", "tests.core.later_release", str(folder)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def published(folder: Path) -> Package:
    stored = RawStore(folder).load([OLD, NEW])
    return describe_packages(stored.derive(winnow), {A: (2,)}, stored.coverage, CountOptions(NEW, "parquet"))["a"][0]


def write_exports(folder: Path) -> None:
    """Write an export with `details.python` and one without."""
    pythons = ("3.12.4", "3.12.1", "3.13.0rc1", "2.7.18", None)
    downloads.write(folder / "with.parquet", [downloads.download(NEW, "b", python=python) for python in pythons])
    rows = pl.read_parquet(folder / "with.parquet")
    downloads.leave_out(rows, "details.python").write_parquet(folder / "without.parquet")


def test_a_day_stored_without_a_later_dimension_is_covered_and_not_damaged(later: dict[str, Any]) -> None:
    assert later["covered"] == {str(OLD): ["a"], str(NEW): ["a"]}
    assert later["damaged"] == {}


def test_what_was_not_read_is_null_and_what_the_client_did_not_say_is_empty(later: dict[str, Any]) -> None:
    assert later["stored"] == [
        ["a", "pip", "Linux", None, None, 5],
        ["a", "pip", "Linux", None, None, 5],
        ["b", "pip", "Linux", "", None, 1],
        ["b", "pip", "Linux", "2.7", None, 1],
        ["b", "pip", "Linux", "3.12", None, 2],
        ["b", "pip", "Linux", "3.13", None, 1],
    ]
    assert later["without the column"] == [None]


def test_numbers_of_a_day_without_the_dimension_are_unknown_and_the_others_are_not(later: dict[str, Any]) -> None:
    unknown = dict.fromkeys(("python_3.12", "python_3.13", "python_other"))
    assert later["windows"] == {
        "a 2": {"honest": 10, "linux": 10, **unknown},
        "a 1": {"honest": 5, "linux": 5, **unknown},
        "b 1": {"honest": 5, "linux": 5, "python_3.12": 2, "python_3.13": 1, "python_other": 2},
        "_group/both 1": {"honest": 10, "linux": 10, **unknown},
    }
    assert later["shards"] == {
        "a": {"honest": 5, "linux": 5},
        "b": {"honest": 5, "linux": 5, "python_3.12": 2, "python_3.13": 1},
    }


def test_no_published_day_is_lost_and_what_it_lacks_is_unknown(later: dict[str, Any]) -> None:
    assert [day["date"] for day in later["history"]] == [str(OLD), str(NEW)]
    for day in later["history"]:
        assert (day["raw"], day["by_installer"]["pip"], day["by_system"]["linux"]) == (5, 5, 5)
        assert day["by_python"] == {"3.12": None, "3.13": None, "other": None}
    assert later["csv"][0].endswith("other_system,python_3.12,python_3.13,python_other,definition,source")
    assert later["csv"][1].endswith(",0,,,,files,parquet")
    assert later["record"]["2"]["by_python"] == {"3.12": None, "3.13": None}
    assert later["record"]["2"]["by_system"] == {"Linux": 10, "Darwin": 0, "Windows": 0}


def test_a_dimension_gives_badges_whose_names_have_digits_and_dots(later: dict[str, Any]) -> None:
    assert later["badges"] == {"python-3.12-1d-non-ci.json": "2", "python-3.13-1d-non-ci.json": "1"}
    assert later["labels"] == ["Python 3.12 (1d)"]
    assert later["parsed"] == ["python-3.12", 30]
    assert later["config"] == ["python-3.12"]
    assert set(later["old badges"].values()) == {"–"}  # noqa: RUF001 - a dash


def test_a_dimension_has_a_table_and_a_chart(later: dict[str, Any]) -> None:
    table = later["page"].partition("<h2>Honest, by python</h2>")[2].partition("</table>")[0]
    for value in ("3.12", "other or not said"):
        cells = table.partition(f'<th scope="row">{value}</th>')[2].partition("</tr>")[0]
        assert '<path class="c-honest" d="M0 0h100v10H0z"/>' in cells
        assert cells.endswith('<td class="n">2</td><td class="n">40.0%</td>')
    assert "python-3.12-1d-non-ci.svg" in later["page"]
    assert "Honest downloads by day and Python" in later["chart"]
    assert later["chart"].count('class="c-ci"') == later["chart"].count('class="c-script"') == 1
    missing = later["unknown chart"].partition('class="missing" d="')[2].partition('"')[0]
    assert missing.count("M") == 2


def test_the_query_reads_a_dimension_and_its_cost_grows(later: dict[str, Any]) -> None:
    assert r"IFNULL(REGEXP_EXTRACT(details.python, r'^\d+\.\d+'), '') AS python, details.ci" in later["query"]
    assert "GROUP BY date, package, installer, system, python, ci" in later["query"]
    assert later["size"] == pytest.approx(1.263, abs=0.001)
