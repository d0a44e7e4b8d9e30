"""Publication of `*` without Dagster: from counted shards to files, and what later publications do to them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from winnow_dagster.core.badge import BadgeStyle
from winnow_dagster.core.everything import Everything, ShardCounts
from winnow_dagster.core.names import EVERYTHING
from winnow_dagster.core.shard import HEADLINE_COLUMNS, Shard, shard_of
from winnow_dagster.core.window import Window
from winnow_dagster.files.errors import SampleOverRealError, StorageError
from winnow_dagster.files.operations import Failures
from winnow_dagster.publishing import audit
from winnow_dagster.publishing.all_packages import AllPackagesDir
from winnow_dagster.publishing.directory import WebDir
from winnow_dagster.publishing.prune import find_orphans, remove_orphans
from winnow_dagster.publishing.shards import ShardWriter, publish_everything, refresh_everything
from winnow_dagster.site.badges import ShardRenderer
from winnow_dagster.site.site import SiteConfig

DAY = date(2025, 6, 30)
HEADLINE = BadgeStyle(slugs=("downloads",))
BADGE = "downloads-3d-non-ci.json"
COUNTS: Mapping[str, tuple[int, int]] = {"requests": (1234, 1241), "req": (12, 12), "q": (77, 99)}


@dataclass(frozen=True)
class Counted(Everything):
    """What `*` selects, counted already."""

    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def shards(self, *, with_days: bool = True) -> Iterator[dict[str, ShardCounts]]:
        by_shard: dict[str, dict[str, tuple[int, int]]] = {}
        for name, numbers in sorted(self.counts.items()):
            by_shard.setdefault(shard_of(name), {})[name] = numbers
        days = {name: f'"{DAY}":[{honest},{raw}]' for name, (honest, raw) in self.counts.items()}
        for key, packages in by_shard.items():
            yield {key: ShardCounts(replace(self.empty_shard().shard, packages=packages), days if with_days else {})}


def counted(
    counts: Mapping[str, tuple[int, int]] = COUNTS, as_of: date = DAY, source: str = "bigquery", days: int = 3
) -> Counted:
    windows = {days: Window(days, as_of)}
    return Counted([], source, pl.LazyFrame(), windows, (days,), HEADLINE_COLUMNS, frozenset(), (), counts=counts)


def directory(folder: Path, *entries: str) -> AllPackagesDir:
    return AllPackagesDir(folder, SiteConfig(3, styles=dict.fromkeys(("*", *entries), HEADLINE)))


def publish(web: AllPackagesDir, everything: Everything, least: int = 0, through: date = DAY) -> int:
    failures = Failures()
    changed = publish_everything(web, everything, least, through, failures)
    failures.raise_any()
    return changed


def refresh(web: AllPackagesDir, through: date) -> None:
    failures = Failures()
    refresh_everything(web, through, failures)
    failures.raise_any()


def told(web: AllPackagesDir, package: str, name: str = BADGE) -> str:
    return str(json.loads((Path(str(web.folder)) / package / name).read_bytes())["message"])


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


@pytest.fixture
def web(tmp_path: Path) -> AllPackagesDir:
    found = directory(tmp_path)
    publish(found, counted())
    return found


def test_each_package_has_badges_and_days_and_a_line_in_its_shard(web: AllPackagesDir, tmp_path: Path) -> None:
    assert [told(web, name) for name in COUNTS] == ["1.2k", "12", "77"]
    assert {path.name for path in (tmp_path / "q").iterdir()} == {BADGE, BADGE.replace("json", "svg"), "history.json"}
    shard = web.shard("re")
    assert shard
    assert shard.packages == {"req": (12, 12), "requests": (1234, 1241)}
    summary = web.summary()
    assert summary
    assert (summary.shards, summary.windows, summary.packages) == ({"q": 1, "re": 2}, {"3": str(DAY)}, 3)


def test_published_again_no_file_is_touched(web: AllPackagesDir, tmp_path: Path) -> None:
    before = files(tmp_path)
    assert publish(web, counted()) == 0
    refresh(web, DAY)
    assert files(tmp_path) == before


def test_a_published_package_that_is_not_downloaded_any_more_has_none(web: AllPackagesDir) -> None:
    publish(web, counted({"requests": (5, 5)}, DAY + timedelta(days=1)), least=3, through=DAY + timedelta(days=1))
    assert [told(web, name) for name in COUNTS] == ["5", "0", "0"]


def test_what_is_not_counted_any_more_grows_stale_and_is_then_left_alone(web: AllPackagesDir, tmp_path: Path) -> None:
    later = DAY + timedelta(days=4)
    refresh(web, later)
    assert told(web, "req") == f"12 to {DAY}"
    before = files(tmp_path)
    refresh(web, later + timedelta(days=9))
    assert files(tmp_path) == before


def test_a_replay_of_an_older_day_changes_nothing(web: AllPackagesDir, tmp_path: Path) -> None:
    refresh(web, DAY + timedelta(days=4))
    before = files(tmp_path)
    older = DAY - timedelta(days=5)
    assert publish(web, counted({"requests": (9, 9), "other": (9, 9)}, older), through=older) == 0
    refresh(web, older)
    assert files(tmp_path) == before


def test_a_window_that_is_not_configured_any_more_keeps_its_badge(web: AllPackagesDir) -> None:
    publish(web, counted({"requests": (5, 5)}, days=2))
    assert (told(web, "requests"), told(web, "requests", "downloads-2d-non-ci.json")) == ("1.2k", "5")
    summary = web.summary()
    assert summary
    assert summary.windows == {"2": str(DAY)}
    assert summary.as_of == {2: DAY, 3: DAY}


def test_real_numbers_replace_sample_data_and_never_the_other_way_round(tmp_path: Path) -> None:
    web = directory(tmp_path)
    publish(web, counted({"made-up": (1, 1), "req": (12, 12)}, source="sample"))
    assert json.loads((tmp_path / "req" / BADGE).read_bytes())["label"].startswith("sample: ")
    publish(web, counted())
    assert not (tmp_path / "made-up").exists()
    assert not json.loads((tmp_path / "req" / BADGE).read_bytes())["label"].startswith("sample: ")
    with pytest.raises(SampleOverRealError):
        publish(web, counted(source="sample"))


def test_sample_badges_stay_until_real_ones_replace_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web = directory(tmp_path)
    publish(web, counted({"req": (12, 12)}, source="sample"))

    def fail(*_: object) -> None:
        raise StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(ShardWriter, "write", fail)
        failures = Failures()
        publish_everything(web, counted(), 0, DAY, failures)
    with pytest.raises(StorageError):
        failures.raise_any()
    assert told(web, "req") == "12"


def test_a_package_that_gets_an_entry_leaves_its_shard_and_keeps_its_files(web: AllPackagesDir, tmp_path: Path) -> None:
    entered = directory(tmp_path, "q", "req-*")
    assert entered.names() == {"requests", "req"}
    failures = Failures()
    entered.remove_packages_with_entries(failures)
    failures.raise_any()
    assert not (tmp_path / "_packages" / "q.json").exists()
    assert told(web, "q") == "77"
    publish(entered, counted({"requests": (5, 5)}))
    assert told(web, "q") == "77"


def test_a_shard_that_cannot_be_written_keeps_its_badges_and_takes_no_other_down(
    web: AllPackagesDir, tmp_path: Path
) -> None:
    (tmp_path / "_packages" / "q.json").unlink()
    (tmp_path / "_packages" / "q.json").mkdir()
    with pytest.raises(StorageError, match=r"q\.json"):
        publish(web, counted({"requests": (5, 5), "q": (6, 6)}))
    assert (told(web, "q"), told(web, "requests")) == ("77", "5")


def test_the_audit_does_not_share_a_fault_of_the_renderer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = ShardRenderer.files
    monkeypatch.setattr(ShardRenderer, "files", lambda self, numbers: draw(self, (numbers[0] + 1, numbers[1])))
    web = directory(tmp_path)
    publish(web, counted())
    monkeypatch.setattr(ShardRenderer, "files", None)
    bad = audit.judge_all_packages(web, counted(), DAY + timedelta(days=1)).bad
    assert bad["q/" + BADGE] == "is '78'; the store says '77'"


def test_the_audit_accepts_a_badge_that_was_fresh_and_names_what_the_store_does_not_say(web: AllPackagesDir) -> None:
    assert audit.judge_all_packages(web, counted(), DAY + timedelta(days=9)).bad == {}
    verdict = audit.judge_all_packages(web, counted({**COUNTS, "q": (1, 2)}), DAY)
    assert verdict.bad == {"q": "is [77, 99]; the store says [1, 2]"}
    assert verdict.looked_at == len(COUNTS)
    assert audit.judge_all_packages(web, counted(source="parquet"), DAY).looked_at == 0


def test_a_shard_of_sample_data_left_beside_real_ones_stays_marked_when_all_grow_stale(
    web: AllPackagesDir, tmp_path: Path
) -> None:
    left = Shard("sample", HEADLINE_COLUMNS, (Window(3, DAY),), (3,), {"q": (12, 12)})
    web.write_shard("q", left)
    refresh(web, DAY + timedelta(days=4))
    labels = {name: json.loads((tmp_path / name / BADGE).read_bytes())["label"] for name in ("q", "req")}
    assert labels == {"q": "sample: pip*/uv/poetry/pdm (3d)", "req": "pip*/uv/poetry/pdm (3d)"}


def test_the_last_window_can_be_pruned_before_another_is_covered(web: AllPackagesDir, tmp_path: Path) -> None:
    publish(web, replace(counted(), windows={}, lengths=(7,)))
    whole = WebDir(tmp_path, web.site)
    remove_orphans(whole, find_orphans(whole, {EVERYTHING: (7,)}))
    assert not find_orphans(whole, {EVERYTHING: (7,)})
    assert not list(tmp_path.rglob("*non-ci*"))
    assert web.names() == set(COUNTS)
    refresh(web, DAY)
    publish(web, counted(days=7))
    assert [told(web, name, BADGE.replace("3d", "7d")) for name in COUNTS] == ["1.2k", "12", "77"]
