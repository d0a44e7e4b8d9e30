"""Winnow writes the same history of runs as Dagster. Each can read what the other wrote."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef
from sqlalchemy import Engine, event

from tests.conftest import DAY, House, MakeHouse, RowSource
from tests.rows import row
from winnow_dagster.instance.event_log import (
    COPIED,
    EventLog,
    SqliteStorage,
    digest_of_copied_code,
    keep_connections,
)
from winnow_dagster.instance.opening import BATCH_VARIABLE
from winnow_dagster.instance.runs import PROCESS_TAG, SITE_TAG

# What differs between any two runs.
VARYING = {"id", "run_id", "event", "timestamp", "event_timestamp", "create_timestamp", "evaluation_event_timestamp"}
VARYING |= {
    "last_materialization",
    "last_materialization_timestamp",
    "last_run_id",
    "run_body",
    "start_time",
    "end_time",
}
VARYING |= {
    "update_timestamp",
    "migration_completed",
    "run_storage_id",
    "evaluation_event",
    "materialization_event_storage_id",
    "snapshot_body",
    "run_timestamp",
}


# Tags that name the run, and the site once there is one.
NAMES = {PROCESS_TAG, SITE_TAG}


def reference(home: Path, *, kept: bool) -> InstanceRef:
    home.mkdir(exist_ok=True)
    found = InstanceRef.from_dir(str(home))
    return keep_connections(found) if kept else found


def rows(home: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return what every table of an instance holds, but for what differs between any two runs."""
    found: dict[str, list[tuple[object, ...]]] = {}
    for path in sorted((home / "history").rglob("*.db")):
        kind = path.stem if path.stem in {"index", "runs"} else "a run"
        with closing(sqlite3.connect(path)) as connection:
            for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                cursor = connection.execute(f"SELECT * FROM {table}")
                kept = [at for at, column in enumerate(cursor.description) if column[0] not in VARYING]
                seen = [tuple(row[at] for at in kept) for row in cursor if not NAMES.intersection(row)]
                found.setdefault(f"{kind} {table}", []).extend(seen)
    return {table: sorted(seen, key=repr) for table, seen in found.items()}


def live(make_house: MakeHouse, instance: dg.DagsterInstance) -> None:
    house = House(make_house({"a": (2,), "b": (2,), "c": (2,)}).winnow, lambda: instance)
    house.count(DAY - timedelta(days=1), DAY)
    house.publish()


@pytest.fixture(autouse=True)
def _rows(source: RowSource) -> None:
    source.rows = [row(DAY, name, downloads=5) for name in "abc"]


@pytest.mark.parametrize(("batch", "copied"), [("0", COPIED), ("1000", COPIED), ("1000", "another")])
def test_the_tables_hold_the_same_rows_as_dagsters_even_if_dagster_stores_events_otherwise(
    make_house: MakeHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: str, copied: str
) -> None:
    monkeypatch.setenv(BATCH_VARIABLE, batch)
    monkeypatch.setattr("winnow_dagster.instance.event_log.COPIED", copied)
    for name, kept in (("dagsters", False), ("ours", True)):
        with dg.DagsterInstance.from_ref(reference(tmp_path / name, kept=kept)) as instance:
            assert isinstance(instance.event_log_storage, EventLog) is kept
            live(make_house, instance)
    assert rows(tmp_path / "ours") == rows(tmp_path / "dagsters")


def test_winnow_and_dagster_continue_each_others_history(make_house: MakeHouse, tmp_path: Path) -> None:
    for kept in (True, False, True):
        with dg.DagsterInstance.from_ref(reference(tmp_path / "home", kept=kept)) as instance:
            live(make_house, instance)
    with dg.DagsterInstance.from_ref(reference(tmp_path / "home", kept=False)) as instance:
        runs = instance.get_runs()
        assert len(runs) == 9
        assert all(run.is_success for run in runs)
        assert instance.get_materialized_partitions(dg.AssetKey("badges")) == {"a", "b", "c"}
        assert all(instance.all_logs(run.run_id) for run in runs)


def test_few_databases_stay_open_after_many_runs(make_house: MakeHouse, tmp_path: Path) -> None:
    with dg.DagsterInstance.from_ref(reference(tmp_path / "home", kept=True)) as instance:
        for _ in range(3):
            live(make_house, instance)
        for run in instance.get_runs():
            assert instance.all_logs(run.run_id)
        storage = instance.event_log_storage
        assert isinstance(storage, EventLog)
        assert len(storage._engines) <= 5  # noqa: SLF001 - nothing else shows it


def test_an_instance_on_another_database_keeps_dagsters_storage(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(
        "storage:\n  postgres:\n    postgres_url: postgresql://nobody@localhost/nothing\n"
    )
    found = InstanceRef.from_dir(str(tmp_path))
    assert keep_connections(found) == found
    assert SqliteStorage.__name__ not in str(found.storage_data)


def test_without_the_private_storage_every_event_would_open_a_database(make_house: MakeHouse, tmp_path: Path) -> None:
    opened = {False: 0, True: 0}
    for kept in opened:
        with dg.DagsterInstance.from_ref(reference(tmp_path / str(kept), kept=kept)) as instance:

            def count(*_: object, kept: bool = kept) -> None:
                opened[kept] += 1

            event.listen(Engine, "connect", count)
            live(make_house, instance)
            event.remove(Engine, "connect", count)
    assert 5 * opened[True] < opened[False]


def test_without_the_copy_of_store_event_a_fill_would_store_each_event_by_itself() -> None:
    assert digest_of_copied_code() == COPIED, "compare _store_asset_events with Dagster's store_event, then set COPIED"
