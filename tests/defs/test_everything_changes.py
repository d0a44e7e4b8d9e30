"""What becomes of `*` when its entry, those beside it, the source or the store change: no number lies or goes back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import DAY, FixedClock, House, MakeHouse, RowSource, on_disk
from tests.everything import HEADLINE, everything, live, materialised, told
from tests.rows import row
from winnow_dagster.collect import _not_listed
from winnow_dagster.config.settings import GroupSettings
from winnow_dagster.core.badge import BADGE_KINDS, BadgeStyle
from winnow_dagster.core.coverage import ONE_DAY, Failure
from winnow_dagster.core.names import EVERYTHING, Group, Selector, normalise
from winnow_dagster.defs.checks import CHECKS
from winnow_dagster.defs.resources import Installation
from winnow_dagster.files.errors import SampleOverRealError
from winnow_dagster.publishing.prune import count_orphans, find_orphans, remove_orphans

ALL_BADGES = BadgeStyle(slugs=tuple(kind.slug for kind in BADGE_KINDS))


@pytest.fixture(autouse=True)
def _rows(source: RowSource) -> None:
    # Few as the rows are, no day is short.
    source.rows_of_day = {DAY + timedelta(days=n): 1000 for n in range(-70, 20)}
    source.rows = [
        row(DAY, "requests", downloads=1_234),
        row(DAY - timedelta(days=1), "requests", installer="bandersnatch", system=None, downloads=7),
        row(DAY - timedelta(days=2), "req", installer="uv", system="Darwin", downloads=12),
        row(DAY, "numpy", downloads=5),
        row(DAY, "q", downloads=77),
    ]


def bad(house: House, name: str) -> dict[str, str]:
    (check,) = [check for check in CHECKS if check.name == name]
    return dict(check.judge(house.winnow).bad)


def read(house: House, path: str) -> Any:
    return json.loads((house.output_dir / path).read_bytes())


def files(house: House, package: str) -> set[str]:
    return {path.name for path in (house.output_dir / package).iterdir()}


def prune(house: House) -> int:
    orphans = find_orphans(house.winnow.web, house.winnow.settings.published_windows)
    number = count_orphans(house.winnow.web, orphans)
    remove_orphans(house.winnow.web, orphans)
    assert find_orphans(house.winnow.web, house.winnow.settings.published_windows) == {}
    return number


def test_without_star_a_package_that_gets_an_entry_is_listed_and_stays_fresh_and_is_not_pruned(
    make_house: MakeHouse, source: RowSource
) -> None:
    live(everything(make_house))
    later = DAY + timedelta(days=4)
    source.rows = [*source.rows, row(later, "requests", downloads=8_888)]
    house = make_house({"numpy": (3,), "requests": (3,)}, FixedClock.after(later))
    live(house, DAY + ONE_DAY, later)
    assert told(house, "requests") == "8.9k"
    assert told(house, "req") == f"12 to {DAY}"
    assert {entry["name"] for entry in read(house, "_packages.json")["packages"]} == {"numpy", "requests"}
    prune(house)
    assert told(house, "requests") == "8.9k"
    assert not (house.output_dir / "req").exists()


def test_the_only_package_of_a_shard_is_told_of_by_its_own_entry(make_house: MakeHouse) -> None:
    live(everything(make_house))
    house = everything(make_house, named=("numpy", "q"))
    house.show()
    assert {"numpy", "q"} == set(read(house, "_health.json")["packages"])
    assert not (house.output_dir / "_packages" / "q.json").exists()
    assert "q" not in read(house, "_packages/index.json")["shards"]
    assert told(house, "q") == "77"


def test_without_star_badges_grow_stale_as_they_looked_and_no_other_badge_appears(make_house: MakeHouse) -> None:
    style = replace(HEADLINE, labels={"downloads": "installs"}, extras={"style": "flat-square"})
    before = files(live(everything(make_house, style=style)), "req")
    house = make_house({"numpy": (3,)}, FixedClock.after(DAY + timedelta(days=4)))
    house.show_badges()
    assert files(house, "req") == before
    assert read(house, "req/downloads-3d-non-ci.json") == {
        "schemaVersion": 1, "label": "installs", "message": f"12 to {DAY}", "color": "lightgrey",
        "style": "flat-square",
    }  # fmt: skip


def test_sample_data_takes_the_place_of_no_real_number(make_house: MakeHouse) -> None:
    live(everything(make_house, named=()))
    house = everything(make_house, named=(), kind="sample")
    with pytest.raises(SampleOverRealError, match="_packages holds real numbers"):
        house.winnow.refuse_sample_over_real()
    assert not house.run("badges").success
    assert told(house, "requests") == "1.2k"


def test_sample_data_says_so_until_real_numbers_take_its_place_and_is_gone_then(
    make_house: MakeHouse, source: RowSource
) -> None:
    source.rows = [*source.rows, row(DAY, "made-up", downloads=7)]
    live(everything(make_house, named=(), kind="sample"))
    source.rows = [row(DAY, "requests")]
    house = live(everything(make_house, named=()), DAY, DAY)
    assert "Sample data" in (house.output_dir / "_packages/index.html").read_text()
    assert read(house, "requests/downloads-3d-non-ci.json")["label"].startswith("sample: ")
    house = everything(make_house, (1, 3), named=())
    house.show()
    assert "Sample data" not in (house.output_dir / "_packages/index.html").read_text()
    assert told(house, "requests", "downloads-1d-non-ci.json") == "1"
    assert house.winnow.web.all_packages.names() == {"requests"}
    assert not (house.output_dir / "made-up").exists()
    live(house)
    assert read(house, "requests/downloads-3d-non-ci.json")["label"] == "pip*/uv/poetry/pdm (3d)"


def test_what_was_not_counted_is_not_said_to_be_0(make_house: MakeHouse, source: RowSource) -> None:
    house = materialised(everything(make_house, min_downloads=100))
    assert house.winnow.web.all_packages.names() == {"requests"}
    source.rows = [*source.rows, row(DAY, "req", downloads=3)]
    # Another window, more badges, more packages: of the window before, only the headline of `requests` is known.
    house = everything(make_house, (2,), style=ALL_BADGES)
    assert house.count(DAY, DAY, refetch=True).success
    house.publish()
    assert {name for name in files(house, "req") if "-3d-" in name} == set()
    assert {name for name in files(house, "requests") if "-3d-" in name} == {
        f"{slug}-3d-non-ci.{suffix}" for slug in ("downloads", "honest-share") for suffix in ("json", "svg")
    }
    assert told(house, "req", "installer-pip-2d-non-ci.json") == "3"
    assert read(house, "_packages/re.json")["packages"]["req"][-2:] == [None, None]
    assert bad(house, "published_equals_store") == {}


def test_a_lost_store_takes_no_day_of_a_history_back(make_house: MakeHouse) -> None:
    house = live(everything(make_house, (3, 1)))
    before = {name: read(house, f"{name}/history.json") for name in ("req", "requests")}
    assert before["req"]["days"] == {str(DAY - timedelta(days=2)): [12, 12]}
    house.data_dir.rename(house.winnow.settings.folder / "lost")
    again = everything(make_house, (3, 1))
    again.winnow.ownership.claim(adopt=True)
    live(again, DAY, DAY)
    assert {name: read(again, f"{name}/history.json") for name in before} == before


def test_a_damaged_newest_day_is_not_taken_back(make_house: MakeHouse, source: RowSource) -> None:
    house = live(everything(make_house), DAY - timedelta(days=3))
    before = read(house, "requests/history.json")
    for store in (house.winnow.raw, house.winnow.honest):
        on_disk(store.path(DAY)).write_bytes(b"x")
    source.failing = {"*"}
    house = everything(make_house)
    house.show_badges()
    assert read(house, "requests/history.json") == before
    assert told(house, "requests") == "1.2k"


def test_a_window_that_star_has_no_more_stays_grows_stale_and_can_be_pruned(
    make_house: MakeHouse, source: RowSource
) -> None:
    live(everything(make_house))
    later = DAY + timedelta(days=5)
    source.rows = [*source.rows, row(later, "requests", downloads=5)]
    house = live(everything(make_house, (2,), clock=FixedClock.after(later)), DAY + ONE_DAY, later)
    assert told(house, "requests") == f"1.2k to {DAY}"
    assert told(house, "requests", "downloads-2d-non-ci.json") == "5"
    assert list(read(house, "requests/history.json")["days"]) == [str(DAY - ONE_DAY), str(DAY), str(later)]
    assert bad(house, "as_of_is_recent") == bad(house, "published_equals_store") == {}
    assert bad(house, "no_orphaned_files")["*"].startswith("2 files")
    # And once `*` is gone, the other window grows stale too.
    gone = make_house({"numpy": (3,)}, FixedClock.after(later + timedelta(days=20)))
    gone.show_badges()
    assert told(gone, "requests", "downloads-2d-non-ci.json") == f"5 to {later}"
    house.show()
    assert prune(house) == 2 * 3
    assert told(house, "requests", "downloads-2d-non-ci.json") == "5"
    assert not (house.output_dir / "requests" / "downloads-3d-non-ci.json").exists()
    house.show()
    assert files(house, "req") == {"downloads-2d-non-ci.json", "downloads-2d-non-ci.svg", "history.json"}


def test_a_badge_that_star_has_no_more_is_renewed_until_it_is_pruned(make_house: MakeHouse, source: RowSource) -> None:
    live(everything(make_house, style=BadgeStyle(slugs=("downloads", "installer-uv"))))
    later = DAY + timedelta(days=30)
    source.rows = [*source.rows, row(later, "req", installer="uv", downloads=5)]
    house = live(everything(make_house, clock=FixedClock.after(later)), DAY + ONE_DAY, later)
    assert told(house, "req", "installer-uv-3d-non-ci.json") == "5"
    assert prune(house) == 2 * 3
    house.show()
    assert files(house, "req") == {"downloads-3d-non-ci.json", "downloads-3d-non-ci.svg", "history.json"}


def test_a_group_names_the_packages_that_only_star_selects_and_the_store_agrees(make_house: MakeHouse) -> None:
    group = Group(normalise("mine"), tuple(map(Selector.parse, ("requests", "numpy", "re-*"))))
    house = live(everything(make_house, groups=(GroupSettings(group, (3,)),)))
    assert told(house, "_group/mine") == "1.2k"
    assert read(house, "_group/mine/counts.json")["members"] == ["numpy", "re-*", "requests"]
    assert '<a href="../../re-*/">' not in (house.output_dir / "_group/mine/index.html").read_text()
    assert bad(house, "published_equals_store") == {}


def test_a_group_that_leaves_the_config_is_no_package_of_star_and_keeps_its_number(make_house: MakeHouse) -> None:
    group = Group(normalise("mine"), (Selector.parse("requests"), Selector.parse("numpy")))
    folder = live(everything(make_house, groups=(GroupSettings(group, (3,)),))).output_dir / "_group/mine"
    before = {name: (folder / name).read_bytes() for name in ("downloads-3d-non-ci.json", "history.json")}
    house = everything(make_house)
    house.show()
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert house.winnow.published()["*"] == []
    assert set(bad(house, "no_orphaned_files")) == {"_group/mine"}
    assert bad(house, "published_equals_store") == {}
    later = everything(make_house, clock=FixedClock.after(DAY + timedelta(days=4)))
    later.show()
    assert told(later, "_group/mine") == f"1.2k to {DAY}"
    prune(later)
    assert not folder.exists()


def test_a_group_whose_members_were_never_downloaded_names_them_and_what_is_odd(make_house: MakeHouse) -> None:
    group = Group(normalise("mine"), (Selector.parse("reqq-*"),))
    house = make_house({"numpy": (3,), "reqq-*": (3,)})
    house.winnow = replace(house.winnow, settings=replace(house.winnow.settings, groups=(GroupSettings(group, (3,)),)))
    live(house)
    assert read(house, "_group/mine/counts.json")["members"] == ["reqq-*"]
    assert bad(house, "published_equals_store") == {}
    assert bad(house, "every_package_has_downloads") == {
        "_group/mine": "no download in 3 days: are the names right?",
        "reqq-*": "no package with such a name was downloaded: is the prefix right?",
    }


def test_a_collect_of_one_package_that_only_star_selects_finds_it(make_house: MakeHouse) -> None:
    house = live(everything(make_house))
    assert list(_not_listed(house.winnow, [EVERYTHING], ["requests"], set(), {})) == []
    assert "Check the spelling" in next(_not_listed(house.winnow, [EVERYTHING], ["reqwests"], set(), {}))


def test_what_the_version_before_listed_is_still_known(make_house: MakeHouse) -> None:
    house = live(everything(make_house))
    path = house.output_dir / "_packages" / "index.json"
    listed = json.loads(path.read_bytes())
    path.write_text(json.dumps({k: v for k, v in listed.items() if k not in {"former", "look"}} | {"stale": False}))
    assert house.winnow.web.all_packages.names() == {"requests", "req", "q"}
    later = make_house({"numpy": (3,)}, FixedClock.after(DAY + timedelta(days=4)))
    later.show_badges()
    assert told(later, "req") == f"12 to {DAY}"


def test_a_short_day_that_is_counted_is_named_for_every_package(make_house: MakeHouse, source: RowSource) -> None:
    source.rows_of_day[DAY] = 1
    house = live(everything(make_house, clock=FixedClock.after(DAY + timedelta(days=14))))
    assert read(house, "_packages/index.json")["short_days"] == [str(DAY)]
    assert read(house, "_health.json")["everything"]["short_days"] == [str(DAY)]
    assert f'lost rows of <time datetime="{DAY}">' in (house.output_dir / "_packages" / "index.html").read_text()
    house.show()
    assert read(house, "_packages/index.json")["short_days"] == [str(DAY)]


def unhurried(house: House) -> Installation:
    """Return the installation without its waiting for days that are short."""
    return replace(house.winnow, waits=False)


def test_a_scan_tells_its_own_number_of_rows_where_the_source_cannot(make_house: MakeHouse, source: RowSource) -> None:
    source.rows_of_day = {}
    house = everything(make_house)
    days = [DAY - timedelta(days=n) for n in (3, 2, 1, 0)]
    house.store(days[0], days[-1])
    read = {day: coverage.covers(EVERYTHING) for day, coverage in house.winnow.raw.coverages(days).items()}
    # Nothing at all was downloaded on the first of these days.
    assert read == dict(zip(days, (False, True, True, True), strict=True))
    source.rows = [*source.rows, row(days[0], "requests", downloads=3)]
    source.asked.clear()
    assert all(isinstance(answer, Failure) for answer in unhurried(house).fetch([days[0]], [], refetch=False))
    assert source.asked == []
    tomorrow = everything(make_house, clock=FixedClock.after(DAY + timedelta(days=1)))
    tomorrow.store(days[0], days[0])
    assert tomorrow.winnow.raw.coverages(days)[days[0]].covers(EVERYTHING)
