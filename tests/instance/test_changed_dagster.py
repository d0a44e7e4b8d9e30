"""Where another version of Dagster has changed inside, Winnow uses Dagster's own storage, warns once, and works."""

from __future__ import annotations

import ast
import contextlib
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster import _serdes
from dagster._core.instance import ref
from dagster._core.storage import noop_compute_log_manager, runs
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.runs import SqliteRunStorage
from sqlalchemy import Column, Integer, Table, create_engine

import winnow_dagster
from tests.conftest import make_settings
from winnow_dagster.cli import main
from winnow_dagster.instance.opening import open_instance
from winnow_dagster.instance.runs import LOCATION_TAG

Patch = pytest.MonkeyPatch
PACKAGE = Path(winnow_dagster.__file__).parent
OWN_STORAGE = "keeps the history of runs in Dagster's own storage"
OWN_INSTANCE = "resolves relative folders from the working directory, as Dagster does"


def remove_a_storage(patch: Patch) -> None:
    patch.delattr(runs, "SqliteRunStorage")


def add_a_parameter(patch: Patch) -> None:
    connect = SqliteEventLogStorage._connect  # noqa: SLF001 - it changes what is private

    @contextlib.contextmanager
    def changed(self: Any, shard: str, *, read_only: bool = False) -> Iterator[Any]:
        with connect(self, shard) as connection:
            yield connection

    patch.setattr(SqliteEventLogStorage, "_connect", changed)


def rename_an_attribute(patch: Patch) -> None:
    def init(self: Any, conn_string: str, inst_data: Any = None) -> None:
        self._address, self._inst_data = conn_string, inst_data

    @contextlib.contextmanager
    def connect(self: Any) -> Iterator[Any]:
        with create_engine(self._address).begin() as connection:
            yield connection

    patch.setattr(SqliteRunStorage, "__init__", init)
    patch.setattr(SqliteRunStorage, "connect", connect)


def rename_a_method(patch: Patch) -> None:
    old = SqliteEventLogStorage.conn_string_for_shard

    @contextlib.contextmanager
    def connect(self: Any, shard: str) -> Iterator[Any]:
        engine = create_engine(old(self, shard))
        self._initdb(engine)
        with engine.begin() as connection:
            yield connection
        engine.dispose()

    def init(self: Any, base_dir: str, inst_data: Any = None) -> None:
        with patch.context() as inner:
            inner.setattr(SqliteEventLogStorage, "conn_string_for_shard", old, raising=False)
            original(self, base_dir, inst_data)

    original = SqliteEventLogStorage.__init__
    patch.setattr(SqliteEventLogStorage, "__init__", init)
    patch.setattr(SqliteEventLogStorage, "_connect", connect)
    patch.setattr(SqliteEventLogStorage, "has_table", lambda *_: True)
    patch.delattr(SqliteEventLogStorage, "conn_string_for_shard")


def take_away_a_parameter(patch: Patch) -> None:
    from_dir = ref.InstanceRef.from_dir

    def changed(base_dir: str, *, config_filename: str) -> object:
        return from_dir(base_dir, config_filename=config_filename)

    patch.setattr(ref.InstanceRef, "from_dir", changed)


def remove_the_class_of_parts(patch: Patch) -> None:
    # Only Winnow misses it: Dagster imports some of its own modules when it first uses an instance.
    with dg.DagsterInstance.local_temp() as instance:
        dg.Definitions([nothing]).resolve_implicit_global_asset_job_def().execute_in_process(instance=instance)
    patch.delattr(_serdes, "ConfigurableClassData")


def remove_the_silent_logs(patch: Patch) -> None:
    patch.delattr(noop_compute_log_manager, "NoOpComputeLogManager")


@dg.asset
def nothing() -> None: ...


