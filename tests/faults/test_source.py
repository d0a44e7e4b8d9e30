"""Whatever the log holds: it is counted exactly, shown harmlessly, and leads nowhere outside."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import DAY, House, MakeHouse, RowSource, on_disk
from tests.rows import Row, row, to_frame
from winnow_dagster.core.categories import MAX_SHOWN_LENGTH
from winnow_dagster.core.coverage import Request
from winnow_dagster.core.names import Selector
from winnow_dagster.core.window import MAX_UNLISTED, OTHERS
from winnow_dagster.defs.checks import CHECKS
from winnow_dagster.sources.bigquery.answers import check_answer
from winnow_dagster.sources.bigquery.query import CountQuery
from winnow_dagster.sources.interface import MAX_DOWNLOADS, InvalidResponseError

SCRIPT = "\"><script>alert('1')</script>"
PLANES = "".join(chr(plane * 0x10000 + offset) for plane in range(17) for offset in (0x20, 0x2042, 0xFFFD))
CONTROL = "".join(map(chr, (*range(0x20), 0x7F, 0x85, 0x2028, 0x202E, 0xFEFF)))


def published(make_house: MakeHouse, rows: list[Row], name: str = "a") -> House:
    """Return an installation that has read these rows of one day and published them."""
    make_house.source.rows = rows
    house = make_house({name: (1,)})
    house.count(DAY, DAY)
    house.publish()
    return house


def numbers(house: House, package: str = "a") -> dict[str, object]:
    found: dict[str, object] = json.loads((house.output_dir / package / "counts.json").read_bytes())
    windows = found["windows"]
    assert isinstance(windows, dict)
    (window,) = windows.values()
    assert isinstance(window, dict)
    return window


@pytest.mark.parametrize(
    "installer", [SCRIPT, PLANES, CONTROL, "x" * 1_000_000, "PIP", " pip", "pip\0", "=1+1", "\ufffd"]
)
def test_an_installer_may_be_called_anything_and_is_shown_harmlessly(make_house: MakeHouse, installer: str) -> None:
    house = published(
        make_house, [row(DAY, "a", downloads=3), row(DAY, "a", installer=installer, system=installer, downloads=5)]
    )
    found = numbers(house)
    assert (found["honest"], found["raw"]) == (3, 8)
    unlisted = found["unlisted_installers"]
    assert isinstance(unlisted, dict)
    ((shown, downloads),) = unlisted.items()
    assert downloads == 5
    assert shown.isprintable()
    assert len(shown) <= MAX_SHOWN_LENGTH + 1
    for path in house.output_dir.rglob("*"):
        assert path.is_dir() or path.stat().st_size < 100_000
        if path.suffix == ".json":
            json.loads(path.read_bytes())
        if path.suffix in {".svg", ".csv", ".html"}:
            assert SCRIPT.encode() not in path.read_bytes()
    page = Elements()
    page.feed((house.output_dir / "a" / "index.html").read_text())
    assert page.scripts == 3, "the page's own"


class Elements(HTMLParser):
    """Counts scripts."""

    scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.scripts += tag == "script"


def test_of_a_thousand_unlisted_installers_the_largest_are_named_and_none_is_lost(make_house: MakeHouse) -> None:
    found = numbers(
        published(make_house, [row(DAY, "a", installer=f"bot-{n}", system=None, downloads=n + 1) for n in range(1000)])
    )
    unlisted = found["unlisted_installers"]
    assert isinstance(unlisted, dict)
    assert len(unlisted) == MAX_UNLISTED + 1
    assert unlisted["bot-999"] == 1000
    assert unlisted[OTHERS] == sum(range(1, 901))
    assert sum(unlisted.values()) == found["raw"] == 500_500


def test_counts_beyond_what_a_float_can_tell_apart_are_exact(make_house: MakeHouse) -> None:
    huge = 2**53 + 1
    house = published(make_house, [row(DAY, "a", downloads=huge), row(DAY, "a", installer="uv")])
    assert numbers(house)["honest"] == huge + 1
    folder = house.output_dir / "a"
    assert json.loads((folder / "history.json").read_bytes())["days"][0]["by_installer"]["pip"] == huge
    assert str(huge) in (folder / "history.csv").read_text()
    assert house.winnow.web.read("a")
    assert house.run("badges").success


def query(*selectors: str) -> CountQuery:
    return CountQuery([Request(Selector.parse(text), DAY, DAY) for text in selectors], "scan")


def answer(*rows: tuple[str, int]) -> pl.DataFrame:
    return to_frame(row(DAY, name, downloads=n) for name, n in rows)


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (answer(("a", MAX_DOWNLOADS + 1)), "an impossible count"),
        (answer(("a", 2**63 - 1)), "an impossible count"),
        (answer(("a", 0)), "an impossible count"),
        (answer(("a", -5)), "an impossible count"),
        (answer(("a", 5), ("a", 6)), "a count twice"),
        (answer(("b", 5)), "a package that was not asked for"),
    ],
)
def test_an_answer_that_cannot_be_is_no_number(frame: pl.DataFrame, problem: str) -> None:
    with pytest.raises(InvalidResponseError, match=problem):
        check_answer(frame, query("a"))


ODD_NAMES = [
    "a-../../x",
    "a-/x",
    "a-B",
    "a-b.c",
    "a-b_c",
    "a--b",
    "a-",
    "a-" + "b" * 300,
    "a-\0",
    "a-b\n",
    "a-é",
    "A-b",
]


def test_what_a_prefix_selects_and_is_no_package_is_left_out(make_house: MakeHouse, tmp_path: Path) -> None:
    kept = check_answer(answer(("a-b", 1), *((name, 2) for name in ODD_NAMES if name.startswith("a-"))), query("a-*"))
    assert kept["package"].to_list() == ["a-b"]
    before = {path for path in tmp_path.rglob("*") if path.is_dir()}
    rows = [row(DAY, name, downloads=2) for name in ("a-b", *ODD_NAMES)]
    house = published(make_house, rows, "a-*")
    folders = {path for path in house.output_dir.iterdir() if path.is_dir()}
    assert {path.name for path in folders} == {"a-b", "_static"}
    inside = (house.output_dir, house.data_dir)
    assert all(any(path.is_relative_to(root) for root in inside) for path in {*tmp_path.rglob("*")} - before)


def test_rows_that_come_late_or_vanish_change_the_number_once_the_day_is_read_again(
    make_house: MakeHouse, source: RowSource
) -> None:
    for rows, expected in (([10], 10), ([10, 4], 14), ([5], 5), ([], 0)):
        source.rows = [row(DAY, "a", system=f"os-{n}", downloads=count) for n, count in enumerate(rows)]
        house = make_house({"a": (1,)})
        house.count(DAY, DAY, refetch=True)
        house.publish()
        assert numbers(house)["honest"] == expected


def test_a_day_read_twice_counts_once(make_house: MakeHouse) -> None:
    house = published(make_house, [row(DAY, "a", downloads=7)])
    for _ in range(2):
        house.count(DAY, DAY, refetch=True)
        house.publish()
        assert numbers(house)["honest"] == 7


def test_a_label_of_the_config_breaks_out_of_no_picture(make_house: MakeHouse) -> None:
    house = published(make_house, [row(DAY, "a", downloads=7)])
    settings = house.winnow.settings
    style = replace(settings.packages[0].style, labels={"downloads": SCRIPT + PLANES})
    object.__setattr__(settings, "packages", (replace(settings.packages[0], style=style),))
    house = House(type(house.winnow)(settings, house.winnow.clock, given_source=make_house.source), house.opened)
    house.publish()
    drawn = ET.fromstring((on_disk(settings.output_dir) / "a/downloads-1d-non-ci.svg").read_text())
    assert not [element for element in drawn.iter() if element.tag.endswith("script")]


def week(n: int) -> date:
    return DAY - timedelta(weeks=n)


def test_a_day_that_halves_is_told_by_a_check_and_never_hidden(make_house: MakeHouse) -> None:
    make_house.source.rows = [row(week(n), "a", downloads=900 if n else 200) for n in range(7)]
    house = make_house({"a": (1,)})
    house.count(week(6), DAY)
    (check,) = [check for check in CHECKS if check.name == "day_totals_are_usual"]
    assert str(DAY) in check.judge(house.winnow).bad
