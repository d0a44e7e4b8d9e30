"""`*`: an honest badge for every package, the same as if each had an entry, and nothing of it one by one."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import DAY, FixedClock, House, MakeHouse, RowSource
from tests.everything import everything, live, materialised, told
from tests.rows import Row, row, to_frame
from winnow_dagster.core import everything as counting
from winnow_dagster.core.badge import BADGE_KINDS, BadgeStyle, format_count
from winnow_dagster.core.categories import winnow
from winnow_dagster.core.coverage import Coverage
from winnow_dagster.core.everything import Everything
from winnow_dagster.core.names import EVERYTHING
from winnow_dagster.defs.checks import CHECKS
from winnow_dagster.files.operations import Failures
from winnow_dagster.publishing.prune import count_orphans, find_orphans, remove_orphans
from winnow_dagster.publishing.shards import publish_everything
from winnow_dagster.site import badges as drawing

NAMES = ("requests", "req", "r", "0x", "zz-top", "numpy", "py-a", "py-b")
INSTALLERS = ("pip", "uv", "bandersnatch", "Browser", None)


def store(house: House, found: list[Row]) -> None:
    """Store rows as if they had been read and counted."""
    frame = to_frame(found)
    for day in (DAY - timedelta(days=ago) for ago in range(5)):
        raw, coverage = frame.filter(pl.col("date") == day), Coverage({EVERYTHING: house.winnow.clock.now()})
        house.winnow.raw.write(day, raw, coverage)
        house.winnow.honest.write(day, winnow(raw.lazy()).collect(), coverage)


def files(house: House) -> dict[str, bytes]:
    public = house.output_dir
    return {str(p.relative_to(public)): p.read_bytes() for p in public.rglob("*") if p.is_file()}


@pytest.fixture(autouse=True)
def _rows(source: RowSource) -> None:
    # Few as the rows are, no day is short.
    source.rows_of_day = {DAY + timedelta(days=n): 1000 for n in range(-70, 20)}
    source.rows = [
        row(DAY, "requests", downloads=1_234),
        row(DAY - timedelta(days=1), "requests", installer="bandersnatch", system=None, downloads=7),
        row(DAY - timedelta(days=2), "req", installer="uv", system="Darwin", downloads=12),
        row(DAY, "numpy", downloads=5),
        row(DAY, "mirrored", installer="bandersnatch", system=None, downloads=9),
        row(DAY, "../evil", downloads=99),
        row(DAY, "Not.Normal", downloads=99),
    ]


rows = st.lists(
    st.builds(
        row,
        st.integers(0, 4).map(lambda ago: DAY - timedelta(days=ago)),
        st.sampled_from(NAMES),
        installer=st.sampled_from(INSTALLERS),
        system=st.sampled_from(("Linux", None)),
        ci=st.sampled_from((None, True)),
        downloads=st.integers(1, 3_000_000),
    ),
    min_size=1,
    max_size=30,
    unique_by=lambda r: (r["date"], r["package"], r["installer"], r["system"], r["ci"]),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows, st.sampled_from([1, 3, 1000]))
def test_every_package_has_the_badge_and_the_days_that_a_recount_of_its_rows_gives(
    tmp_path_factory: pytest.TempPathFactory, found: list[Row], most: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # However many rows are counted at a time.
        patch.setattr(counting, "MAX_ROWS_COUNTED", most)
        patch.setattr(drawing, "MAX_CACHED", most)
        make_house = MakeHouse(tmp_path_factory.mktemp("house"), RowSource(rows=found), dg.DagsterInstance.ephemeral)
        house = everything(make_house, (3, 2))
        store(house, found)
        described = house.winnow.packages(["*"])["*"]
        assert isinstance(described, Everything)
        with_days, without = (
            {name: c.shard for shards in described.shards(with_days=w) for name, c in shards.items()}
            for w in (True, False)
        )
        assert with_days == without
        failures = Failures()
        publish_everything(house.winnow.web.all_packages, described, 0, DAY, failures)
        failures.raise_any()
        honest, raw = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
        of_days: dict[str, dict[str, list[int]]] = {}
        for one in found:
            day, package, downloads = one["date"], one["package"], one["downloads"]
            is_honest = one["installer"] in {"pip", "uv"} and not one["ci"]
            for days in (2, 3):
                if day > DAY - timedelta(days=days):
                    raw[package, days] += downloads
                    honest[package, days] += downloads * is_honest
            if day > DAY - timedelta(days=3):
                counts = of_days.setdefault(package, {}).setdefault(str(day), [0, 0])
                counts[0] += downloads * is_honest
                counts[1] += downloads
        for package in {package for package, days in raw if days == 3} - {"numpy"}:
            folder = house.output_dir / package
            for days in (2, 3):
                assert told(house, package, f"downloads-{days}d-non-ci.json") == format_count(honest[package, days])
                assert format_count(honest[package, days]) in (folder / f"downloads-{days}d-non-ci.svg").read_text()
            assert json.loads((folder / "history.json").read_bytes())["days"] == dict(sorted(of_days[package].items()))
            assert len(list(folder.iterdir())) == 5
        shards = list(house.output_dir.glob("_packages/??.json"))
        shards += house.output_dir.glob("_packages/?.json")
        listed = {n: c for p in shards for n, c in json.loads(p.read_bytes())["packages"].items()}
        assert listed == {
            name: [honest[name, 3], raw[name, 3], honest[name, 2], raw[name, 2]]
            for name in {package for package, days in raw if days == 3} - {"numpy"}
        }


def test_a_package_with_an_entry_of_its_own_is_published_as_that_says(make_house: MakeHouse) -> None:
    house = live(everything(make_house))
    public = house.output_dir
    assert {"index.html", "counts.json", "installer-uv-3d-non-ci.json"} <= {
        p.name for p in (public / "numpy").iterdir()
    }
    assert "numpy" not in house.winnow.web.all_packages.names()
    assert house.winnow.web.all_packages.names() == {"requests", "req", "mirrored"}


def test_what_is_no_name_gets_no_folder(make_house: MakeHouse) -> None:
    house = live(everything(make_house))
    folders = {p.name for p in house.output_dir.iterdir() if p.is_dir()}
    assert folders == {"_packages", "_static", "requests", "req", "mirrored", "numpy"}
    assert not (house.winnow.settings.folder / "evil").exists()


def test_packages_with_too_few_downloads_are_left_out_until_they_have_enough_and_stay_then(
    make_house: MakeHouse, source: RowSource
) -> None:
    house = materialised(everything(make_house, min_downloads=13))
    assert house.winnow.web.all_packages.names() == {"requests"}
    source.rows = [*source.rows, row(DAY + timedelta(days=1), "req", installer="uv")]
    later = everything(make_house, clock=FixedClock.after(DAY + timedelta(days=1)), min_downloads=1)
    materialised(later, DAY + timedelta(days=1), DAY + timedelta(days=1))
    assert told(later, "req") == "1"
    assert later.winnow.web.all_packages.names() == {"requests", "req"}
    last = everything(make_house, clock=FixedClock.after(DAY + timedelta(days=4)), min_downloads=13)
    materialised(last, DAY + timedelta(days=2), DAY + timedelta(days=4))
    assert (told(last, "req"), told(last, "requests")) == ("0", "0")


def test_nothing_is_published_of_a_window_that_is_not_whole(make_house: MakeHouse) -> None:
    house = live(everything(make_house, (4,)))
    assert house.winnow.web.all_packages.names() == frozenset()
    live(house, DAY - timedelta(days=3), DAY - timedelta(days=3))
    assert told(house, "requests", "downloads-4d-non-ci.json") == "1.2k"


def test_published_again_nothing_changes(make_house: MakeHouse) -> None:
    house = materialised(everything(make_house))
    before = {path: path.stat().st_mtime_ns for path in (house.output_dir / "requests").iterdir()}
    assert house.run("badges").success
    assert {path: path.stat().st_mtime_ns for path in (house.output_dir / "requests").iterdir()} == before


def test_without_a_new_day_badges_turn_grey_and_with_one_they_are_fresh_again(
    make_house: MakeHouse, source: RowSource
) -> None:
    live(everything(make_house))
    later = DAY + timedelta(days=4)
    house = everything(make_house, clock=FixedClock.after(later))
    house.show_badges()
    assert told(house, "requests") == f"1.2k to {DAY}"
    source.rows = [*source.rows, row(later, "requests", downloads=8)]
    live(house, DAY + timedelta(days=1), later)
    assert told(house, "requests") == "8"


def test_a_lost_store_takes_no_number_back(make_house: MakeHouse) -> None:
    house = live(everything(make_house))
    before = files(house)
    house.data_dir.rename(house.winnow.settings.folder / "lost")
    again = everything(make_house)
    again.winnow.ownership.claim(adopt=True)
    again.store(DAY, DAY)
    again.show_badges()
    kept = {path: content for path, content in files(again).items() if path.startswith(("re", "_packages/re"))}
    assert kept == {path: content for path, content in before.items() if path.startswith(("re", "_packages/re"))}


def test_an_older_day_that_is_published_again_changes_nothing(make_house: MakeHouse) -> None:
    house = live(everything(make_house))
    before = files(house)
    assert live(everything(make_house), DAY - timedelta(days=4), DAY).winnow.web.all_packages.names()
    replay = everything(make_house, clock=FixedClock.after(DAY - timedelta(days=1)))
    replay.show_badges()
    assert {path: content for path, content in files(replay).items() if path.startswith("re")} == {
        path: content for path, content in before.items() if path.startswith("re")
    }


def test_an_entry_that_comes_and_goes_leaves_one_publisher_of_each_folder(make_house: MakeHouse) -> None:
    live(everything(make_house))
    named = make_house({"requests": (3,), "numpy": (3,), "*": (3,)})
    named.show_badges()
    assert "requests" not in named.winnow.web.all_packages.names()
    assert told(named, "requests", "installer-uv-3d-non-ci.json") == "0"
    house = live(everything(make_house))
    assert "requests" not in house.winnow.web.all_packages.names()
    assert [p.state.package for p in house.winnow.packages(["*"])["*"].packages] == ["requests"]  # type: ignore[union-attr]
    assert told(house, "requests") == "1.2k"


def test_badges_that_are_added_are_counted_from_the_same_rows(make_house: MakeHouse) -> None:
    house = live(everything(make_house, style=BadgeStyle(slugs=tuple(kind.slug for kind in BADGE_KINDS))))
    assert told(house, "req", "installer-uv-3d-non-ci.json") == "12"
    assert told(house, "req", "os-macos-3d-non-ci.json") == "12"
    assert told(house, "requests", "honest-share-3d-non-ci.json") == "99.4%"


def test_a_folder_that_cannot_be_written_takes_no_other_down(make_house: MakeHouse) -> None:
    house = everything(make_house)
    public = house.output_dir
    public.mkdir(parents=True)
    (public / "req").write_text("in the way")
    assert house.count(DAY - timedelta(days=2), DAY).success
    assert not house.run("badges").success
    assert told(house, "requests") == "1.2k"
    (public / "req").unlink()
    assert house.run("badges").success
    assert told(house, "req") == "12"


def test_days_are_not_read_again_to_settle_unless_asked_for(make_house: MakeHouse, source: RowSource) -> None:
    for settle, expected in ((False, 0), (True, 2)):
        house = everything(make_house, settle=settle)
        object.__setattr__(house.winnow.settings.source, "settle_days", 2)
        house.store(DAY - timedelta(days=2), DAY)
        later = everything(make_house, clock=FixedClock.after(DAY + timedelta(days=9)), settle=settle)
        object.__setattr__(later.winnow.settings.source, "settle_days", 2)
        gaps = later.winnow.gaps([EVERYTHING], through=DAY)
        assert sum(gap.days for gap in gaps) == expected


def test_no_event_names_a_package(make_house: MakeHouse) -> None:
    house = materialised(everything(make_house))
    told_of = "".join(str(e) for run in house.instance.get_runs() for e in house.instance.all_logs(run.run_id))
    assert "numpy" in told_of
    assert "requests" not in told_of
    assert Path(house.output_dir / "requests").is_dir()


def test_what_a_run_that_died_staged_is_removed(make_house: MakeHouse) -> None:
    house = live(everything(make_house))
    left = house.output_dir / "_packages" / ".winnow-999999999-0"
    left.write_bytes(b"half")
    assert house.run("badges").success
    assert not left.exists()


def test_without_its_entry_all_of_it_is_an_orphan_and_removed_when_asked(make_house: MakeHouse) -> None:
    house = live(everything(make_house))
    (house.output_dir / "req" / "mine.txt").touch()
    named = make_house({"numpy": (3,)})
    orphans = find_orphans(named.winnow.web, named.winnow.settings.published_windows)
    assert orphans == {
        "*": ["downloads-3d-non-ci.json", "downloads-3d-non-ci.svg", "history.json"],
        "_packages": ["mi.json", "re.json", "index.html", "index.json"],
    }
    assert count_orphans(named.winnow.web, orphans) == 3 * 3 + 4
    remove_orphans(named.winnow.web, orphans)
    left = {p.name for p in house.output_dir.iterdir() if p.is_dir()}
    assert left == {"numpy", "req", "_static"}
    assert [p.name for p in (house.output_dir / "req").iterdir()] == ["mine.txt"]
    assert find_orphans(named.winnow.web, named.winnow.settings.published_windows) == {}


def test_the_check_names_a_number_that_the_store_does_not_say_and_a_badge_that_is_not_its_numbers(
    make_house: MakeHouse,
) -> None:
    house = live(everything(make_house))
    (check,) = [check for check in CHECKS if check.name == "published_equals_store"]
    assert check.judge(house.winnow).bad == {}
    shard = house.output_dir / "_packages" / "re.json"
    shard.write_bytes(shard.read_bytes().replace(b"[1234,1241]", b"[1235,1241]"))
    assert check.judge(house.winnow).bad["requests"] == "is [1235, 1241]; the store says [1234, 1241]"
    house.show_badges()
    assert check.judge(house.winnow).bad == {}
    for name in house.winnow.web.all_packages.names():
        (house.output_dir / name / "downloads-3d-non-ci.json").unlink()
    assert set(check.judge(house.winnow).bad.values()) == {"is missing"}


def test_what_spans_packages_tells_how_many_there_are_and_where_to_find_them(make_house: MakeHouse) -> None:
    house = live(everything(make_house))
    public = house.output_dir
    told_of = {"packages": 3, "as_of": {"3": str(DAY)}, "list": "_packages/index.json"}
    assert json.loads((public / "_packages.json").read_bytes())["everything"] == told_of
    assert json.loads((public / "_health.json").read_bytes())["everything"] == told_of
    assert '3 more packages have a badge: <a href="_packages/" data-everything>' in (public / "index.html").read_text()
