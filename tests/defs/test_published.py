"""What is published: never a number that is not known, never an older one, and only what changed."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import DAY, FixedClock
from tests.rows import row
from winnow_dagster.config.settings import GroupSettings
from winnow_dagster.core.names import Group, Selector, normalise
from winnow_dagster.defs.clock import Clock
from winnow_dagster.files.errors import SampleOverRealError

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from tests.conftest import House, MakeHouse, RowSource

HEADLINE = "downloads-3d-non-ci.json"


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


@pytest.fixture(autouse=True)
def _rows(source: RowSource) -> None:
    source.rows = [row(ago(n), "a", downloads=400) for n in range(-9, 40)]


def badge(house: House, name: str = "a", file: str = HEADLINE) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((house.output_dir / name / file).read_bytes())
    return found


def health(house: House) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((house.output_dir / "_health.json").read_bytes())
    return found


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and path.name != "_health.json"
    }


def test_a_complete_window_is_published_byte_for_byte_as_the_predecessor_does(make_house: MakeHouse) -> None:
    house = make_house({"a": (3,)})
    house.store(ago(2), DAY)
    house.show()
    assert (house.output_dir / "a" / HEADLINE).read_bytes() == (
        b'{\n  "schemaVersion": 1,\n  "label": "pip*/uv/poetry/pdm (3d)",\n  "message": "1.2k",\n  "color": "blue"\n}\n'
    )


def test_a_package_is_published_under_the_configs_spelling_too(make_house: MakeHouse, source: RowSource) -> None:
    source.rows = [row(ago(n), "ruamel-yaml-clib") for n in range(3)]
    house = make_house({"ruamel.yaml_Clib": (3,)})
    house.store(ago(2), DAY)
    house.show()
    public = house.output_dir
    plain, spelled = files(public / "ruamel-yaml-clib"), files(public / "ruamel.yaml_Clib")
    assert {name: content for name, (_, content) in plain.items()} == {
        name: content for name, (_, content) in spelled.items()
    }
    assert "ruamel.yaml_Clib" in health(house)["packages"]


def test_before_its_first_complete_window_a_package_has_placeholders(make_house: MakeHouse) -> None:
    house = make_house({"a": (3, 1), "b": (3,)})
    house.store(ago(1), DAY)
    house.show()
    assert badge(house)["message"] == "collecting 2/3d"
    assert badge(house, file="downloads-1d-non-ci.json")["message"] == "400"
    assert badge(house, "b")["message"] == "collecting 2/3d"
    assert health(house)["packages"]["a"] == {"window_days": 3, "error": "2 of 3 days collected"}


def test_a_number_is_never_replaced_by_a_placeholder_or_an_older_one(make_house: MakeHouse) -> None:
    house = make_house({"a": (3,)})
    house.store(ago(2), DAY)
    house.show()
    before = files(house.output_dir)
    for path in house.data_dir.rglob("*.parquet"):
        path.unlink()
    house.show()
    record = json.loads((house.output_dir / "a" / "counts.json").read_bytes())
    assert record["windows"]["3"]["as_of"] == str(DAY)
    assert badge(house)["message"] == "1.2k"
    house.store(ago(9), ago(7))
    house.show()
    assert badge(house)["message"] == "1.2k"
    after = files(house.output_dir)
    assert {name for name, found in after.items() if found != before[name]} <= {
        "_packages.json",
        "a/chart.svg",
        "a/counts.json",
        "a/history.csv",
        "a/history.json",
        "a/index.html",
        "index.html",
    }
    assert all(line in after["a/history.csv"][1] for line in before["a/history.csv"][1].splitlines())


def test_a_number_of_the_predecessor_stays_until_there_is_a_better_one(make_house: MakeHouse) -> None:
    house = make_house({"A": (3,)})
    folder = house.output_dir / "A"
    folder.mkdir(parents=True)
    (folder / HEADLINE).write_text('{"schemaVersion": 1, "label": "x", "message": "7k", "color": "blue"}')
    house.store(DAY, DAY)
    house.show()
    assert badge(house, "A")["message"] == "7k"
    assert badge(house, "a")["message"] == "collecting 1/3d"
    house.store(ago(2), DAY)
    house.show()
    assert badge(house, "A")["message"] == badge(house, "a")["message"] == "1.2k"


def test_a_backfill_of_an_old_day_leaves_todays_badge_alone(make_house: MakeHouse) -> None:
    house = make_house({"a": (3,)})
    house.store(ago(2), DAY)
    house.show()
    before = files(house.output_dir)
    house.store(ago(20), ago(10))
    house.show()
    after = files(house.output_dir)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"a/chart.svg", "a/history.json", "a/history.csv", "a/index.html"}


def test_publishing_twice_touches_no_file_but_the_health_file(make_house: MakeHouse) -> None:
    house = make_house({"a": (3,), "b": (3,)})
    house.store(ago(2), DAY)
    house.show()
    before = files(house.output_dir)
    house.show()
    assert files(house.output_dir) == before


def test_a_number_grows_stale_and_recovers(make_house: MakeHouse) -> None:
    make_house({"a": (3,)}).store(ago(2), DAY)
    make_house({"a": (3,)}).show()
    late = make_house({"a": (3,)}, FixedClock.after(DAY + timedelta(days=3)))
    late.show()
    assert badge(late)["message"] == f"1.2k to {DAY}"
    assert badge(late)["color"] == "lightgrey"
    assert health(late)["packages"]["a"]["error"] == f"the newest complete window of 3 days ends on {DAY}"
    late.store(ago(-1), ago(-3))
    late.show()
    assert badge(late)["message"] == "1.2k"
    assert "error" not in health(late)["packages"]["a"]


def test_a_missing_day_in_the_middle_holds_the_number_back(make_house: MakeHouse) -> None:
    house = make_house({"a": (3,)})
    house.store(ago(9), ago(2))
    house.store(DAY, DAY)
    house.show()
    record = json.loads((house.output_dir / "a" / "counts.json").read_bytes())
    assert record["windows"]["3"]["as_of"] == str(ago(2))


def test_a_failing_package_keeps_its_last_badge_and_the_health_file_says_why(
    make_house: MakeHouse, source: RowSource
) -> None:
    make_house({"a": (3,), "b": (3,)}).store(ago(2), DAY)
    make_house({"a": (3,), "b": (3,)}).show()
    source.failing = {"a"}
    house = make_house({"a": (3,), "b": (3,)}, FixedClock.after(DAY + timedelta(days=1)))
    house.store(ago(-1), ago(-1))
    house.show()
    assert badge(house)["message"] == "1.2k"
    entry = health(house)["packages"]["a"]
    # Not why: reasons name accounts and paths, and this is published.
    assert entry["error"] == f"{ago(-1)} could not be read"
    assert (entry["count"], entry["as_of"]) == (1200, str(DAY))
    assert health(house)["packages"]["b"]["as_of"] == str(ago(-1))
    assert "error" not in health(house)["packages"]["b"]


def test_the_health_file_has_the_predecessors_keys(make_house: MakeHouse) -> None:
    house = make_house({"a": (3,)})
    house.store(ago(2), DAY)
    house.show()
    found = health(house)
    assert {"started", "finished", "packages"} <= set(found)
    entry = found["packages"]["a"]
    assert (entry["count"], entry["window_days"]) == (1200, 3)
    assert entry["counts"] == {
        "pip": 1200, "pipenv": 0, "pipx": 0, "uv": 0, "poetry": 0, "pdm": 0, "pip-family": 1200
    }  # fmt: skip
    assert entry["counts_by_system"] == {"Linux": 1200, "Darwin": 0, "Windows": 0}


def test_a_prefix_publishes_each_of_its_packages_but_those_named_for_themselves(
    make_house: MakeHouse, source: RowSource
) -> None:
    source.rows = [row(ago(n), name) for n in range(3) for name in ("x", "x-a", "x-b", "xy")] + [
        row(ago(5), "x-old", downloads=9)
    ]
    house = make_house({"x-*": (3,), "x-b": (1,)})
    house.store(ago(5), DAY)
    house.show()
    public = house.output_dir
    assert {path.name for path in public.iterdir() if path.is_dir()} == {"_static", "x-a", "x-b", "x-old"}
    assert badge(house, "x-a")["message"] == "3"
    assert badge(house, "x-old")["message"] == "0"
    assert badge(house, "x-b", "downloads-1d-non-ci.json")["message"] == "1"
    assert not (public / "x-b" / HEADLINE).exists()
    assert {str(request.selector) for request in source.asked} == {"x-*"}


def test_sample_numbers_say_so_everywhere_and_give_way_to_real_ones(make_house: MakeHouse) -> None:
    sample = make_house({"a": (3,)}, kind="sample")
    sample.store(ago(2), DAY)
    sample.show()
    assert badge(sample)["label"] == "sample: pip*/uv/poetry/pdm (3d)"
    assert health(sample)["sample"] is True
    page = (sample.output_dir / "index.html").read_text()
    assert "Sample data" in page
    real = make_house({"a": (3,)})
    real.store(DAY, DAY)
    real.show()
    assert badge(real)["message"] == "collecting 1/3d"
    assert "sample" not in badge(real)["label"]


def test_sample_data_does_not_take_the_place_of_real_numbers(make_house: MakeHouse) -> None:
    real = make_house({"a": (3,)})
    real.store(ago(2), DAY)
    real.show()
    before = files(real.output_dir)
    sample = make_house({"a": (3,)}, kind="sample")
    with pytest.raises(SampleOverRealError, match="sample data does not replace them"):
        sample.winnow.refuse_sample_over_real()
    sample.store(ago(2), DAY)
    assert not sample.run("badges").success
    assert files(real.output_dir) == before


def test_sample_data_is_refused_where_only_a_former_window_holds_real_numbers(make_house: MakeHouse) -> None:
    real = make_house({"a": (3,)})
    real.store(ago(2), DAY)
    real.show()
    make_house({"a": (30,)}).show()
    with pytest.raises(SampleOverRealError):
        make_house({"a": (30,)}, kind="sample").winnow.refuse_sample_over_real()


def test_the_page_lists_every_package_with_its_number_and_day(make_house: MakeHouse) -> None:
    house = make_house({"a": (3,), "b": (3,), "c": (9,)})
    house.store(ago(2), DAY)
    house.show()
    page = (house.output_dir / "index.html").read_text()
    for text in ("a/downloads-3d-non-ci.svg", "1,200", str(DAY), "collecting 3/9d", "3 of 9 days collected"):
        assert text in page


def headline_rows(house: House) -> list[tuple[str, str, str]]:
    """Return the rows of the page in order: the name, and the honest count over each of two windows."""
    page = (house.output_dir / "index.html").read_text()
    return re.findall(
        r'<th scope="row" data-value="(.+?)">.*?<td class="n" data-label="Honest">'
        r'<span class="in1">(.*?)</span><span class="in2">(.*?)</span></td>',
        page,
        re.DOTALL,
    )


def test_the_page_compares_a_group_and_its_member_over_the_same_windows(
    make_house: MakeHouse, source: RowSource
) -> None:
    source.rows = [*source.rows, *(row(ago(n), "b") for n in range(9))]
    group = GroupSettings(Group(normalise("mine"), (Selector("a"), Selector("b"))), (3,))
    house = make_house({"a": (9, 3), "b": (9, 3)})
    settings = replace(house.winnow.settings, groups=(group,))
    house.winnow = replace(house.winnow, settings=settings)
    house.store(ago(8), DAY)
    house.show()
    assert headline_rows(house) == [("mine", "3,609", "1,203"), ("a", "3,600", "1,200"), ("b", "9", "3")]
    assert 'aria-sort="descending"' in (house.output_dir / "index.html").read_text()


def test_rows_of_other_windows_are_compared_over_each_of_them(make_house: MakeHouse) -> None:
    house = make_house({"b": (9,), "a": (3,), "c": (3,)})
    house.store(ago(8), DAY)
    house.show()
    assert headline_rows(house) == [("a", "1,200", "3,600"), ("b", "0", "0"), ("c", "0", "0")]


def test_a_package_without_a_download_gets_a_remark_on_both_pages(make_house: MakeHouse) -> None:
    house = make_house({"a": (3,), "reqests": (3,)})
    house.store(ago(2), DAY)
    house.show()
    remark = "o download in 3 days: is the name right?"
    assert (house.output_dir / "index.html").read_text().count(f"n{remark}") == 1
    assert f"N{remark}" in (house.output_dir / "reqests" / "index.html").read_text()
    assert remark not in (house.output_dir / "a" / "index.html").read_text()


def test_a_window_that_leaves_the_config_and_comes_back_never_goes_back_in_time(make_house: MakeHouse) -> None:
    house = make_house({"a": (3, 2)})
    house.store(ago(9), DAY)
    house.show()
    make_house({"a": (2,)}).show()
    replay = make_house({"a": (3, 2)}, Clock(ago(5)))
    replay.show()
    assert badge(replay)["message"] == "1.2k"
    record = json.loads((replay.output_dir / "a" / "counts.json").read_bytes())
    assert record["former_windows"]["3"]["as_of"] == str(DAY)
    house.show()
    record = json.loads((replay.output_dir / "a" / "counts.json").read_bytes())
    assert record["windows"]["3"]["as_of"] == str(DAY)


def test_what_is_no_longer_configured_grows_stale_where_it_was_published(
    make_house: MakeHouse, source: RowSource
) -> None:
    source.rows = [row(ago(n), name, downloads=400) for n in range(3) for name in ("a", "b", "x-y")]
    house = make_house({"A": (3, 2), "b": (3,), "x-*": (3,)})
    house.store(ago(2), DAY)
    house.show()
    late = make_house({"a": (2,)}, FixedClock.after(DAY + timedelta(days=9)))
    late.show()
    for name in ("A", "a", "b", "x-y"):
        assert badge(late, name)["message"] == f"1.2k to {DAY}"
    assert badge(late, "a", "downloads-2d-non-ci.json")["message"] == f"800 to {DAY}"


def test_members_of_a_prefix_grow_stale_even_if_the_store_is_lost(make_house: MakeHouse, source: RowSource) -> None:
    source.rows = [row(ago(n), "x-y", downloads=400) for n in range(3)]
    house = make_house({"x-*": (3,)})
    house.store(ago(2), DAY)
    house.show()
    shutil.rmtree(house.data_dir)
    late = make_house({"x-*": (3,)}, FixedClock.after(DAY + timedelta(days=9)))
    late.winnow.ownership.claim(adopt=True)
    late.show()
    assert badge(late, "x-y")["message"] == f"1.2k to {DAY}"


def test_a_replay_of_old_days_leaves_newer_and_stale_badges_as_they_are(make_house: MakeHouse) -> None:
    house = make_house({"a": (3,)})
    house.store(ago(9), DAY)
    house.show()
    make_house({"a": (3,)}, FixedClock.after(DAY + timedelta(days=9))).show()
    before = files(house.output_dir / "a")
    make_house({"a": (3,)}, Clock(ago(5))).publish()
    assert files(house.output_dir / "a") == before
    assert badge(house)["message"] == f"1.2k to {DAY}"


def test_a_package_of_two_prefixes_is_published_by_the_longer_one(make_house: MakeHouse, source: RowSource) -> None:
    source.rows = [row(ago(n), name) for n in range(3) for name in ("x-a", "x-y-z")]
    house = make_house({"x-*": (3,), "x-y-*": (2,)})
    house.store(ago(2), DAY)
    house.show()
    before = files(house.output_dir)
    house.show()
    assert files(house.output_dir) == before
    assert list(health(house)["packages"]) == ["x-a", "x-y-z"]
    assert health(house)["packages"]["x-y-z"]["window_days"] == 2


def test_a_former_spelling_is_not_taken_for_a_package(make_house: MakeHouse, source: RowSource) -> None:
    source.rows = [row(ago(n), "x-foo-bar") for n in range(3)]
    house = make_house({"x-*": (3,), "x-foo_bar": (3,)})
    house.store(ago(2), DAY)
    house.show()
    house = make_house({"x-*": (3,)})
    house.show()
    assert list(health(house)["packages"]) == ["x-foo-bar"]


def test_an_unlisted_installer_is_reported_by_name(make_house: MakeHouse, source: RowSource) -> None:
    source.rows = [*source.rows, row(DAY, "a", installer="ryeNew", system=None, downloads=2)]
    house = make_house({"a": (3,)})
    house.store(ago(2), DAY)
    house.show()
    record = json.loads((house.output_dir / "a" / "counts.json").read_bytes())
    assert record["windows"]["3"]["unlisted_installers"] == {"ryeNew": 2}
    assert record["windows"]["3"]["honest"] == 1200


def test_one_package_that_is_spelled_as_the_page_does_not_take_its_place(make_house: MakeHouse) -> None:
    house = make_house({"index.html": (3,)})
    house.show()
    assert (house.output_dir / "index.html").is_file()
    assert badge(house, "index-html")["message"] == "collecting 0/3d"


def test_sample_data_is_refused_beside_real_numbers_of_any_package(make_house: MakeHouse) -> None:
    real = make_house({"a": (3,)})
    real.store(ago(2), DAY)
    real.show()
    with pytest.raises(SampleOverRealError):
        make_house({"b": (3,)}, kind="sample").winnow.refuse_sample_over_real()
