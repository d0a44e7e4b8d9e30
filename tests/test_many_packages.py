"""Many packages with BigQuery, PostgreSQL and S3: each run has a process of its own, and one is killed as it reads."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from tests.bucket_service import BUCKETS
from tests.dagster_dev import DEADLINE, Dev, make_dev
from tests.fake_bigquery import Service, fake, hang, healthy
from tests.object_services import S3Service, moto
from tests.postgres import find_postgres, running_postgres
from tests.rows import Row, row
from tests.shared_instance import opened
from tests.test_dagster_dev import queries
from winnow_dagster.files.opening import open_path
from winnow_dagster.instance.runs import process_of
from winnow_dagster.store.ledger import ledger_of

PACKAGES = 24
"""`python -m tests.benchmarks workers` plays the same with 300."""

DAYS = 7
SECONDS_PER_PACKAGE = 2
"""How long publishing may take. Moto answers a few hundred requests per second."""

PARALLEL = 8
"""How many queries are under way at a time."""

BILLED = 10_485_760
"""What the fake bills for a query."""


@dataclass(frozen=True)
class Outcome:
    """What was published, paid for and run in the end."""

    published: Mapping[str, int | None]
    """The honest downloads of each package."""

    asked: Mapping[str, int]
    """How often each package was asked for."""

    sent: int
    """How many queries were sent, also those that ask for something else than a package."""

    billed: Sequence[int | None]
    """What the ledger has of each query."""

    runs: Mapping[str, str]
    """The status of each run that read days, by its process."""

    killed: str
    seconds: float

    def problems(self) -> list[str]:
        """Return what is not as it has to be."""
        wrong = {name: n for name, n in self.published.items() if n != DAYS * downloads(name)}
        again = {name: n for name, n in self.asked.items() if n != 1}
        failed = [process for process, status in self.runs.items() if status != "SUCCESS"]
        return [
            *([f"wrong numbers: {wrong}"] if wrong else []),
            *([f"asked for more than once: {again}"] if again else []),
            *(
                [f"not asked for: {len(self.published) - len(self.asked)}"]
                if len(self.asked) < len(self.published)
                else []
            ),
            *([f"the ledger has {self.billed}"] if list(self.billed) != [BILLED] * self.sent else []),
            *([f"not only the killed run failed: {failed}"] if failed != [self.killed] else []),
        ]


def downloads(package: str) -> int:
    """Return a package's downloads a day."""
    return 10 + int(package.removeprefix("package-"))


def rows(given: Mapping[str, str]) -> list[Row]:
    """Return the rows that BigQuery has for the parameters of a query."""
    first, end = date.fromisoformat(given["start"][:10]), date.fromisoformat(given["end"][:10])
    package = given["package"]
    return [row(first + timedelta(n), package, downloads=downloads(package)) for n in range((end - first).days)]


@contextmanager
def buckets() -> Iterator[S3Service]:
    """Serve two empty buckets, without the tests' own proxy before them, which passes on one request at a time."""
    with moto() as (host, port):
        logging.getLogger("werkzeug").setLevel(logging.WARNING)  # moto's server logs each request
        service = S3Service(url=f"http://{host}:{port}")
        service.backend = host, port
        for name in BUCKETS:
            service.make(name)
        yield service


def play(folder: Path, packages: int) -> Outcome:
    """Let `dagster dev` read and publish packages, and kill the first run that reads in the middle of its queries."""
    names = [f"package-{n:03}" for n in range(packages)]
    dev = make_dev(folder, "deploy/dagster.postgres.yaml")
    dev.deadline = SECONDS_PER_PACKAGE * packages + DEADLINE
    dev.configure(
        service={"output_dir": "s3://public-bucket", "data_dir": "s3://data-bucket"},
        source={"kind": "bigquery", "settle_days": 0, "parallel": PARALLEL},
        packages=[{"name": name, "window_days": DAYS} for name in names],
    )
    began = time.monotonic()
    with running_postgres() as database, buckets() as bucket, fake() as bigquery:
        bigquery.rows_for = rows
        dev.environment = {**database, **bucket.environment, "BIGQUERY_EMULATOR_HOST": bigquery.url}
        with dev.running():
            killed = kill_the_reader(dev, bigquery, packages // 3)
            dev.wait(lambda: all(honest(bucket, name) is not None for name in names))
        with opened(folder, dev.environment) as instance:
            reading = instance.get_runs(dg.RunsFilter(job_name="winnow_read_days"))
            runs = {process_of(run): run.status.value for run in reading}
            billed = [entry.billed for entry in ledger_of(open_path("s3://data-bucket")).entries()]
        sent = queries(bigquery)
        return Outcome(
            {name: honest(bucket, name) for name in names},
            Counter(query["package"] for query in sent if "package" in query),
            len(sent),
            billed,
            runs,
            killed,
            time.monotonic() - began,
        )


def kill_the_reader(dev: Dev, bigquery: Service, answered: int) -> str:
    """Kill the process that reads after so many answers. The queries under way run, but nobody gets their answers."""
    bigquery.script("insert", *[healthy()] * answered, *[hang()] * PARALLEL)
    bigquery.wait_until(lambda operations: operations.count("insert") == answered + PARALLEL, DEADLINE)
    with opened(dev.folder, dev.environment) as instance:
        (run,) = instance.get_runs(
            dg.RunsFilter(tags={"dagster/sensor_name": "winnow_fill_gaps"}, statuses=[dg.DagsterRunStatus.STARTED])
        )
    os.kill(int(process_of(run).partition(".")[0]), signal.SIGKILL)
    bigquery.release()
    return process_of(run)


def honest(bucket: S3Service, package: str) -> int | None:
    """Return a package's published number; None while there is none."""
    record = bucket.read("public-bucket", f"{package}/counts.json")
    found: int | None = json.loads(record)["windows"][str(DAYS)].get("honest") if record else None
    return found


@pytest.mark.slow(80)
@pytest.mark.skipif(find_postgres() is None, reason="PostgreSQL's server is not installed")
def test_after_a_run_is_killed_as_it_reads_every_number_is_right_and_no_query_is_paid_for_twice(tmp_path: Path) -> None:
    found = play(tmp_path, PACKAGES)
    assert found.problems() == []
    assert not list(tmp_path.rglob("*.parquet"))
