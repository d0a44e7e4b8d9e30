"""A package's folder: which files it has, in which order, and which published badges stay as they are."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import BadgeStyle
from winnow_dagster.core.days import Package
from winnow_dagster.core.history import NUMBERS, History
from winnow_dagster.core.window import PackageState, Window, WindowCounts, WindowState
from winnow_dagster.site.folder import FILES_BESIDE_BADGES, format_folder
from winnow_dagster.site.record import parse_record
from winnow_dagster.site.site import SiteConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

DAY = date(2025, 6, 30)
TODAY = DAY + timedelta(days=1)
HEADLINE = BadgeStyle(slugs=("downloads",))
SITE = SiteConfig(3, styles={"rich": HEADLINE})
BADGE, PICTURE = "downloads-30d-non-ci.json", "downloads-30d-non-ci.svg"


def window(days: int, honest: int | None = 5) -> WindowState:
    numbers = dict.fromkeys(NUMBERS, 0) | dict.fromkeys(("raw", "honest", "pip", "linux"), honest)
    counts = WindowCounts(Window(days, DAY), numbers)
    return WindowState(days, None if honest is None else counts, 12)


def state(*windows: WindowState, package: str = "rich") -> PackageState:
    return PackageState(package, "bigquery", windows or (window(30),))


def payload(message: str, **more: object) -> bytes:
    return json.dumps({"schemaVersion": 1, "label": "mine", "message": message, "color": "pink", **more}).encode()


def folder(
    found: PackageState, published: Mapping[str, bytes] | None = None, *, site: SiteConfig = SITE, today: date = TODAY
) -> dict[str, bytes]:
    return format_folder(site, Package(found, History.empty()), today, (published or {}).get)


def told(files: Mapping[str, bytes], name: str = BADGE) -> dict[str, object]:
    found: dict[str, object] = json.loads(files[name])
    return found


def pictures(files: Mapping[str, bytes]) -> list[str]:
    """Return the badges of a page, which shows those at the top twice."""
    return list(dict.fromkeys(re.findall(r'<img src="([^"]+)"', files["index.html"].decode())))


def test_a_folder_begins_with_its_record_and_ends_with_its_page() -> None:
    names = list(folder(state()))
    assert names == ["counts.json", "history.json", "history.csv", BADGE, PICTURE, "chart.svg", "index.html"]
    assert set(FILES_BESIDE_BADGES) <= set(names)


def test_the_record_and_the_badges_say_the_same_number() -> None:
    files = folder(state(window(30, 1234)))
    assert parse_record(files["counts.json"]) == state(window(30, 1234))
    assert told(files)["message"] == "1.2k"
    assert b"1.2k" in files[PICTURE]


def test_badges_that_the_config_does_not_ask_for_are_not_drawn() -> None:
    assert not [name for name in folder(state()) if name.startswith(("installer-", "os-", "honest-share-"))]
    both = replace(SITE, styles={"rich": BadgeStyle(slugs=("downloads", "installer-pip"))})
    assert "installer-pip-30d-non-ci.svg" in folder(state(), site=both)


def test_a_published_badge_that_is_not_asked_for_any_more_is_renewed_but_not_shown() -> None:
    name = "installer-pip-30d-non-ci.json"
    files = folder(state(), {name: payload("4")})
    assert told(files, name)["message"] == "5"
    assert pictures(files) == [PICTURE]


def test_a_published_badge_of_a_window_that_is_not_asked_for_any_more_is_renewed_but_not_shown() -> None:
    former = replace(state(), former=(window(7, 3),))
    files = folder(former, {"downloads-7d-non-ci.json": payload("2")})
    assert told(files, "downloads-7d-non-ci.json")["message"] == "3"
    assert pictures(files) == [PICTURE]


def test_a_published_number_stays_where_there_is_none_for_it() -> None:
    files = folder(state(window(30, None)), {BADGE: payload("4")})
    assert BADGE not in files
    assert b">4</text>" in files[PICTURE]
    assert b"mine: 4" in files["index.html"]


def test_a_published_placeholder_gives_way_to_a_number_and_to_a_later_placeholder() -> None:
    assert told(folder(state(), {BADGE: payload("collecting 1/30d")}))["message"] == "5"
    files = folder(state(window(30, None)), {BADGE: payload("collecting 1/30d")})
    assert told(files)["message"] == "collecting 12/30d"


def test_a_damaged_badge_is_replaced() -> None:
    for damaged in (b"", b"{", b"[]", b"{}"):
        assert told(folder(state(), {BADGE: damaged}))["message"] == "5"


def test_a_number_that_is_old_says_its_day() -> None:
    assert told(folder(state(), today=DAY + timedelta(days=3)))["message"] == "5"
    assert told(folder(state(), today=DAY + timedelta(days=4)))["message"] == f"5 to {DAY}"


def test_what_the_config_no_longer_has_keeps_its_badges_and_their_looks() -> None:
    gone = state(window(30, 2000), package="gone")
    files = folder(gone, {BADGE: payload("2k", cacheSeconds=60)})
    assert told(files) == {"schemaVersion": 1, "label": "mine", "message": "2k", "color": "pink", "cacheSeconds": 60}
    stale = folder(gone, {BADGE: payload("2k")}, today=DAY + timedelta(days=9))
    assert (told(stale)["message"], told(stale)["color"]) == (f"2k to {DAY}", "lightgrey")
    assert [name for name in files if name.endswith("-non-ci.json")] == [BADGE]


def test_a_page_has_a_badge_even_where_none_was_published() -> None:
    files = folder(state(package="gone"))
    assert pictures(files) == [PICTURE]
    assert BADGE not in files
