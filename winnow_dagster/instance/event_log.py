"""Dagster's history of runs in SQLite, through connections that stay open.

Dagster opens, checkpoints and closes a database for every event. That takes half the time of a collect. Each run has a
database of its own. The files are the same as Dagster's, so other processes can use the instance meanwhile.

The base classes are private. Each class below overrides as little as it can, and calls Dagster's own code for the rest.
`check_overrides` and `SqliteStorage.try_out` tell whether Dagster has changed. `opening` then uses Dagster's storage.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import sqlite3
import threading
from itertools import groupby
from typing import TYPE_CHECKING

from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy import inspect as inspect_database

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dagster._core.events.log import EventLogEntry
    from dagster._core.instance.ref import InstanceRef
    from dagster._core.storage.sqlite_storage import SqliteStorageConfig
    from dagster._serdes import ConfigurableClassData

INDEX = "index"
"""Dagster's name of the database that holds the events of assets, of all runs."""

COPIED = "ed51bdc4da412564"
"""The digest of Dagster's code that `EventLog._store_asset_events` copies."""

MAX_OPEN_RUNS = 4
BUSY_SECONDS = 60
"""How long to wait for another process's transaction, as Dagster does."""


def keep_connections(reference: InstanceRef) -> InstanceRef:
    """Return the same instance with connections that stay open. An instance on another database stays as it is.

    Private: an instance's reference names the class of its storage. Raises TypeError if Dagster's storage has changed.
    """
    data = reference.storage_data
    if data is None or data.class_name != DagsterSqliteStorage.__name__:
        return reference
    for each in (EventLog, RunStorage, SqliteStorage):
        check_overrides(each)
    return reference._replace(storage_data=data._replace(module_name=__name__, class_name=SqliteStorage.__name__))


def check_overrides(ours: type) -> None:
    """Raise TypeError if a method that a class overrides takes other parameters in the class above it."""
    for name, method in vars(ours).items():
        overridden = getattr(ours.__base__, name, None)
        if inspect.isfunction(method) and overridden is not None:
            expected, found = (list(inspect.signature(each).parameters) for each in (method, overridden))
            if expected != found:
                raise TypeError(f"{ours.__base__}.{name} takes {found}, not {expected}")


def digest_of_copied_code() -> str:
    """Return the digest of the code with which this version of Dagster stores an event."""
    storage = SqliteEventLogStorage
    code = [inspect.getsource(method) for method in (storage.store_event, storage.prepare_insert_event)]
    return hashlib.sha256("".join(code).encode()).hexdigest()[:16]


class EventLog(SqliteEventLogStorage):
    """The events of runs: a database for each run, and one for the events of assets.

    Private: `_connect` opens a database, `_initdb` creates its tables, `_initialized_dbs` names those that have them.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._lock = threading.RLock()
        self._engines: dict[str, Engine] = {}
        self._empty_database = ""
        self._batch: contextlib.ExitStack | None = None
        self._in_batch: dict[str, Connection] = {}
        self._may_copy = digest_of_copied_code() == COPIED
        super().__init__(base_dir, inst_data)

    @contextlib.contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._lock:
            if self._batch is None:
                with self._engine(shard).begin() as connection:
                    yield connection
            else:
                if shard not in self._in_batch:
                    self._in_batch[shard] = self._batch.enter_context(self._engine(shard).begin())
                yield self._in_batch[shard]

    def _engine(self, shard: str) -> Engine:
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
        """Create the tables of a database. Dagster creates the first one; each new one is a copy, which takes less."""
        is_new = not for_index_shard and not inspect_database(engine).get_table_names()
        if is_new and self._empty_database:
            # If another process creates the tables at the same time, Dagster's own code waits for it.
            with contextlib.suppress(sqlite3.OperationalError), _raw(engine) as connection:
                connection.executescript(self._empty_database)
                return
        super()._initdb(engine, for_index_shard)
        if is_new:
            with _raw(engine) as connection:
                self._empty_database = "\n".join(connection.iterdump())

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events as Dagster does, in one transaction per database instead of several per event."""
        with self._lock, contextlib.ExitStack() as batch:
            self._batch = batch
            try:
                # A run plans its checks together with its assets.
                for (_, is_of_asset), group in groupby(
                    events, lambda e: (e.run_id, e.dagster_event_type in ASSET_EVENTS)
                ):
                    if is_of_asset and self._may_copy:
                        self._store_asset_events(list(group))
                    else:
                        super().store_event_batch(list(group))
            finally:
                self._batch = None
                self._in_batch.clear()

    def _store_asset_events(self, events: Sequence[EventLogEntry]) -> None:
        """Store each event of one run as `store_event` does, but insert all rows at once, which takes half the time."""
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
    """The state of each run. Private: `_conn_string` is the address of the database."""

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
    """All of an instance's history. Private: the attributes that hold its parts, and the folder of each part."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = EventLog(self._event_log_storage._base_dir)  # noqa: SLF001
        self._run_storage = RunStorage(self._run_storage._conn_string)  # noqa: SLF001
        self.try_out()

    @classmethod
    def from_config_value(  # type: ignore[override]  # it says less of its own type
        cls, inst_data: ConfigurableClassData | None, config_value: SqliteStorageConfig
    ) -> SqliteStorage:
        """Create the storage from the `storage` section of dagster.yaml."""
        return cls(config_value["base_dir"], inst_data)

    def try_out(self) -> None:
        """Open each database. Raises AttributeError or TypeError if a private name is not what it was."""
        for connect in (self._event_log_storage.index_connection, self._run_storage.connect):
            with connect() as connection:
                connection.execute(text("SELECT 1"))


@contextlib.contextmanager
def _raw(engine: Engine) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(engine.raw_connection()) as proxied:
        connection = proxied.driver_connection
        if not isinstance(connection, sqlite3.Connection):
            raise TypeError(f"{type(connection)} is not SQLite's")
        yield connection


def _open(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def settle(connection: sqlite3.Connection, _: object) -> None:
        # After a power cut the last events may be gone, as whole transactions. No number depends on them.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    return engine
