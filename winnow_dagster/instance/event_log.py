"""Dagster's history of runs in SQLite, as Dagster keeps it, through connections that stay open.

Dagster opens, checkpoints and closes a database for every event, and one of a run for each of its partitions; that is
half the time of a collect. The files are the same, so whatever else opens this instance finds what it expects.
"""

from __future__ import annotations

import contextlib
import sqlite3  # noqa: TC003 - in a signature that SQLAlchemy reads
from itertools import groupby
from typing import TYPE_CHECKING

from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata, SqlEventLogStorageTable
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, create_engine, event, inspect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dagster._core.events.log import EventLogEntry
    from dagster._core.instance.ref import InstanceRef
    from dagster._core.storage.sqlite_storage import SqliteStorageConfig
    from dagster._serdes import ConfigurableClassData

INDEX = "index"
VERSION = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""Where a database says of which version its tables are."""

MAX_OPEN_RUNS = 4
BUSY_SECONDS = 60
"""How long to wait for another process's transaction, as Dagster does."""


def keep_connections(reference: InstanceRef) -> InstanceRef:
    """Return the same instance with connections that stay open, if it is one of SQLite's; else as it is."""
    data = reference.storage_data
    if data is None or data.class_name != DagsterSqliteStorage.__name__:
        return reference
    return reference._replace(storage_data=data._replace(module_name=__name__, class_name=SqliteStorage.__name__))


class EventLog(SqliteEventLogStorage):
    """The events of runs: a database for each run, and one for what concerns assets."""

    def __init__(self, base_dir: str) -> None:
        """Keep the databases in `base_dir`."""
        self._engines: dict[str, Engine] = {}
        super().__init__(base_dir)

    @contextlib.contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock, self._engine(shard).begin() as connection:
            yield connection

    def _engine(self, shard: str) -> Engine:
        """Return the connection to a database, made if need be. Called by one thread at a time."""
        if shard not in self._engines:
            runs = [name for name in self._engines if name != INDEX]
            for name in runs[: len(runs) + 1 - MAX_OPEN_RUNS]:
                self._engines.pop(name).dispose()
            engine = _open(self.conn_string_for_shard(shard))
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            self._engines[shard] = engine
        return self._engines[shard]

    def _initdb(self, engine: Engine, for_index_shard: bool = False) -> None:  # noqa: FBT001, FBT002 - Dagster's
        """Make the tables of a new database. One of a run is of the version that the index is: to ask takes longer."""
        if for_index_shard or inspect(engine).get_table_names():
            super()._initdb(engine, for_index_shard)
            return
        with self._engine(INDEX).connect() as connection:
            version = connection.execute(VERSION.select()).scalar_one()
        SqlEventLogStorageMetadata.create_all(engine)
        with engine.begin() as connection:
            VERSION.create(connection)
            connection.execute(VERSION.insert().values(version_num=version))

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events that came together: each as `store_event` does, those of one run's assets in one transaction."""
        # A run plans its checks together with its assets.
        for (_, is_of_asset), group in groupby(events, lambda e: (e.run_id, e.dagster_event_type in ASSET_EVENTS)):
            if is_of_asset:
                self._store_asset_events(list(group))
            else:
                super().store_event_batch(list(group))

    def _store_asset_events(self, events: Sequence[EventLogEntry]) -> None:
        with self.run_connection(events[0].run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), [self._event_to_row(e) for e in events])
        with self.index_connection() as connection:
            inserted = [connection.execute(self.prepare_insert_event(e)).inserted_primary_key for e in events]
            numbers = [int(key[0]) for key in inserted if key is not None]
            self._store_asset_event_tags(connection, events, numbers)
            for each, number in zip(events, numbers, strict=True):
                self._store_asset_event(connection, each, number)

    def dispose(self) -> None:
        """Close all databases."""
        super().dispose()
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()


class RunStorage(SqliteRunStorage):
    """What is known of each run."""

    _kept: Engine | None = None

    @contextlib.contextmanager
    def connect(self) -> Iterator[Connection]:
        """Give the connection, within a transaction."""
        if self._kept is None:
            self._kept = _open(self._conn_string)
        with self._kept.begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close the database."""
        super().dispose()
        if self._kept:
            self._kept.dispose()


class SqliteStorage(DagsterSqliteStorage):
    """All of an instance's history."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Keep the databases below `base_dir`, where Dagster has them."""
        super().__init__(base_dir, inst_data)
        self._event_log_storage = EventLog(self._event_log_storage._base_dir)  # noqa: SLF001
        self._run_storage = RunStorage(self._run_storage._conn_string)  # noqa: SLF001

    @classmethod
    def from_config_value(  # type: ignore[override]  # it says less of its own type
        cls, inst_data: ConfigurableClassData | None, config_value: SqliteStorageConfig
    ) -> SqliteStorage:
        """Make one from what dagster.yaml says."""
        return cls(config_value["base_dir"], inst_data)


def _open(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def settle(connection: sqlite3.Connection, _: object) -> None:
        # After a power cut the last events may be gone, as whole transactions. No number depends on them.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    return engine
