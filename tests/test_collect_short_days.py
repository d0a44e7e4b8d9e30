"""`winnow collect` on a short day, and on days that the user wants re-read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from tests.downloads import download, write
from winnow_dagster.cli import main
from winnow_dagster.config.loading import CONFIG_VARIABLE
from winnow_dagster.config.settings import HOME_VARIABLE

if TYPE_CHECKING:
    from datetime import date

TODAY = datetime.now(UTC).date()
NEWEST = TODAY - timedelta(days=2)
"""Not yesterday: midnight may pass while a test runs."""

PER_DAY = 60


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    for back in range(40):
        export(NEWEST - timedelta(days=back), PER_DAY)
    packages = [{"name": name, "window_days": 3} for name in ("a", "b")]
    config = {"source": {"kind": "parquet", "path": "rows", "settle_days": 0}, "packages": packages}
    Path("winnow.yaml").write_text(json.dumps(config))
    return tmp_path


def export(day: date, downloads: int) -> None:
    write(Path(f"rows/{day}.parquet"), [download(day, name) for name in ("a", "b") for _ in range(downloads)])


def collect(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["collect", "--through", str(NEWEST), *arguments], catch_exceptions=False)


def honest(package: str) -> int | None:
    window = json.loads(Path(f"public/{package}/counts.json").read_bytes())["windows"]["3"]
    found: int | None = window.get("categories", {}).get("honest")
    return found


def test_after_a_short_day_collect_exits_with_1_and_prints_one_line_for_all_packages() -> None:
    export(NEWEST, 1)
    result = collect()
    assert result.exit_code == 1
    lines = [line for line in result.stdout.splitlines() if "is short" in line]
    until = NEWEST + timedelta(days=14)
    (line,) = lines
    assert line.startswith(f"{NEWEST} is short: the source has 2 rows of all packages, and usually about 120 on this")
    assert line.endswith(f"Winnow reads it once its rows are back, or as it is from {until} on")
    assert result.stdout.count(f"PyPI's log lacks rows of {NEWEST}") == 2
    assert honest("a") is None


def test_once_the_rows_are_back_the_next_collect_is_whole() -> None:
    export(NEWEST, 1)
    collect()
    export(NEWEST, PER_DAY)
    result = collect()
    assert result.exit_code == 0
    assert "is short" not in result.stdout
    assert honest("a") == 3 * PER_DAY


def test_refetch_prints_the_cost_and_re_reads_the_day() -> None:
    collect()
    export(NEWEST, PER_DAY + 5)
    assert collect().exit_code == 0
    assert honest("a") == 3 * PER_DAY
    result = collect("--refetch", str(NEWEST))
    assert result.exit_code == 0
    assert f"reading {NEWEST} to {NEWEST} again: parquet costs nothing" in result.stdout
    assert honest("a") == 3 * PER_DAY + 5


def test_refetch_re_reads_a_range_of_days() -> None:
    collect()
    before = NEWEST - timedelta(days=1)
    for day in (before, NEWEST):
        export(day, PER_DAY + 1)
    assert collect("--refetch", f"{before}..{NEWEST}").exit_code == 0
    assert honest("a") == 3 * PER_DAY + 2


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("yesterday", "is not a day"),
        (f"{NEWEST}..{NEWEST - timedelta(days=1)}", "Write the older day first"),
        (str(TODAY + timedelta(days=1)), "is not over yet"),
        ("2020-01-01", "is before start_date"),
        (f"{NEWEST}..", f"--refetch: '{NEWEST}..' has only one end. Write both days, as "),
        (f"..{NEWEST}", f"--refetch: '..{NEWEST}' has only one end. Write both days, as "),
        ("", "--refetch: '' is not a day"),
    ],
)
def test_an_invalid_range_of_days_is_refused(given: str, complaint: str) -> None:
    result = collect("--refetch", given)
    assert result.exit_code == 2
    assert complaint in result.stderr
