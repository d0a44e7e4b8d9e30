"""Winnow in a real `dagster dev`: it publishes by itself, catches up on missed days, and survives kills."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import on_disk
from tests.dagster_dev import CHECKS, Dev, make_dev
from tests.fake_bigquery import Service, fake, incomplete, job, refused
from tests.postgres import find_postgres, running_postgres
from tests.rows import Row, row
from tests.shared_instance import THEIR_JOB, add_team, team_at_work
from winnow_dagster.store.days import honest_store
from winnow_dagster.store.raw import RawStore

pytestmark = pytest.mark.slow

SAMPLES = ("sample-barley", "sample-oat", "sample-rye", "sample-wheat")


@pytest.fixture
def dev(tmp_path: Path) -> Dev:
    return make_dev(tmp_path)


def all_there(dev: Dev) -> bool:
    return all(dev.has_number(name) for name in SAMPLES) and (dev.folder / "public/index.html").exists()


def entries(*names: str, days: int = 30) -> list[dict[str, object]]:
    return [{"name": name, "window_days": days} for name in names]


@pytest.mark.slow(190)
def test_badges_appear_without_a_click_and_packages_are_added_and_removed_beside_another_team(dev: Dev) -> None:
    add_team(dev)
    with dev.running(), team_at_work(dev):
        dev.wait(lambda: all_there(dev))
        dev.configure(packages=[*entries(*SAMPLES), *entries("new-one", days=7)])
        dev.reload()
        dev.wait(lambda: dev.message("new-one", 7) != "")
        # Its days may have been read before its placeholder was due.
        assert dev.message("new-one", 7) == "collecting 0/7d" or dev.has_number("new-one", 7)
        dev.wait(lambda: dev.has_number("new-one", 7))
        assert collect(dev) == 0
        dev.wait(lambda: all(run["status"] == "SUCCESS" for run in own_runs(dev)))
        before = {run["runId"] for run in own_runs(dev)}

    dev.configure(packages=entries(*SAMPLES))
    with dev.running():
        # It comes up with its history, and without the package that the config has lost.
        assert before <= {run["runId"] for run in dev.runs()}
        assert dev.partitions("badges") == sorted(SAMPLES)
        dev.wait(lambda: "new-one" in str(evaluation(dev, "badges", "no_orphaned_files")))
        assert dev.has_number("new-one", 7)


def own_runs(dev: Dev) -> list[dict[str, Any]]:
    return [run for run in dev.runs() if run["jobName"] != THEIR_JOB]


REPOSITORIES = """{ repositoriesOrError { ... on RepositoryConnection { nodes {
  location { name } assetNodes { assetKey { path } partitionKeys } } } } }"""


def test_each_code_location_finds_the_config_in_its_own_working_directory(dev: Dev) -> None:
    packages = {"one": "sample-oat", "two": "sample-rye"}
    locations = []
    for name, package in packages.items():
        (dev.folder / name).mkdir()
        config: dict[str, object] = {"packages": entries(package), "schedule": {"enabled": False}}
        if name == "two":
            config = {"type": "winnow_dagster.WinnowComponent", "attributes": config}
        (dev.folder / name / "winnow.yaml").write_text(json.dumps(config))
        locations.append(
            {
                "python_module": {
                    "module_name": "winnow_dagster.definitions",
                    "location_name": name,
                    "working_directory": name,
                }
            }
        )
    dev.configure(packages=entries("sample-wheat"))
    (dev.folder / "workspace.yaml").write_text(json.dumps({"load_from": locations}))
    dev.location = "two"
    with dev.running():
        nodes = dev.ask(REPOSITORIES)["repositoriesOrError"]["nodes"]
        found = {
            (node["location"]["name"], "/".join(asset["assetKey"]["path"])): asset["partitionKeys"]
            for node in nodes
            for asset in node["assetNodes"]
            if asset["assetKey"]["path"][-1] == "badges"
        }
        assert found == {("one", "badges"): ["sample-oat"], ("two", "two/badges"): ["sample-rye"]}
        run = dev.launch(("sample-rye", "sample-rye"), "two/badges")
        dev.wait(lambda: dev.status(run) == "SUCCESS")
    assert [path.parent for path in dev.folder.rglob("counts.json")] == [dev.folder / "two/public/sample-rye"]


def evaluation(dev: Dev, asset: str, check: str) -> dict[str, Any]:
    """Return what a check last came to; nothing while it never ran."""
    checks = dev.ask(CHECKS, key={"path": [asset]})["assetNodeOrError"]["assetChecksOrError"]["checks"]
    last = next(c["executionForLatestMaterialization"] for c in checks if c["name"] == check)
    return (last or {}).get("evaluation") or {}


TICK_IN = timedelta(seconds=120)


class Log:
    """A made-up download log behind BigQuery's interface: ten installs a day, and one package that can be broken."""

    broken = ""

    def rows(self, given: dict[str, str]) -> list[Row]:
        first, end = date.fromisoformat(given["start"][:10]), date.fromisoformat(given["end"][:10])
        # An answer that names another package than the one asked for is no answer.
        package = "somebody-else" if given["package"] == self.broken else given["package"]
        return [row(first + timedelta(n), package, downloads=10) for n in range((end - first).days)]


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def bigquery(log: Log) -> Iterator[Service]:
    with fake() as service:
        service.rows_for = log.rows
        yield service


