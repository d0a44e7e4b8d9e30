"""A month of 100 packages on the emulator: what is asked for, beside a 30-day query per package and day."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import dagster as dg

from tests import emulator
from tests.conftest import FixedClock, House, make_settings
from tests.downloads import download
from winnow_dagster.core.billing import TIB, format_bytes
from winnow_dagster.defs.resources import Installation
from winnow_dagster.sources.bigquery.billing import Figures
from winnow_dagster.store.ledger import ledger_of

PACKAGES, WINDOW, DAYS = 100, 30, 30
FIRST = date(2025, 6, 30)


def run() -> Iterator[str]:
    logging.disable(logging.WARNING)
    with (
        tempfile.TemporaryDirectory() as folder,
        emulator.emulator() as host,
        emulator.client(host) as client,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        emulator.create_file_downloads(client)
        rows = [download(FIRST + timedelta(days=n), "p0") for n in range(-WINDOW, DAYS + 1)]
        emulator.insert_downloads(client, [r | {"timestamp": r["timestamp"].isoformat()} for r in rows])
        os.environ["BIGQUERY_EMULATOR_HOST"] = host
        plain = make_settings(Path(folder), {f"p{n}": (WINDOW,) for n in range(PACKAGES)}, "bigquery")
        settings = replace(plain, source=replace(plain.source, settle_days=3))
        asked_before = 0
        for day in range(DAYS + 1):
            winnow = Installation(settings, FixedClock.after(FIRST + timedelta(days=day)))
            for gap in winnow.gaps():
                House(winnow, lambda: instance).count(gap.first, gap.last)
            if day == 0:
                asked_before = len(ledger_of(settings.data_dir).entries())
        entries = ledger_of(settings.data_dir).entries()
        fill, month = entries[:asked_before], entries[asked_before:]
    size = Figures().package_day_bytes
    for what, some in (("first fill", fill), (f"the {DAYS} days after it, settling included", month)):
        days = sum(entry.package_days for entry in some)
        billed = f"{format_bytes(days * size)} at {format_bytes(size)} each"
        yield f"{what}: {len(some)} queries, {days} days of packages, {billed}"
    days = PACKAGES * WINDOW * DAYS
    dollars = Figures().dollars(days * size - TIB)
    yield (
        f"a {WINDOW}-day query per package and day: {PACKAGES * DAYS} queries, {days} days of packages, "
        f"{format_bytes(days * size)}, ${dollars:.2f} a month above the free TiB"
    )
