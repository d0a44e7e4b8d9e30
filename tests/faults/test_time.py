"""Clocks and calendars: whole UTC days wherever the machine thinks it is, and nothing goes back with a clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.conftest import DAY, FixedClock, MakeHouse, RowSource
from tests.downloads import download, write
from tests.rows import row
from winnow_dagster.core.coverage import Request
from winnow_dagster.core.names import Selector
from winnow_dagster.core.window import newest_window
from winnow_dagster.defs.clock import Clock
from winnow_dagster.sources.parquet.source import ParquetSource

ONE_DAY = timedelta(days=1)


@pytest.fixture
def source() -> RowSource:
    return RowSource(rows=[row(DAY - n * ONE_DAY, "a", downloads=10 + n) for n in range(-9, 40)])


@pytest.fixture(
    params=["Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu", "America/New_York", "Nowhere/At_All"]
)
def timezone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def test_days_are_utc_wherever_the_machine_is(make_house: MakeHouse, timezone: str) -> None:
    house = make_house({"a": (7,)})
    house.count(DAY - 6 * ONE_DAY, DAY)
    house.publish()
    record = house.winnow.web.read("a")
    assert record
    assert record.headline.counts
    assert record.headline.counts.window.as_of == DAY
    assert record.headline.counts.honest == sum(range(10, 17))
    assert Clock().through == datetime.now(UTC).date() - ONE_DAY


def test_rows_belong_to_their_utc_day_wherever_the_machine_is(make_house: MakeHouse, timezone: str) -> None:
    folder = make_house.folder
    edges = [datetime(2025, 6, 30, 0, 0, tzinfo=UTC), datetime(2025, 6, 30, 23, 59, 59, 999_999, tzinfo=UTC)]
    outside = [datetime(2025, 6, 29, 23, 59, 59, 999_999, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC)]
    write(folder / "rows.parquet", [download(moment, "a") for moment in (*edges, *outside)])
    (answer,) = ParquetSource(str(folder / "rows.parquet")).read([Request(Selector("a"), DAY, DAY)])
    assert answer.counts["downloads"].sum() == 2  # type: ignore[union-attr]


@dataclass(frozen=True)
class Ticking(Clock):
    """A clock on which a second passes whenever somebody looks."""

    moments: Iterator[datetime] = field(default_factory=lambda: iter(()))

    def now(self) -> datetime:
        return next(self.moments)


def seconds_from(start: datetime) -> Iterator[datetime]:
    while True:
        yield start
        start += timedelta(seconds=1)


@pytest.mark.parametrize("before_midnight", [0, 1, 2, 3, 5, 8, 13, 21])
def test_a_run_across_midnight_counts_whole_days_only(make_house: MakeHouse, before_midnight: int) -> None:
    midnight = datetime(2025, 7, 1, tzinfo=UTC)
    clock = Ticking(moments=seconds_from(midnight - timedelta(seconds=before_midnight)))
    house = make_house({"a": (3,), "b": (3,)}, clock)
    if not house.count(DAY - 3 * ONE_DAY, DAY).success:
        # The last day was not over when the run began, so nothing was read.
        assert house.winnow.raw.stored_days() == []
        assert house.count(DAY - 3 * ONE_DAY, DAY - ONE_DAY).success
    house.publish()
    record = house.winnow.web.read("a")
    assert record
    assert record.headline.counts
    as_of = record.headline.counts.window.as_of
    assert as_of in {DAY - ONE_DAY, DAY}
    assert record.headline.counts.honest == sum(10 + (DAY - as_of).days + n for n in range(3))


def test_a_leap_day_is_a_day_of_its_window() -> None:
    window = newest_window(30, lambda _: True, start=date(2024, 1, 1), through=date(2024, 3, 1))
    assert window
    assert window.first_day == date(2024, 2, 1)
    gap = newest_window(30, lambda day: day != date(2024, 2, 29), start=date(2024, 1, 1), through=date(2024, 3, 1))
    assert gap
    assert gap.as_of == date(2024, 2, 28)


def test_a_clock_that_was_ahead_and_is_put_back_takes_nothing_back(make_house: MakeHouse) -> None:
    ahead = make_house({"a": (3,)}, FixedClock.after(DAY + 5 * ONE_DAY))
    ahead.count(DAY + 3 * ONE_DAY, DAY + 5 * ONE_DAY)
    ahead.publish()
    folder = ahead.output_dir
    before = {path: path.read_bytes() for path in (folder / "a").iterdir()}
    back = make_house({"a": (3,)}, FixedClock.after(DAY))
    back.count(DAY - 3 * ONE_DAY, DAY)
    back.publish()
    assert {path: path.read_bytes() for path in (folder / "a").iterdir()} == before


def test_what_is_read_with_a_clock_put_back_takes_the_place_of_what_was_read_before(make_house: MakeHouse) -> None:
    house = make_house({"a": (1,)}, FixedClock(moment=datetime(2025, 7, 1, 12, tzinfo=UTC)))
    house.count(DAY, DAY)
    make_house.source.rows = [row(DAY, "a", downloads=77)]
    back = make_house({"a": (1,)}, FixedClock(moment=datetime(2025, 7, 1, 11, tzinfo=UTC)))
    back.count(DAY, DAY, refetch=True)
    back.publish()
    record = back.winnow.web.read("a")
    assert record
    assert record.headline.counts
    assert record.headline.counts.honest == 77
