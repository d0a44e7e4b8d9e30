"""Orphans: what no entry of the config accounts for any more is found, and nothing else is removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.site.broken_down import breakdowns
from winnow_dagster.core.badge import BadgeStyle
from winnow_dagster.core.breakdowns import NO_BREAKDOWNS, PackageBreakdowns
from winnow_dagster.core.days import Package
from winnow_dagster.core.history import NUMBERS, Day, History
from winnow_dagster.core.names import EVERYTHING, Group, Selector, normalise
from winnow_dagster.core.shard import HEADLINE_COLUMNS, Shard
from winnow_dagster.core.window import PackageState, Window, WindowCounts, WindowState
from winnow_dagster.files.operations import Failures
from winnow_dagster.publishing.directory import WebDir
from winnow_dagster.publishing.prune import count_orphans, find_orphans, remove_orphans
from winnow_dagster.site.all_packages import Summary
from winnow_dagster.site.badges import badge_files, badges_of_shard
from winnow_dagster.site.folder import FILES_BESIDE_BADGES
from winnow_dagster.site.site import SiteConfig

DAY = date(2025, 6, 30)
TODAY = DAY + timedelta(days=1)
HEADLINE = BadgeStyle(slugs=("downloads",))
A, B, PREFIX = Selector("a"), Selector("b-b"), Selector("b-", is_prefix=True)
GROUP = Group(normalise("both"), (A, B))

Windows = Mapping[Selector | Group, Sequence[int]]
CONFIGURED: Windows = {A: (3, 2), B: (3,), GROUP: (3,)}


def directory(
    folder: Path, windows: Windows, *, style: BadgeStyle = HEADLINE, dimensions: Sequence[str] = (), **spellings: str
) -> WebDir:
    styles = {str(which): style for which in windows}
    site = SiteConfig(3, styles=styles, breakdowns=dict.fromkeys(styles, dimensions))
    return WebDir(folder, site, {name.replace("_", "-"): text for name, text in spellings.items()})


def publish(
    web: WebDir, windows: Windows, *, source: str = "bigquery", broken_down: PackageBreakdowns = NO_BREAKDOWNS
) -> None:
    numbers = dict.fromkeys(NUMBERS, 1)
    found = {}
    for which, lengths in windows.items():
        states = tuple(WindowState(days, WindowCounts(Window(days, DAY), numbers), days) for days in lengths)
        members = tuple(map(str, which.members)) if isinstance(which, Group) else ()
        history = History((Day(DAY, provisional=False, numbers=(1,) * len(NUMBERS)),))
        found[str(which)] = [Package(PackageState(str(which), source, states, members=members), history, broken_down)]
    failures = Failures()
    web.publish(found, 0, DAY, failures)
    failures.raise_any()


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def badges(*days: int, slug: str = "downloads") -> list[str]:
    return [f"{slug}-{n}d-non-ci.{ending}" for n in days for ending in ("json", "svg")]


def removed(folder: Path, windows: Windows, *, style: BadgeStyle = HEADLINE, **spellings: str) -> set[str]:
    """Return the files that go once these windows are configured."""
    before, web = files(folder), directory(folder, windows, style=style, **spellings)
    orphans = find_orphans(web, windows)
    remove_orphans(web, orphans)
    gone = before - files(folder)
    assert len(gone) == count_orphans(web, orphans)
    assert find_orphans(web, windows) == {}
    return gone


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    publish(directory(tmp_path, CONFIGURED, b_b="B_b"), CONFIGURED)
    return tmp_path


def test_what_is_configured_is_no_orphan(folder: Path) -> None:
    assert find_orphans(directory(folder, CONFIGURED, b_b="B_b"), CONFIGURED) == {}


def test_the_record_of_a_folder_goes_last(folder: Path) -> None:
    found = find_orphans(directory(folder, {A: (3, 2)}), {A: (3, 2)})
    assert set(found) == {"b-b", "B_b", "_group/both"}
    assert all(names == [*badges(3), *reversed(FILES_BESIDE_BADGES)] for names in found.values())
    assert all(names[-1] == "counts.json" for names in found.values())


def test_a_removed_package_and_its_spelling_and_a_removed_group_go(folder: Path) -> None:
    gone = removed(folder, {A: (3, 2)})
    assert gone == {
        f"{name}/{file}" for name in ("b-b", "B_b", "_group/both") for file in (*badges(3), *FILES_BESIDE_BADGES)
    }
    assert not (folder / "b-b").exists()


def test_another_spelling_goes_once_the_config_has_it_no_more(folder: Path) -> None:
    assert {name.partition("/")[0] for name in removed(folder, CONFIGURED, b_b="B-b")} == {"B_b"}


def test_a_package_that_a_prefix_selects_now_stays(folder: Path) -> None:
    windows: Windows = {A: (3, 2), PREFIX: (3,), GROUP: (3,)}
    assert removed(folder, windows, b_b="B_b") == set()
    assert removed(folder, {A: (3, 2), PREFIX: (1,), GROUP: (3,)}, b_b="B_b") == {
        f"{name}/{file}" for name in ("b-b", "B_b") for file in badges(3)
    }


def test_badges_of_a_removed_window_go_and_its_record_forgets_it(folder: Path) -> None:
    windows: Windows = {A: (3,), B: (3,), GROUP: (3,)}
    web = directory(folder, windows, b_b="B_b")
    publish(web, windows)
    before = web.read("a")
    assert before
    assert [window.days for window in before.former] == [2]
    assert removed(folder, windows, b_b="B_b") == {f"a/{file}" for file in badges(2)}
    after = web.read("a")
    assert after
    assert (after.windows, after.former) == (before.windows, ())


def test_badges_of_a_slug_that_is_not_asked_for_any_more_go(tmp_path: Path) -> None:
    windows: Windows = {A: (3,)}
    publish(directory(tmp_path, windows, style=BadgeStyle(slugs=("downloads", "os-linux"))), windows)
    assert removed(tmp_path, windows) == {f"a/{file}" for file in badges(3, slug="os-linux")}


def test_files_of_others_stay(folder: Path) -> None:
    others = {"b-b/logo.png", "b-b/downloads-x.json", "c/downloads-3d-non-ci.json", "x.html"}
    for name in others:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    gone = removed(folder, {A: (3, 2)})
    assert gone
    assert others <= files(folder)


def test_a_folder_without_a_record_is_of_others(folder: Path) -> None:
    (folder / "b-b" / "counts.json").unlink()
    assert "b-b" not in find_orphans(directory(folder, {A: (3, 2)}), {A: (3, 2)})


@pytest.fixture
def of_all(tmp_path: Path) -> Path:
    """A folder of what `*` has published: two packages with two windows."""
    windows: Windows = {EVERYTHING: (3, 2)}
    web = directory(tmp_path, windows).all_packages
    shard = Shard("bigquery", HEADLINE_COLUMNS, (Window(3, DAY), Window(2, DAY)), (3, 2), {"aa": (1, 2, 1, 1)})
    web.write_shard("aa", shard)
    web.write_summary(Summary("bigquery", {3: DAY, 2: DAY}, (3, 2), {"aa": 1}))
    (tmp_path / "aa").mkdir()
    for badge in badges_of_shard(shard, shard.packages["aa"], HEADLINE, today=TODAY, stale_threshold_days=3):
        for name, content in badge_files(badge).items():
            (tmp_path / "aa" / name).write_bytes(content)
    (tmp_path / "aa" / "history.json").write_text("{}")
    return tmp_path


def test_a_window_that_everything_has_no_more_goes_from_each_package_and_from_the_shards(of_all: Path) -> None:
    windows: Windows = {EVERYTHING: (3,)}
    assert removed(of_all, windows) == {f"aa/{file}" for file in badges(2)}
    web = directory(of_all, windows).all_packages
    shard, summary = web.shard("aa"), web.summary()
    assert shard
    assert summary
    assert (shard.lengths, shard.packages) == ((3,), {"aa": (1, 2)})
    assert summary.as_of == {3: DAY}


def test_without_everything_all_that_it_published_goes_but_what_others_put_there(of_all: Path) -> None:
    (of_all / "aa" / "logo.png").touch()
    web = directory(of_all, {})
    orphans = find_orphans(web, {})
    assert orphans == {"*": [*badges(3, 2), "history.json"], "_packages": ["aa.json", "index.html", "index.json"]}
    assert count_orphans(web, orphans) == 5 + 3
    remove_orphans(web, orphans)
    assert files(of_all) == {"aa/logo.png"}


BOTH_DIMENSIONS = breakdowns(
    ("python", "cpu"), {DAY - timedelta(n): {"python": {"3.12": (9, 1)}, "cpu": {"arm64": (9, 1)}} for n in range(3)}
)
PYTHONS = BadgeStyle(slugs=("downloads", "pythons", "cpu-arm64"))


@pytest.fixture
def broken_down(tmp_path: Path) -> Path:
    web = directory(tmp_path, {A: (3,)}, style=PYTHONS, dimensions=("python", "cpu"))
    publish(web, {A: (3,)}, broken_down=BOTH_DIMENSIONS)
    return tmp_path


def test_configured_breakdowns_are_no_orphans(broken_down: Path) -> None:
    web = directory(broken_down, {A: (3,)}, style=PYTHONS, dimensions=("python", "cpu"))
    assert {"a/python.csv", "a/cpu.csv", "a/breakdowns.json"} < files(broken_down)
    assert find_orphans(web, {A: (3,)}) == {}


def test_a_removed_dimension_goes_with_its_badge_and_its_part_of_the_breakdowns(broken_down: Path) -> None:
    web = directory(broken_down, {A: (3,)}, style=PYTHONS, dimensions=("python",))
    remove_orphans(web, find_orphans(web, {A: (3,)}))
    assert not files(broken_down) & {"a/cpu.csv", *(f"a/{name}" for name in badges(3, slug="cpu-arm64"))}
    left = web.read_breakdowns("a")
    assert (set(left.days), set(left.windows[3]), set(left.badges)) == ({"python"}, {"python"}, {"pythons-3d-non-ci"})
    assert find_orphans(web, {A: (3,)}) == {}
    publish(web, {A: (3,)})
    assert "cpu" not in (broken_down / "a" / "index.html").read_text()


def test_without_a_breakdown_all_their_files_go(broken_down: Path) -> None:
    assert removed(broken_down, {A: (3,)}) == {
        f"a/{name}"
        for name in (
            "python.csv",
            "cpu.csv",
            "breakdowns.json",
            *badges(3, slug="pythons"),
            *badges(3, slug="cpu-arm64"),
        )
    }


def test_a_removed_package_loses_its_breakdowns_too(broken_down: Path) -> None:
    removed(broken_down, {B: (3,)})
    assert not (broken_down / "a").exists()
