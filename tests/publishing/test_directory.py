"""The web directory: what is published of packages and groups, what stays, and what is refused."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from winnow_dagster.core.badge import BadgeStyle
from winnow_dagster.core.days import Package
from winnow_dagster.core.history import NUMBERS, Day, History
from winnow_dagster.core.window import PackageState, Window, WindowCounts, WindowState
from winnow_dagster.files.errors import SampleOverRealError, StorageError
from winnow_dagster.files.operations import Failures
from winnow_dagster.publishing.directory import WebDir
from winnow_dagster.site.site import SiteConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DAY = date(2025, 6, 30)
HEADLINE = BadgeStyle(slugs=("downloads",))
BADGE = "downloads-3d-non-ci.json"


@pytest.fixture
def web(tmp_path: Path) -> WebDir:
    return directory(tmp_path, "a", "b", "_group/both")


def directory(folder: Path, *styles: str, spellings: Mapping[str, str] | None = None) -> WebDir:
    return WebDir(folder, SiteConfig(3, styles=dict.fromkeys(styles, HEADLINE)), spellings or {})


def package(
    name: str, honest: int = 5, *, ago: int = 0, source: str = "bigquery", members: Sequence[str] = ()
) -> Package:
    as_of = DAY - timedelta(days=ago)
    numbers = dict.fromkeys(NUMBERS, 0) | dict.fromkeys(("raw", "honest", "pip", "linux"), honest)
    counts = WindowCounts(Window(3, as_of), numbers)
    state = PackageState(name, source, (WindowState(3, counts, 3),), members=tuple(members))
    return Package(state, History((Day(as_of, provisional=False, numbers=(honest,) * len(NUMBERS)),)))


def publish(web: WebDir, *packages: Package, through: date = DAY) -> dict[str, int]:
    failures = Failures()
    changed = web.publish({found.state.package: [found] for found in packages}, 0, through, failures)
    failures.raise_any()
    return changed


def told(web: WebDir, name: str) -> str:
    place = web.folder / name / BADGE
    assert isinstance(place, Path)
    message: str = json.loads(place.read_bytes())["message"]
    return message


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def test_what_is_published_is_read_back(web: WebDir) -> None:
    group = package("_group/both", 9, members=["a", "b"])
    changed = publish(web, package("a"), group)
    assert changed == {"a": 7, "_group/both": 7}
    assert web.read_all() == {"a": package("a").state, "_group/both": group.state}
    assert web.read("a") == package("a").state
    assert web.read_history("a") == package("a").history
    assert web.read("b") is None
    assert web.read_history("b") == History.empty()


def test_published_again_no_file_is_touched(web: WebDir, tmp_path: Path) -> None:
    publish(web, package("a"))
    before = files(tmp_path)
    assert publish(web, package("a")) == {"a": 0}
    assert files(tmp_path) == before


def test_newer_numbers_replace_older_ones_and_published_days_stay(web: WebDir) -> None:
    publish(web, package("a", 5, ago=1))
    publish(web, package("a", 7))
    assert told(web, "a") == "7"
    assert [day.date for day in web.read_history("a").days] == [DAY - timedelta(days=1), DAY]


def test_a_computed_number_that_is_older_does_not_replace_a_published_one(web: WebDir) -> None:
    publish(web, package("a", 7))
    publish(web, package("a", 5, ago=1))
    assert told(web, "a") == "7"


def test_a_replay_of_an_older_day_changes_nothing(web: WebDir, tmp_path: Path) -> None:
    publish(web, package("a", 7), package("b", 7))
    before = files(tmp_path)
    assert publish(web, package("a", 5, ago=9), through=DAY - timedelta(days=9)) == {"a": 0}
    assert files(tmp_path) == before


def test_what_is_not_computed_grows_stale_whether_it_is_configured_or_not(web: WebDir, tmp_path: Path) -> None:
    publish(web, package("a"), package("b"))
    later = directory(tmp_path, "a")
    publish(later, package("a", 7, ago=-4), through=DAY + timedelta(days=4))
    assert (told(later, "a"), told(later, "b")) == ("7", f"5 to {DAY}")


def test_another_spelling_has_a_folder_of_its_own_with_the_same_files(tmp_path: Path) -> None:
    web = directory(tmp_path, "a-a", spellings={"a-a": "A_a"})
    publish(web, package("a-a"))
    names = [path.name for path in (tmp_path / "A_a").iterdir()]
    assert BADGE in names
    assert all((tmp_path / "A_a" / name).read_bytes() == (tmp_path / "a-a" / name).read_bytes() for name in names)
    assert set(web.read_all()) == {"A_a", "a-a"}


@pytest.mark.parametrize("page", ["index", "compare"])
def test_a_package_that_is_called_as_a_page_has_no_folder_of_that_spelling(tmp_path: Path, page: str) -> None:
    name = f"{page}-html"
    publish(directory(tmp_path, name, spellings={name: f"{page}.html"}), package(name))
    assert {path.name for path in tmp_path.iterdir()} == {name}


def test_sample_data_never_replaces_real_numbers_nor_stands_beside_them(web: WebDir, tmp_path: Path) -> None:
    publish(web, package("a"))
    before = files(tmp_path)
    web.refuse_sample_over_real("bigquery")
    with pytest.raises(SampleOverRealError):
        web.refuse_sample_over_real("sample")
    with pytest.raises(SampleOverRealError):
        publish(web, package("a", source="sample"))
    assert files(tmp_path) == before


def test_sample_data_never_replaces_badges_of_the_predecessor(web: WebDir, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    badge = {"schemaVersion": 1, "label": "downloads", "message": "14", "color": "blue"}
    (tmp_path / "a" / "downloads-30d-non-ci.json").write_text(json.dumps(badge))
    with pytest.raises(SampleOverRealError, match=r"a/downloads-30d-non-ci\.json holds real"):
        web.refuse_sample_over_real("sample")
    web.refuse_sample_over_real("bigquery")
    (tmp_path / "a" / "downloads-30d-non-ci.json").write_text(json.dumps(badge | {"message": "collecting 3/30d"}))
    web.refuse_sample_over_real("sample")


def test_real_numbers_replace_sample_data(web: WebDir) -> None:
    publish(web, package("a", 9, source="sample"))
    web.refuse_sample_over_real("sample")
    publish(web, package("a", 5, ago=1))
    assert told(web, "a") == "5"


def test_a_real_package_without_a_number_does_not_keep_sample_data_out(web: WebDir) -> None:
    nothing = PackageState("a", "bigquery", (WindowState(3, None, 0),))
    publish(web, Package(nothing, History.empty()))
    web.refuse_sample_over_real("sample")


def test_a_page_of_others_is_not_replaced_and_takes_no_other_package_down(web: WebDir, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "index.html").write_text("<h1>mine</h1>")
    with pytest.raises(StorageError, match=r"a/index\.html: Winnow did not make this page"):
        publish(web, package("a"), package("b"))
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["index.html"]
    assert told(web, "b") == "5"


def test_a_page_that_winnow_made_without_a_record_is_replaced(web: WebDir, tmp_path: Path) -> None:
    publish(web, package("a"))
    (tmp_path / "a" / "counts.json").unlink()
    publish(web, package("a", 7))
    assert told(web, "a") == "7"


@pytest.mark.parametrize("name", ["history.csv", "history.json", "counts.json", "chart.svg", "version.csv"])
def test_a_file_of_others_beside_the_badges_is_not_replaced(web: WebDir, tmp_path: Path, name: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / name).write_text("mine")
    with pytest.raises(StorageError, match=f"a/{name}: Winnow did not make this file"):
        publish(web, package("a"), package("b"))
    assert {path.name: path.read_text() for path in (tmp_path / "a").iterdir()} == {name: "mine"}
    assert told(web, "b") == "5"


def test_without_a_record_published_days_stay_and_no_number_goes_back(web: WebDir, tmp_path: Path) -> None:
    publish(web, package("a", 3, ago=1), through=DAY - timedelta(days=1))
    publish(web, package("a", 5))
    (tmp_path / "a" / "counts.json").unlink()
    before = files(tmp_path)
    with pytest.raises(StorageError, match=f"a/counts.json: is damaged or missing.* up to {DAY}"):
        publish(web, package("a", 9, ago=1))
    assert files(tmp_path) == before
    publish(web, package("a", 7))
    assert told(web, "a") == "7"
    assert [day.date for day in web.read_history("a").days] == [DAY - timedelta(days=1), DAY]


def test_folders_without_a_record_are_of_others(web: WebDir, tmp_path: Path) -> None:
    publish(web, package("a"))
    for name in ("b", "_static", "_group/x"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "b" / "note.txt").touch()
    (tmp_path / "counts.json").write_text("{}")
    assert set(web.read_all()) == {"a"}


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": 99}', b"[]", b"\xff"])
def test_a_damaged_record_is_passed_over_and_then_replaced(web: WebDir, tmp_path: Path, content: bytes) -> None:
    publish(web, package("a"), package("b"))
    (tmp_path / "a" / "counts.json").write_bytes(content)
    assert web.read("a") is None
    assert set(web.read_all()) == {"b"}
    publish(web, package("a", 7))
    assert told(web, "a") == "7"


def test_files_that_span_packages_are_written_where_they_changed(web: WebDir, tmp_path: Path) -> None:
    found = {"index.html": b"1", "_static/x.css": b"2"}
    assert web.publish_files(found) == 2
    assert web.publish_files({**found, "index.html": b"3"}) == 1
    assert {name: content for name, (content, _) in files(tmp_path).items()} == {**found, "index.html": b"3"}


def test_a_users_own_file_at_the_root_stays_as_it_is(web: WebDir, tmp_path: Path) -> None:
    (tmp_path / "robots.txt").write_bytes(b"User-agent: *\nDisallow: /\n")
    (tmp_path / "404.html").write_bytes(b"<p>Ours")
    (tmp_path / "sitemap.xml").write_bytes(b"<!-- Made by Winnow -->")
    names = ("robots.txt", "404.html", "sitemap.xml", "favicon.ico")
    found = {name: f"Made by Winnow, {name}".encode() for name in names}
    assert web.publish_files(found) == 2
    assert [(tmp_path / name).read_bytes() for name in names] == [
        b"User-agent: *\nDisallow: /\n",
        b"<p>Ours",
        found["sitemap.xml"],
        found["favicon.ico"],
    ]


def test_no_package_takes_the_place_of_a_file_at_the_root(tmp_path: Path) -> None:
    web = directory(tmp_path, "robots-txt", spellings={"robots-txt": "robots.txt"})
    publish(web, package("robots-txt"))
    assert web.publish_files({"robots.txt": b"Made by Winnow"}) == 1
    assert told(web, "robots-txt") == "5"


def test_a_page_of_others_that_is_called_as_ours_stays(web: WebDir, tmp_path: Path) -> None:
    (tmp_path / "compare.html").write_text("<h1>mine</h1>")
    with pytest.raises(StorageError, match=r"compare.html: Winnow did not make this page"):
        web.publish_files({"compare.html": b"ours"})
    assert (tmp_path / "compare.html").read_text() == "<h1>mine</h1>"


def test_the_folder_of_a_removed_package_keeps_its_number(web: WebDir, tmp_path: Path) -> None:
    publish(web, package("a"))
    left = directory(tmp_path, "b")
    publish(left, package("b"))
    assert told(left, "a") == "5"
    assert left.read("a") == package("a").state