def as_of(dev: Dev, package: str) -> str:
    record = json.loads((dev.folder / "public" / package / "counts.json").read_bytes())
    return str(record["windows"]["7"].get("as_of"))


def collect(dev: Dev, *arguments: str) -> int:
    command = [sys.executable, "-m", "winnow_dagster.cli", "collect", *arguments]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER", "WINNOW"))} | dev.environment
    return subprocess.run(command, cwd=dev.folder, env=environment, check=False, capture_output=True).returncode


def tags(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["tags"]}


@pytest.mark.slow(240)
def test_missed_days_are_caught_up_on_and_each_kind_of_run_leaves_the_store_whole(
    dev: Dev, bigquery: Service, log: Log
) -> None:
    tick = datetime.now(UTC) + TICK_IN
    today = tick.date()

    def ago(days: int) -> date:
        return today - timedelta(days=days)

    dev.environment = {"BIGQUERY_EMULATOR_HOST": bigquery.url}
    dev.configure(
        source={"kind": "bigquery", "settle_days": 0},
        schedule={"hour": tick.hour, "minute": tick.minute},
        packages=entries("good", "bad", days=7),
    )
    assert collect(dev, "--through", str(ago(5))) == 0
    log.broken = "bad"
    with dev.running():
        # Two backfills of the same old days at once, while the machine makes up for three days off and the tick comes.
        dev.wait(lambda: any(tags(run).get("dagster/sensor_name") == "winnow_fill_gaps" for run in dev.runs()))
        old = [str(ago(days)) for days in range(20, 12, -1)]
        first, second = (dev.backfill(["raw_downloads", "honest_downloads"], old) for _ in range(2))
        dev.wait(lambda: as_of(dev, "good") == str(ago(1)))
        gap = [tags(run) for run in dev.runs() if tags(run).get("dagster/sensor_name") == "winnow_fill_gaps"][-1]
        days = (gap["dagster/asset_partition_range_start"], gap["dagster/asset_partition_range_end"])
        assert days == (str(ago(4)), str(ago(2)))
        daily = [tags(run) for run in dev.runs() if tags(run).get("dagster/schedule_name") == "winnow_daily"]
        assert [run["dagster/partition"] for run in daily] == [str(ago(1))]
        assert (as_of(dev, "bad"), dev.message("bad", 7)) == (str(ago(5)), f"70 to {ago(5)}")
        # While days are being read, the check of what was read last may not have run yet.
        dev.wait(
            lambda: "a package that was not asked for" in str(evaluation(dev, "raw_downloads", "every_package_covered"))
        )
        dev.wait(lambda: {run["status"] for run in (*dev.runs_of(first), *dev.runs_of(second))} == {"SUCCESS"})
        assert [len(dev.runs_of(first)), len(dev.runs_of(second))] == [1, 1]
        starts = [q["start"][:10] for q in queries(bigquery) if q["package"] == "good"]
        assert starts.count(old[0]) == 1
        one = dev.launch(("good", "good"), "badges")
        dev.wait(lambda: dev.status(one) == "SUCCESS")
        assert (as_of(dev, "good"), dev.message("good", 7)) == (str(ago(1)), "70")

        # The sensor says what it waits for, and asks for it no more today.
        dev.wait(lambda: "a package that was not asked for" in dev.log() and "Waiting: asked 1 times" in dev.log())
        assert len(ended(dev, "winnow_fill_gaps")) == 1

        # A run that is cancelled while BigQuery is at work: its job is cancelled there too, and nothing is lost.
        stored = {day: path.read_bytes() for day, path in files(dev).items()}
        bigquery.script("insert", job("RUNNING"))
        bigquery.script("get", *[job("RUNNING")] * 10_000)
        bigquery.script("results", *[incomplete()] * 10_000)
        refetch = {"ops": {"raw_downloads": {"config": {"refetch": True, "packages": ["good"]}}}}
        asked = bigquery.operations().count("results")
        run = dev.launch((str(ago(4)), str(ago(2))), "raw_downloads", config=refetch)
        bigquery.wait_until(lambda operations: operations.count("results") > asked, 60)
        dev.terminate(run)
        bigquery.wait_until(lambda operations: "cancel" in operations, 60)
        bigquery.heal()
        dev.wait(lambda: dev.status(run) == "CANCELED")
        assert {day: path.read_bytes() for day, path in files(dev).items()} == stored

        # Somebody calls `winnow collect` beside all this, once the package can be read again.
        log.broken = ""
        assert collect(dev) == 0
        assert as_of(dev, "bad") == as_of(dev, "good") == str(ago(1))
    honest = honest_store(dev.folder / "data/bigquery")
    assert {day: honest.load([day]).counts.collect()["downloads"].sum() for day in (ago(20), ago(1))} == {
        ago(20): 10,
        ago(1): 20,
    }


