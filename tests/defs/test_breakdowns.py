"""Breakdowns from the source to the published files: days, windows, groups, and a config that changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from tests.conftest import DAY, FixedClock, House, RowSource, make_settings, on_disk
from tests.rows import row, to_frame
from winnow_dagster.config.settings import GroupSettings
from winnow_dagster.core.coverage import BREAKDOWN_SCHEMA, ONE_DAY, Reading, Request
from winnow_dagster.core.names import Group, Selector, normalise
from winnow_dagster.defs.checks import CHECKS
from winnow_dagster.defs.resources import Installation

if TYPE_CHECKING:
    from pathlib import Path

    import dagster as dg

    from winnow_dagster.core.verdicts import Verdict

DAYS = [DAY - timedelta(days=n) for n in (2, 1, 0)]
FIRST = DAYS[0]
NEXT = DAY + ONE_DAY

Make = Callable[..., House]


@dataclass
class PythonSource(RowSource):
    """A source that knows the Python of each download."""

    pythons: dict[tuple[date, str], dict[str, int]] = field(default_factory=dict)
    """The honest downloads by Python of each day and package. There are twice as many from CI."""

    def _answer(self, request: Request) -> Reading:
        chosen = {
            (day, name): values
            for (day, name), values in self.pythons.items()
            if request.first <= day <= request.last and request.selector.matches(normalise(name))
        }
        kinds = ((None, 1), (True, 2))
        counts = [
            row(day, name, ci=ci, downloads=times * sum(values.values()))
            for (day, name), values in chosen.items()
            for ci, times in kinds
        ]
        rows = [
            (day, name, "python", value, "pip", ci, times * count)
            for (day, name), values in chosen.items()
            for value, count in values.items()
            for ci, times in kinds
            if "python" in request.dimensions
        ]
        return Reading([request], to_frame(counts), breakdowns=pl.DataFrame(rows, BREAKDOWN_SCHEMA, orient="row"))


@pytest.fixture
def source() -> PythonSource:
    return PythonSource(pythons={(day, name): {"3.12": 5, "3.13": 2, "": 1} for day in DAYS for name in ("a", "b")})


@pytest.fixture
def make(tmp_path: Path, source: PythonSource, make_house: Any) -> Make:
    instance: dg.DagsterInstance = make_house.instance

    def make(
        packages: Sequence[str] = ("a",), days: int = 3, breakdowns: tuple[str, ...] = ("python",), through: date = DAY
    ) -> House:
        settings = make_settings(tmp_path, dict.fromkeys(packages, (days,)))
        entries = tuple(
            replace(each, breakdowns=() if each.selector.is_all else breakdowns) for each in settings.packages
        )
        style = replace(entries[0].style, slugs=(*entries[0].style.slugs, "pythons"))
        both = GroupSettings(Group(normalise("both"), (Selector("a"), Selector("b"))), (days,), style)
        settings = replace(
            settings,
            packages=tuple(each if each.selector.is_all else replace(each, style=style) for each in entries),
            groups=(both,) if {"a", "b"} <= set(packages) else (),
        )
        return House(Installation(settings, FixedClock.after(through), given_source=source), lambda: instance)

    return make


def collect(house: House, first: date = FIRST, last: date = DAY) -> None:
    assert house.count(first, last).success
    house.publish()


def window_of(house: House, package: str = "a", days: int = 3) -> dict[str, Any]:
    content = json.loads((house.output_dir / package / "breakdowns.json").read_text())
    found: dict[str, Any] = content["windows"].get(str(days), {})
    return found


def lines_of(house: House, package: str = "a") -> list[str]:
    return (house.output_dir / package / "python.csv").read_text().splitlines()


def message_of(house: House, badge: str, package: str = "a") -> str:
    return str(json.loads((house.output_dir / package / f"{badge}-3d-non-ci.json").read_text())["message"])


def judge(house: House, name: str) -> Verdict:
    (check,) = (check for check in CHECKS if check.name == name)
    return check.judge(house.winnow)


def test_a_window_of_days_with_a_breakdown_has_it_and_its_badge(make: Make) -> None:
    house = make()
    collect(house)
    assert window_of(house)["python"] == {
        "honest": {"3.12": 15, "3.13": 6, "": 3}, "ci": {"3.12": 30, "3.13": 12, "": 6},
    }  # fmt: skip
    assert lines_of(house)[:4] == ["date,python,honest,ci", f"{FIRST},3.12,5,10", f"{FIRST},3.13,2,4", f"{FIRST},,1,2"]
    assert message_of(house, "pythons") == "3.12 – 3.13"  # noqa: RUF001 - a range
    for check in ("breakdowns_sum_to_categories", "published_equals_store", "no_orphaned_files"):
        assert judge(house, check).bad == {}, check
    assert judge(house, "breakdowns_sum_to_categories").looked_at == len(DAYS)


def test_days_that_were_read_before_a_breakdown_was_asked_for_keep_their_counts_and_lack_it(
    make: Make, source: PythonSource
) -> None:
    before = make(breakdowns=())
    collect(before, FIRST, DAYS[1])
    assert not (before.output_dir / "a" / "breakdowns.json").exists()
    house = make()
    source.asked.clear()
    collect(house)
    assert [(r.first, r.last, r.dimensions) for r in source.asked] == [(DAY, DAY, ("python",))]
    assert message_of(house, "downloads") == "24"
    assert message_of(house, "pythons") == "collecting 1/3d"
    assert window_of(house) == {}
    assert [line[:10] for line in lines_of(house)[1:]] == [str(DAY)] * 3


def test_a_backfill_reads_just_the_days_that_lack_the_breakdown(make: Make, source: PythonSource) -> None:
    collect(make(breakdowns=()), FIRST, DAYS[1])
    house = make()
    collect(house)
    source.asked.clear()
    (gap,) = house.winnow.gaps_to_backfill([Selector("a")], ["python"])
    assert (gap.first, gap.last) == (FIRST, DAYS[1])
    for answer in house.winnow.fetch([*DAYS], (), refetch=False, backfill=["python"]):
        assert isinstance(answer, Reading)
        house.winnow.raw.add_reading(answer, house.winnow.clock.now())
    collect(house)
    assert [(r.first, r.last, r.is_reread) for r in source.asked] == [(FIRST, DAYS[1], False)]
    assert window_of(house)["python"]["honest"] == {"3.12": 15, "3.13": 6, "": 3}
    assert len(lines_of(house)) == 1 + 3 * len(DAYS)
    assert house.winnow.gaps_to_backfill([Selector("a")], ["python"]) == []


@pytest.mark.parametrize("content", [b"damaged", None])
def test_a_backfill_reads_a_day_whose_breakdowns_are_damaged_or_lost(
    make: Make, source: PythonSource, content: bytes | None
) -> None:
    house = make()
    collect(house)
    path = on_disk(house.winnow.raw.breakdowns.path(DAYS[1]))
    path.unlink() if content is None else path.write_bytes(content)
    again = make()
    again.winnow.raw.clean_up()
    (gap,) = again.winnow.gaps_to_backfill([Selector("a")], ["python"])
    assert (gap.first, gap.last) == (DAYS[1], DAYS[1])
    source.asked.clear()
    for answer in again.winnow.fetch([*DAYS], (), refetch=False, backfill=["python"]):
        assert isinstance(answer, Reading)
        again.winnow.raw.add_reading(answer, again.winnow.clock.now())
    assert [(r.first, r.last) for r in source.asked] == [(DAYS[1], DAYS[1])]
    assert again.winnow.gaps_to_backfill([Selector("a")], ["python"]) == []


def test_a_publication_keeps_older_days_and_counts_those_that_were_read_again(make: Make, source: PythonSource) -> None:
    collect(make(days=1))
    source.pythons[NEXT, "a"] = {"3.14": 7}
    house = make(days=1, through=NEXT)
    collect(house, NEXT, NEXT)
    assert [line.split(",")[0] for line in lines_of(house)[1::3]] == [*map(str, DAYS), str(NEXT)]
    # A day before the window, read again.
    source.pythons[FIRST, "a"] = {"3.11": 9}
    again = make(days=1, through=NEXT + ONE_DAY)
    assert again.count(FIRST, FIRST, refetch=True).success
    again.publish()
    assert lines_of(again)[1:3] == [f"{FIRST},3.11,9,18", f"{DAYS[1]},3.12,5,10"]
    assert lines_of(again)[-1] == f"{NEXT},3.14,7,14"
    assert judge(again, "published_equals_store").bad == {}


def test_a_lost_store_removes_no_published_breakdown(make: Make, source: PythonSource) -> None:
    house = make()
    collect(house)
    before = {name: (house.output_dir / "a" / name).read_bytes() for name in ("breakdowns.json", "python.csv")}
    for path in (house.data_dir / "parquet" / "breakdowns").iterdir():
        path.unlink()
    source.failing = {"a"}
    again = make()
    again.publish()
    assert {name: (again.output_dir / "a" / name).read_bytes() for name in before} == before
    assert message_of(again, "pythons") == "3.12 – 3.13"  # noqa: RUF001 - a range


def test_a_group_has_the_sum_of_its_members_breakdowns(make: Make) -> None:
    house = make(("a", "b"))
    collect(house)
    members = [window_of(house, name)["python"] for name in ("a", "b")]
    group = window_of(house, "_group/both")["python"]
    assert group == {
        kind: {value: sum(member[kind][value] for member in members) for value in members[0][kind]}
        for kind in ("honest", "ci")
    }
    assert message_of(house, "pythons", "_group/both") == "3.12 – 3.13"  # noqa: RUF001 - a range


def test_beside_all_packages_those_with_a_breakdown_are_read_after_the_scan(make: Make, source: PythonSource) -> None:
    house = make(("a", "*"))
    collect(house)
    assert [(str(r.selector), r.dimensions) for r in source.asked] == [("*", ()), ("a", ("python",))]
    assert window_of(house)["python"]["honest"] == {"3.12": 15, "3.13": 6, "": 3}
    assert not (house.output_dir / "b" / "breakdowns.json").exists()
    assert judge(house, "published_equals_store").bad == {}
    assert house.winnow.gaps() == []


def test_a_breakdown_that_does_not_sum_to_its_categories_is_told(make: Make) -> None:
    house = make()
    collect(house)
    stored = house.winnow.raw.breakdowns.load([DAY])
    counts = stored.counts.collect().filter(pl.col("value") != "3.13")
    house.winnow.raw.breakdowns.write(DAY, counts, stored.coverage[DAY])
    bad = judge(house, "breakdowns_sum_to_categories").bad
    assert bad == {f"{DAY} a": "16 ci downloads, and 12 by python; 8 honest downloads, and 6 by python"}
