"""What publishing costs: milliseconds and bytes per package of 300, and what a browser does with the index of them."""

from __future__ import annotations

import gzip
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
from playwright.sync_api import sync_playwright

from tests.conftest import FixedClock, House, make_settings, on_disk
from tests.serving import serving
from winnow_dagster.core import categories
from winnow_dagster.core.coverage import Coverage, Reading, Request
from winnow_dagster.defs.resources import Installation
from winnow_dagster.files.operations import Failures
from winnow_dagster.sources.sample import SampleSource

DAY = date(2025, 6, 30)
PACKAGES = 300
PAINTS = 5


def run() -> Iterator[str]:
    logging.disable(logging.CRITICAL)
    for days in (30, 365):
        with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.ephemeral() as instance:
            settings = make_settings(Path(folder), {f"package-{n:03}": (30,) for n in range(PACKAGES)}, "sample")
            house = House(Installation(settings, FixedClock.after(DAY)), lambda: instance)
            _store(house.winnow, days)
            yield from _publish(house, days)
            if days == 30:
                yield from _paint(on_disk(settings.output_dir))


def _store(winnow: Installation, days: int) -> None:
    """Write the sample days as if they had been read and counted."""
    requests = [Request(selector, DAY - timedelta(days=days - 1), DAY) for selector in winnow.settings.windows]
    raw = pl.concat([answer.counts for answer in SampleSource().read(requests) if isinstance(answer, Reading)])
    coverage = Coverage(dict.fromkeys(winnow.settings.windows, winnow.clock.now()))
    for (day,), counts in raw.partition_by("date", as_dict=True).items():
        winnow.raw.write(day, counts, coverage)
        winnow.honest.write(day, categories.winnow(counts.lazy()).collect(), coverage)


def _publish(house: House, days: int) -> Iterator[str]:
    """Publish for the first time, and once more without a change; the store is read in both."""
    keys = [str(which) for which in house.winnow.settings.published_windows]
    for what in ("first time", "unchanged"):
        started = time.perf_counter()
        packages = house.winnow.packages(keys)
        described = time.perf_counter()
        failures = Failures()
        changed = sum(house.winnow.web.publish(packages, 0, DAY, failures).values())
        failures.raise_any()
        ended = time.perf_counter()
        yield (
            f"{days} days stored, {what}: {1000 * (ended - described) / PACKAGES:.1f} ms a package, "
            f"and {described - started:.1f} s to sum the days of all; {changed} files changed"
        )
    folder = house.output_dir / keys[0]
    sizes = {path.name: path.read_bytes() for path in folder.iterdir()}
    page = sizes["index.html"]
    yield (
        f"{days} days stored: {sum(map(len, sizes.values())):,} bytes a package in {len(sizes)} files; its page "
        f"{len(page):,}, compressed {len(gzip.compress(page)):,}"
    )
    house.publish()


def _paint(public: Path) -> Iterator[str]:
    """Open the index in a browser that has nothing of it yet, through `winnow serve`."""
    (public.parent / "winnow.yaml").write_text(json.dumps({"packages": [{"name": "package-000"}]}))
    with serving(public.parent) as (_, port), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        times = []
        for _ in range(PAINTS):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(f"http://127.0.0.1:{port}/", wait_until="networkidle")
            times.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
            weight = page.evaluate(
                "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
                ".map(entry => [entry.name, entry.encodedBodySize])"
            )
            page.close()
        browser.close()
    index, loaded = (public / "index.html").read_bytes(), sum(bytes_of for _, bytes_of in weight)
    yield f"index of {PACKAGES}: first paint {sorted(times)[len(times) // 2]:.0f} ms, median of {PAINTS}"
    yield (
        f"index of {PACKAGES}: {len(index):,} bytes, {len(gzip.compress(index)):,} compressed; "
        f"all that was loaded at first {loaded:,} in {len(weight)} requests"
    )