CHANGES: dict[str, tuple[Callable[[Patch], None], str]] = {
    "a storage class is gone": (remove_a_storage, OWN_STORAGE),
    "a method takes another parameter": (add_a_parameter, OWN_STORAGE),
    "an attribute has another name": (rename_an_attribute, OWN_STORAGE),
    "a method has another name": (rename_a_method, OWN_STORAGE),
    "an instance is referred to otherwise": (take_away_a_parameter, OWN_INSTANCE),
    "the parts of a reference have another class": (remove_the_class_of_parts, OWN_INSTANCE),
    "the logs that keep nothing are gone": (remove_the_silent_logs, OWN_INSTANCE),
}


QUICK = ("a storage class is gone", "an instance is referred to otherwise")
"""One change of each consequence; the others are slow, as each takes a collect."""

CASES = [pytest.param(*c, id=name, marks=() if name in QUICK else pytest.mark.slow) for name, c in CHANGES.items()]


@pytest.mark.parametrize(("change", "consequence"), CASES)
def test_a_collect_publishes_and_keeps_its_history_and_warns_once(
    tmp_path: Path,
    monkeypatch: Patch,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[Patch], None],
    consequence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    Path("winnow.yaml").write_text("packages: [{name: sample-oat, window_days: 1}]")
    for module in ("reference", "event_log"):
        monkeypatch.delitem(sys.modules, f"winnow_dagster.instance.{module}", raising=False)
    with monkeypatch.context() as patch:
        change(patch)
        done = CliRunner().invoke(main, ["collect"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (warning,) = [record.getMessage() for record in caplog.records if "has changed inside" in record.getMessage()]
    assert warning.startswith(f"Dagster {dg.__version__} has changed inside (")
    assert consequence in warning
    assert Path("public/sample-oat/downloads-1d-non-ci.json").exists()

    with open_instance(make_settings(tmp_path, {"sample-oat": (1,)})) as instance:
        kept = instance.get_runs()
        assert len(kept) == 3
        assert all(run.is_success and instance.all_logs(run.run_id) for run in kept)


def test_a_run_has_the_tables_that_dagster_has_whatever_these_are(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    added = Table("a_new_table", SqlEventLogStorageMetadata, Column("id", Integer, primary_key=True))
    try:
        with open_instance(make_settings(tmp_path, {"a": (1,)})) as instance:
            for run_id in ("first", "second"):
                assert not instance.all_logs(run_id)
    finally:
        SqlEventLogStorageMetadata.remove(added)

    def layout(name: str) -> set[tuple[str, str]]:
        (path,) = tmp_path.rglob(f"history/runs/{name}.db")
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return set(connection.execute("SELECT name, sql FROM sqlite_master"))

    assert "a_new_table" in {name for name, _ in layout("first")}
    assert layout("second") == layout("first") == layout("index")


def test_without_the_private_log_manager_each_step_would_start_two_processes(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with open_instance(make_settings(tmp_path, {"a": (1,)})) as instance:
        assert isinstance(instance.compute_log_manager, noop_compute_log_manager.NoOpComputeLogManager)


def test_without_the_exact_tag_the_runs_of_the_daemon_would_not_be_found_as_winnows() -> None:
    from dagster._core.storage.tags import REPOSITORY_LABEL_TAG  # noqa: PLC0415 - what the package must not import

    assert LOCATION_TAG == REPOSITORY_LABEL_TAG


def test_without_the_exact_tag_each_failed_run_that_dagster_retries_would_alert() -> None:
    from dagster._core.storage.tags import WILL_RETRY_TAG  # noqa: PLC0415

    from winnow_dagster.instance.runs import RETRY_TAG  # noqa: PLC0415

    assert RETRY_TAG == WILL_RETRY_TAG


def test_only_the_folder_instance_imports_private_names_of_dagster() -> None:
    private = {
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in PACKAGE.rglob("*.py")
        if path.parent.name != "instance"
        for name in imports(path)
        if name.startswith(("dagster._", "dagster_shared"))
    }
    assert private == set()


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{each.name}" for each in node.names)
