"""A day of named packages, whole process, against 0.43 s each: the predecessor's with a database that takes no time."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from tests.benchmarks import launch as launching

YARDSTICK_SECONDS = 0.43
"""What pypi-winnow-downloads 0.3.0 takes for a package where its database answers at once."""

DAY = date(2025, 6, 30)
DAYS = 31
"""How many days are exported: the window of the day before, and the day."""
PACKAGES = (1, 12, 100, 500)
INSTALLERS = ("pip", "pip", "pip", "uv", "uv", "poetry", "pdm", "bandersnatch", "Browser", "requests", "conda", None)
SYSTEMS = ("Linux", "Linux", "Darwin", "Windows", None)
DOWNLOADS = 150
"""Of a package on a day, on average; a few have many, most have few."""


def run() -> Iterator[str]:
    for packages in PACKAGES:
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent)
            export(folder / "exports", packages)
            write_config(folder, packages)
            collect(folder, DAY - timedelta(days=1))
            seconds, megabytes = collect(folder, DAY)
        usual = YARDSTICK_SECONDS * packages
        yield (
            f"{packages} packages: {seconds:.1f} s, {usual / seconds:.1f} times faster than {usual:.1f} s; "
            f"{megabytes:.0f} MB"
        )


def export(folder: Path, packages: int) -> None:
    """Write a file of downloads for each day, in file_downloads' schema."""
    folder.mkdir()
    chance = random.Random(20261123)
    for n in range(DAYS):
        day = DAY - timedelta(days=n)
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        rows = [
            {
                "timestamp": noon,
                "project": f"package-{p:03}",
                "file": {"filename": f"package_{p:03}-1.0-py3-none-any.whl"},
                "details": {
                    "installer": {"name": chance.choice(INSTALLERS)},
                    "system": {"name": chance.choice(SYSTEMS)},
                    "ci": chance.choice((True, None)),
                },
            }
            for p in range(packages)
            for _ in range(int(chance.paretovariate(1.2) * DOWNLOADS / 6))
        ]
        frame = pl.DataFrame(rows).with_columns(pl.col("timestamp").dt.replace_time_zone("UTC"))
        frame.write_parquet(folder / f"{day}.parquet")


def write_config(folder: Path, packages: int) -> None:
    config = {
        "source": {"kind": "parquet", "path": "exports/*.parquet"},
        "packages": [{"name": f"package-{n:03}"} for n in range(packages)],
    }
    (folder / "winnow.yaml").write_text(json.dumps(config))


def collect(
    folder: Path, through: date, module: str = "winnow_dagster.cli", given: Mapping[str, str] | None = None
) -> tuple[float, float]:
    """Collect in a process of its own, with this in its environment; return its seconds and its most memory in MB."""
    environment = {k: v for k, v in os.environ.items() if k not in {"DAGSTER_HOME", "WINNOW_CONFIG"}} | dict(
        given or {}
    )
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", module, "collect", "--through", str(through)]
    launch = [sys.executable, "-S", launching.__file__, *command]
    told = subprocess.run(launch, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    seconds, megabytes = map(float, told.stdout.split())
    return seconds, megabytes