@pytest.mark.slow(100)
def test_after_a_key_is_repaired_the_days_are_read_without_a_click(dev: Dev, bigquery: Service) -> None:
    dev.environment = {"BIGQUERY_EMULATOR_HOST": bigquery.url}
    source = {"kind": "bigquery", "settle_days": 0, "credential_file": "key.json"}
    dev.configure(source=source, packages=entries("good", days=3))
    (dev.folder / "key.json").write_text("{}")
    for operation in ("table", "insert"):
        bigquery.script(operation, *[refused(401, "authError", "Invalid Credentials")] * 1000)
    with dev.running():
        dev.wait(lambda: "Waiting: asked 1 times" in dev.log())
        (failed,) = [run for run in dev.runs() if tags(run).get("dagster/sensor_name") == "winnow_fill_gaps"]
        assert failed["status"] == "FAILURE"
        # The failed run has judged what it could, and says why.
        assert "credentials" in evaluation(dev, "raw_downloads", "every_package_covered")["description"]
        assert evaluation(dev, "raw_downloads", "no_damaged_days")["success"]
        bigquery.heal()
        (dev.folder / "key.json").write_text('{"mended": true}')
        dev.wait(lambda: dev.has_number("good", 3))
        assert len(ended(dev, "winnow_fill_gaps")) == 1


def ended(dev: Dev, sensor: str) -> list[dict[str, str]]:
    """Return the tags of the runs of a sensor that are over."""
    over = [tags(run) for run in dev.runs() if run["status"] == "SUCCESS"]
    return [run for run in over if run.get("dagster/sensor_name") == sensor]


def queries(service: Service) -> list[dict[str, str]]:
    """Return the parameters of each query that the service was sent."""
    sent = [call.body["configuration"]["query"] for call in service.calls if call.operation == "insert"]
    return [{p["name"]: p["parameterValue"].get("value", "") for p in query["queryParameters"]} for query in sent]


def files(dev: Dev) -> dict[date, Path]:
    store = RawStore(dev.folder / "data/bigquery")
    return {day: on_disk(store.path(day)) for day in store.stored_days()}


@pytest.mark.slow(110)
@pytest.mark.skipif(find_postgres() is None, reason="PostgreSQL's server is not installed")
def test_the_same_runs_on_postgresql_beside_another_team(tmp_path: Path) -> None:
    # The one test with the product's own workspace and ticks.
    dev = make_dev(tmp_path, "deploy/dagster.postgres.yaml", ticks_often=False)
    add_team(dev)
    with running_postgres() as variables:
        dev.environment = variables
        with dev.running(), team_at_work(dev):
            dev.wait(lambda: all_there(dev))
            # What a collect adds is in the same history.
            before = len(dev.runs())
            assert collect(dev) == 0
            assert len(dev.runs()) > before
    assert not (dev.folder / "data/dagster/history").exists()
