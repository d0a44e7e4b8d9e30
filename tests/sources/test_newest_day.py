"""Which day a source holds whole, by each source's own means; asked for without reading a row."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.downloads import download, write
from tests.fake_bigquery import fake, refused
from winnow_dagster.sources.bigquery.jobs import RetryPolicy
from winnow_dagster.sources.bigquery.settings import BigQuerySettings
from winnow_dagster.sources.bigquery.source import BigQuerySource
from winnow_dagster.sources.interface import Source, TransientError
from winnow_dagster.sources.parquet.source import ParquetSource
from winnow_dagster.sources.sample import SampleSource
from winnow_dagster.store.ledger import ledger_of

TODAY = date(2025, 7, 1)
YESTERDAY = TODAY - timedelta(days=1)


def test_there_is_a_sample_of_every_day_that_is_over() -> None:
    assert SampleSource().newest_day(TODAY) == YESTERDAY


def test_files_hold_the_newest_day_before_today_that_they_have_a_row_of(tmp_path: Path) -> None:
    for back in (0, 2, 5):
        day = TODAY - timedelta(days=back)
        write(tmp_path / f"{day}.parquet", [download(day, "a")])
    source: Source = ParquetSource(str(tmp_path / "*.parquet"))
    assert source.newest_day(TODAY) == TODAY - timedelta(days=2)
    assert source.newest_day(TODAY - timedelta(days=9)) is None


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "winnow-test")


@pytest.mark.parametrize(
    ("modified", "newest"),
    [
        ("1751328000000", YESTERDAY),  # 2025-07-01 00:00:00
        ("1751327999000", YESTERDAY - timedelta(days=1)),  # a second before
        ("4102444800000", YESTERDAY),  # in 2100
    ],
)
def test_bigquery_holds_the_days_that_were_over_when_the_table_was_last_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modified: str, newest: date
) -> None:
    with fake() as service:
        service.modified = modified
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", service.url)
        source = BigQuerySource(BigQuerySettings(), None, ledger_of(tmp_path))
        assert source.newest_day(TODAY) == newest
        assert service.operations() == ["table"]
        service.script("table", refused(403, "accessDenied"))
        assert source.newest_day(TODAY) is None


def test_bigquery_that_is_down_may_be_asked_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake() as service:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", service.url)
        service.script("table", *[refused(503, "backendError")] * 3)
        retry_policy = RetryPolicy(tries=2, initial=0.01, maximum=0.01)
        source = BigQuerySource(BigQuerySettings(), None, ledger_of(tmp_path), retry_policy)
        with pytest.raises(TransientError):
            source.newest_day(TODAY)
