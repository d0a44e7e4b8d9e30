"""What a day adds to Dagster's event log, by the number of packages: rows and seconds of runs, in SQLite."""

from __future__ import annotations

import logging
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import dagster as dg

from tests.conftest import FixedClock, House, make_settings
from winnow_dagster.definitions import build
from winnow_dagster.defs.resources import Installation

DAY = date(2025, 6, 30)
SETTLE_DAYS = 3
CHECKS_A_DAY = 4


def run() -> Iterator[str]:
    logging.disable(logging.CRITICAL)
    for packages in (4, 50, 500):
        with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
            settings = make_settings(Path(folder), {f"p{n}": (30,) for n in range(packages)}, "sample")
            first = House(Installation(settings, FixedClock.after(DAY)), lambda: instance)
            first.count(DAY - timedelta(days=29), DAY)
            first.publish()
            before, started = _rows(Path(folder)), time.perf_counter()
            _a_day(House(Installation(settings, FixedClock.after(DAY + timedelta(days=1))), lambda: instance))
            rows = _rows(Path(folder)) - before
            seconds = time.perf_counter() - started
            yield f"{packages} packages: {rows} rows a day, {seconds:.1f} s in all runs of the day"


def _a_day(house: House) -> None:
    """Run what the schedules and sensors run in a day without incident: two days read, all published, all checked."""
    day = DAY + timedelta(days=1)
    settled = day - timedelta(days=SETTLE_DAYS)
    for each in (day, settled):
        house.count(each, each)
    house.run("pypi_file_downloads")
    # Once after the new day, and once for the day's tick.
    for _ in range(2):
        house.publish()
    checks = build(house.winnow).resolve_job_def("winnow_check_all")
    for _ in range(CHECKS_A_DAY):
        checks.execute_in_process(instance=house.instance)


def _rows(folder: Path) -> int:
    """Return the rows of the event log: each run has a database of its own, and asset events are in the index too."""
    count = 0
    for file in folder.rglob("history/runs/*.db"):
        with closing(sqlite3.connect(file)) as connection:
            count += connection.execute("SELECT count(*) FROM event_logs").fetchone()[0]
    return count
