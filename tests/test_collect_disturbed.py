"""`winnow collect` while something happens around it: its folder is moved away, midnight passes."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy.exc import OperationalError

from tests.conftest import DAY, RowSource, make_settings
from tests.rows import row
from winnow_dagster.cli import main
from winnow_dagster.collect import Scope, collect
from winnow_dagster.config.loading import CONFIG_VARIABLE
from winnow_dagster.config.settings import HOME_VARIABLE
from winnow_dagster.core.coverage import Failure, Reading, Request
from winnow_dagster.defs.clock import Clock
from winnow_dagster.defs.resources import Installation
from winnow_dagster.instance import event_log

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from winnow_dagster.core.planning import Gap
    from winnow_dagster.core.window import PackageState
    from winnow_dagster.defs.fetching import Answer

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: Patch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    config = {
        "packages": [{"name": name, "window_days": 1} for name in ("sample-oat", "sample-rye")],
        "groups": [{"name": "grains", "packages": ["sample-oat"], "window_days": 1}],
    }
    Path("winnow.yaml").write_text(json.dumps(config))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["collect", *arguments], catch_exceptions=False)


@pytest.mark.parametrize("arguments", [(), ("--package", "sample-oat")])
def test_badges_that_vanish_during_a_collect_are_named_and_it_exits_with_1(
    monkeypatch: Patch, arguments: Sequence[str]
) -> None:
    site_files = Installation.site_files

    def move_away(self: Installation, published: Mapping[str, list[PackageState]]) -> dict[str, bytes]:
        Path("public").rename("live")
        return site_files(self, published)

    monkeypatch.setattr(Installation, "site_files", move_away)
    done = run(*arguments)
    assert done.exit_code == 1
    named = "sample-oat" if arguments else "sample-oat, sample-rye, _group/grains"
    assert f"{named}: counts.json is missing in {Path('public').absolute()}, or damaged. " in done.stdout
    assert "current" not in done.stdout


class Silent:
    def begin(self, gaps: Sequence[Gap], rereads: Sequence[Gap]) -> None:
        pass

    def answered(self, answer: Answer) -> None:
        pass


def test_a_collect_that_goes_on_past_midnight_is_for_the_day_on_which_it_began(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    now = [datetime(2025, 6, 30, 23, 59, tzinfo=UTC)]
    newest = now[0].date() - timedelta(days=1)

    class Slow(RowSource):
        def read(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:
            yield from super().read(requests)
            now[0] = datetime(2025, 7, 1, 0, 1, tzinfo=UTC)

    source = Slow(rows=[row(DAY - timedelta(days=n), "a", downloads=10) for n in range(5)])
    monkeypatch.setattr(Clock, "now", lambda _: now[0])
    monkeypatch.setattr("winnow_dagster.defs.resources.open_source", lambda *_: source)
    result = collect(make_settings(tmp_path, {"a": (3,)}), Scope(), progress=Silent())
    assert now[0].date() == DAY + timedelta(days=1)
    assert result.errors == []
    assert result.is_current
    (found,) = result.rows
    assert found.state.headline.counts
    assert found.state.headline.counts.window.as_of == newest


INDEX = Path("data/dagster/history/runs/index.db")


def forget_what_was_read() -> None:
    for folder in ("public", "data/sample"):
        shutil.rmtree(folder)


def fail_to_record_steps(monkeypatch: Patch, why: str) -> None:
    store, store_batch = SqliteEventLogStorage.store_event, event_log.EventLog.store_event_batch

    def fail(events: Sequence[dg.EventLogEntry]) -> None:
        if any(event.dagster_event_type is dg.DagsterEventType.ASSET_MATERIALIZATION for event in events):
            raise OperationalError("INSERT INTO event_logs", None, sqlite3.OperationalError(why))

    def store_event(self: SqliteEventLogStorage, event: dg.EventLogEntry) -> None:
        fail([event])
        store(self, event)

    def store_event_batch(self: event_log.EventLog, events: Sequence[dg.EventLogEntry]) -> None:
        fail(events)
        store_batch(self, events)

    monkeypatch.setattr(SqliteEventLogStorage, "store_event", store_event)
    monkeypatch.setattr(event_log.EventLog, "store_event_batch", store_event_batch)


@pytest.mark.parametrize("why", ["database is locked", "database disk image is malformed"])
def test_if_a_step_cannot_be_recorded_all_is_published_without_the_history(monkeypatch: Patch, why: str) -> None:
    fail_to_record_steps(monkeypatch, why)
    assert_published_without_history(run(), f"({why})")


def test_if_a_step_cannot_be_recorded_what_it_has_re_read_is_not_paid_for_twice(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    source = RowSource(rows=[row(DAY, name, downloads=10) for name in "ab"])
    monkeypatch.setattr("winnow_dagster.defs.resources.open_source", lambda *_: source)
    settings = make_settings(tmp_path, {"a": (1,), "b": (1,)})
    assert collect(settings, Scope(DAY), progress=Silent()).is_current
    source.asked.clear()
    fail_to_record_steps(monkeypatch, "database is locked")
    result = collect(settings, Scope(DAY, refetch=(DAY, DAY)), progress=Silent())
    assert [str(request.selector) for request in source.asked] == ["a", "b"]
    (error,) = result.errors
    assert "database is locked" in error


def test_if_the_history_is_of_a_dagster_without_checks_all_is_published_without_it() -> None:
    assert run().exit_code == 0
    forget_what_was_read()
    with closing(sqlite3.connect(INDEX)) as history:
        history.execute("drop table asset_check_executions")
    assert_published_without_history(run(), "Run `dagster instance migrate`")


def assert_published_without_history(done: Result, says: str) -> None:
    assert done.exit_code == 1
    (line,) = [line for line in done.stdout.splitlines() if "the history of runs" in line]
    assert line.startswith(f"{Path('data/dagster').absolute()}: ")
    assert says in line
    assert "No number depends on it" in line
    for name in ("sample-oat", "sample-rye", "_group/grains"):
        assert "collecting" not in Path(f"public/{name}/downloads-1d-non-ci.json").read_text()


def test_without_a_history_a_collect_sends_its_alerts_all_the_same(monkeypatch: Patch) -> None:
    config = json.loads(Path("winnow.yaml").read_text())
    source = {"kind": "parquet", "path": "nothing/*.parquet"}
    alerts = {"webhook": "https://hooks.example.com/x"}
    Path("winnow.yaml").write_text(json.dumps(config | {"source": source, "alerts": alerts}))
    Path("data/dagster").mkdir(parents=True)
    Path("data/dagster/history").touch()
    sent: list[str] = []
    monkeypatch.setattr("winnow_dagster.defs.alerts.post", lambda _, text: sent.append(text))
    assert run().exit_code == 1
    assert any("nothing/*.parquet" in text for text in sent)
    assert len([text for text in sent if "every_package_covered" in text]) == 1
    sent.clear()
    assert run().exit_code == 1
    assert not any("every_package_covered" in text for text in sent)
