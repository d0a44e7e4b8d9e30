"""A day of 100 packages with a year stored, whole process: with six breakdowns, against without any."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median

import polars as pl

from tests.benchmarks.daily import DAY, collect
from winnow_dagster.config.loading import load_settings
from winnow_dagster.core import categories
from winnow_dagster.core.coverage import Reading, Request, end_of
from winnow_dagster.defs.resources import Installation

PACKAGES = 100
DOWNLOADS = 1000
"""Of a package on a day."""

DAYS = 365
PAIRS = 5
AT_ONCE = 30
"""How many days are merged into the store at once."""

SIX = ("python", "version", "country", "libc", "cpu", "file_type")
INSTALLERS = ("pip", "pip", "pip", "uv", "uv", "poetry", "pdm", "bandersnatch", "Browser", "requests", None)
SYSTEMS = ("Linux", "Linux", "Darwin", "Windows", None)
PYTHONS = (*(f"3.{minor}.1" for minor in range(8, 15)), None)
VERSIONS = tuple(f"2.{minor}.0" for minor in range(20))
COUNTRIES = tuple(f"{letter}{other}" for letter in "ABCDEF" for other in "GHIJKLMNOP")
LIBCS = ("glibc", "musl", None)
CPUS = ("x86_64", "arm64", "AMD64", "aarch64")
FILE_TYPES = ("bdist_wheel", "sdist")


def run() -> Iterator[str]:
    measured: dict[str, list[tuple[float, float]]] = {"six breakdowns": [], "none": []}
    with tempfile.TemporaryDirectory() as parent:
        for what in measured:
            build(Path(parent) / what, SIX if what != "none" else ())
        for n in range(PAIRS):
            for what, found in measured.items():
                copy = Path(parent) / f"{what} {n}"
                shutil.copytree(Path(parent) / what, copy)
                # Otherwise the disk still writes the copy, which is larger with breakdowns.
                os.sync()
                found.append(collect(copy, DAY))
                shutil.rmtree(copy)
    for what, found in measured.items():
        seconds, megabytes = (median(numbers) for numbers in zip(*found, strict=True))
        yield f"{PACKAGES} packages with {what}: {seconds:.1f} s, {megabytes:.0f} MB"
    ratio = median(ours / least for (ours, _), (least, _) in zip(*measured.values(), strict=True))
    yield f"six breakdowns take {ratio:.2f} times as long as none; median of {PAIRS} pairs"


def build(folder: Path, dimensions: Sequence[str]) -> None:
    """Store a year that ends before DAY, publish it, and leave an export of DAY to be read."""
    write_export(folder / "exports" / f"{DAY}.parquet")
    config = {
        "source": {"kind": "parquet", "path": "exports/*.parquet"},
        "defaults": {"breakdowns": list(dimensions)},
        "packages": [{"name": f"package-{n:03}"} for n in range(PACKAGES)],
    }
    (folder / "winnow.yaml").write_text(json.dumps(config))
    winnow = Installation(load_settings(folder / "winnow.yaml"))
    requests = [Request(selector, DAY, DAY, dimensions=tuple(dimensions)) for selector in winnow.settings.windows]
    (reading,) = winnow.source.read(requests)
    assert isinstance(reading, Reading)
    days = [DAY - timedelta(days=n) for n in range(DAYS, 0, -1)]
    for n in range(0, DAYS, AT_ONCE):
        for day in days[n : n + AT_ONCE]:
            winnow.raw.add_reading(on(day, reading), end_of(day) + timedelta(days=9))
        winnow.raw.merge()
    for day in days:
        honest = categories.winnow(on(day, reading).counts.lazy()).collect()
        winnow.honest.write(day, honest, winnow.raw.coverages([day])[day])
    collect(folder, days[-1])


def on(day: date, reading: Reading) -> Reading:
    """Return a reading of DAY as one of another day."""
    requests = [Request(r.selector, day, day, dimensions=r.dimensions) for r in reading.requests]
    counts, breakdowns = (frame.with_columns(date=pl.lit(day)) for frame in (reading.counts, reading.breakdowns))
    return Reading(requests, counts, breakdowns=breakdowns)


def write_export(path: Path) -> None:
    """Write the downloads of DAY in file_downloads' schema."""
    path.parent.mkdir(parents=True)
    chance, rows = random.Random(20261127), PACKAGES * DOWNLOADS

    def some(values: Sequence[str | bool | None]) -> pl.Series:
        weights = [1 / (2 + n) for n in range(len(values))]
        return pl.Series(chance.choices(values, weights, k=rows))

    columns = {
        "project": pl.Series([f"package-{n % PACKAGES:03}" for n in range(rows)]),
        "installer": some(INSTALLERS),
        "system": some(SYSTEMS),
        "ci": some((None, True)),
        "python": some(PYTHONS),
        "version": some(VERSIONS),
        "country_code": some(COUNTRIES),
        "libc": some(LIBCS),
        "cpu": some(CPUS),
        "type": some(FILE_TYPES),
    }
    pl.DataFrame(columns).select(
        "project",
        "country_code",
        timestamp=pl.lit(datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC)),
        file=pl.struct("project", "version", "type", filename=pl.lit("package-1.0-py3-none-any.whl")),
        details=pl.struct(
            "python",
            "cpu",
            "ci",
            installer=pl.struct(name="installer"),
            distro=pl.struct(libc=pl.struct(lib="libc")),
            system=pl.struct(name="system"),
        ),
    ).write_parquet(path)
