"""`winnow collect` while something happens around it: its folder is moved away, midnight passes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from tests.conftest import DAY, RowSource, make_settings
from tests.rows import row
from winnow_dagster.cli import main
from winnow_dagster.collect import Scope, collect
from winnow_dagster.config.loading import CONFIG_VARIABLE
from winnow_dagster.config.settings import HOME_VARIABLE
from winnow_dagster.core.coverage import Failure, Reading, Request
from winnow_dagster.defs.clock import Clock
from winnow_dagster.defs.resources import Installation

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
