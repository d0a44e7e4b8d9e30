"""In a Dagster instance that other teams share, their old, running and queued runs stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.conftest import House, MakeHouse
from tests.dagster_dev import make_dev
from tests.postgres import find_postgres, running_postgres
from tests.shared_instance import backdate, opened, origin
from winnow_dagster.instance.runs import PROCESS_TAG, SITE_TAG, OwnRuns

STORAGE = {
    "sqlite": "dagster.yaml",
    "postgres": "deploy/dagster.postgres.yaml",
}


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Iterator[tuple[str, dict[str, str]]]:
    """The name of a kind of storage, and the variables that it needs."""
    if request.param == "sqlite":
        yield "sqlite", {}
    elif find_postgres() is None:
        pytest.skip("PostgreSQL's server is not installed")
    else:
        with running_postgres() as variables:
            yield "postgres", variables


def add(
    instance: dg.DagsterInstance, like: dg.DagsterRun, run_id: str, status: dg.DagsterRunStatus, **changes: Any
) -> None:
    """Add an old run like another one."""
    instance.add_run(like._replace(run_id=run_id, status=status, **{"tags": {}, "remote_job_origin": None} | changes))
    backdate(instance, run_id)


ASSETS = frozenset({dg.AssetKey("badges")})
MIXED = frozenset({dg.AssetKey("badges"), dg.AssetKey("theirs")})
OTHERS: dict[str, dict[str, Any]] = {
    "another location": {"remote_job_origin": origin("theirs"), "asset_selection": ASSETS},
    "our location, their asset": {"remote_job_origin": origin("ours"), "asset_selection": MIXED},
    "our location, their job": {"remote_job_origin": origin("ours"), "asset_selection": None, "job_name": "their_job"},
    "no location": {"asset_selection": ASSETS},
    "another site": {"tags": {SITE_TAG: "another"}, "remote_job_origin": origin("ours"), "asset_selection": ASSETS},
    "our tag, their asset": {"tags": {SITE_TAG: "the site", PROCESS_TAG: "1.1@nowhere"}, "asset_selection": MIXED},
}
STATUSES = ("SUCCESS", "FAILURE", "STARTED", "QUEUED", "NOT_STARTED", "CANCELING")


def statuses(instance: dg.DagsterInstance) -> dict[str, str]:
    return {run.run_id: run.status.value for run in instance.get_runs()}


def test_only_our_own_runs_are_closed_and_deleted(
    make_house: MakeHouse, tmp_path: Path, database: tuple[str, dict[str, str]]
) -> None:
    kind, variables = database
    make_dev(tmp_path, STORAGE[kind])
    with opened(tmp_path, variables) as instance:
        house = House(make_house({"a": (1,)}).winnow, lambda: instance)
        house.run("badges")
        like = instance.get_runs()[0]
        instance.delete_run(like.run_id)
        for whose, changes in OTHERS.items():
            for status in STATUSES if "remote_job_origin" in changes else set(STATUSES) - {"QUEUED"}:
                add(instance, like, f"{whose}, {status}", dg.DagsterRunStatus(status), **changes)
        others = statuses(instance)
        assert len(others) == len(OTHERS) * len(STATUSES) - 2
        ours: dict[str, dict[str, Any]] = {
            "our location": {"remote_job_origin": origin("ours"), "asset_selection": ASSETS},
            "our tag": {"tags": {SITE_TAG: "the site"}, "asset_selection": ASSETS},
        }
        for whose, changes in ours.items():
            for status in ("SUCCESS", "STARTED", "NOT_STARTED"):
                add(instance, like, f"{whose}, {status}", dg.DagsterRunStatus(status), **changes)

        runs = OwnRuns(instance, "the site", "__repository__@ours")
        runs.close_dead()
        assert {name: status for name, status in statuses(instance).items() if name in others} == others
        assert {name: status for name, status in statuses(instance).items() if name not in others} == {
            f"{whose}, {before}": after
            for whose in ours
            for before, after in {
                "SUCCESS": "SUCCESS", "STARTED": "FAILURE", "NOT_STARTED": "FAILURE",
            }.items()
        }  # fmt: skip
        assert runs.purge_old_runs(datetime.now(UTC) - timedelta(days=90)) == 6
        assert statuses(instance) == others
