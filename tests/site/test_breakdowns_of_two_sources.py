"""Days of a breakdown from an older source stay in its file, and nothing adds them up with days of the new one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.site.broken_down import ago, breakdowns
from winnow_dagster.core.days import Package
from winnow_dagster.core.history import History
from winnow_dagster.core.window import PackageState, Window, WindowCounts, WindowState
from winnow_dagster.site.breakdown_files import (
    JSON_NAME,
    PublishedBreakdowns,
    format_breakdowns,
    parse_breakdowns,
    renew,
)
from winnow_dagster.site.breakdown_sections import format_sections

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.site.broken_down import Counts

WINDOW = WindowState(2, WindowCounts(Window(2, ago(1)), {}), 2)
PYTHON = {"python": {"3.12": (4, 1)}}


class Folder:
    """The published files of one package."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def publish(self, source: str, *days: int, of: Mapping[str, Mapping[str, Counts]] = PYTHON) -> PublishedBreakdowns:
        """Publish the breakdown of these days, given in days ago."""
        found = breakdowns(("python",), {ago(day): of for day in days})
        package = Package(PackageState("a", source, (WINDOW,)), History.empty(), found)
        renewed = renew(package, self.files.get)
        assert renewed
        self.files |= {JSON_NAME: format_breakdowns("a", renewed[0]), **renewed[1]}
        return parse_breakdowns(self.files[JSON_NAME])

    def days(self) -> list[str]:
        return [line.split(",")[0] for line in self.files["python.csv"].decode().splitlines()[1:]]


def test_days_of_an_older_source_are_named_and_not_among_those_of_the_new_one() -> None:
    folder = Folder()
    first = folder.publish("bigquery", 2, 1)
    assert (first.others, list(first.windows)) == ({}, [2])
    second = folder.publish("clickhouse", 0)
    assert second.days == {"python": [(ago(0), ago(0))]}
    assert second.others == {"bigquery": {"python": [(ago(2), ago(1))]}}
    assert second.windows == {}
    assert folder.days() == [str(ago(2)), str(ago(1)), str(ago(0))]
    told = json.loads(folder.files[JSON_NAME])
    assert told["other_sources"] == {"bigquery": {"python": [[str(ago(2)), str(ago(1))]]}}


def test_a_day_that_the_new_source_has_read_is_its_own() -> None:
    folder = Folder()
    folder.publish("bigquery", 2, 1)
    found = folder.publish("clickhouse", 1, 0)
    assert found.days == {"python": [(ago(1), ago(0))]}
    assert found.others == {"bigquery": {"python": [(ago(2), ago(2))]}}
    assert folder.publish("clickhouse", 2).others == {}


def test_a_package_that_goes_back_has_its_days_again() -> None:
    folder = Folder()
    folder.publish("bigquery", 2, 1)
    folder.publish("clickhouse", 0)
    found = folder.publish("bigquery", 0)
    assert (found.days, found.others) == ({"python": [(ago(2), ago(0))]}, {})


def test_a_dimension_that_is_removed_is_removed_of_all_sources() -> None:
    folder = Folder()
    folder.publish("bigquery", 2, 1)
    left = folder.publish("clickhouse", 0).without(["python"], [])
    assert (left.days, left.others) == ({}, {"bigquery": {}})


def test_the_chart_leaves_out_the_days_of_an_older_source() -> None:
    folder = Folder()
    folder.publish("bigquery", 3, 2, of={"python": {"3.8": (4, 1)}})
    found = folder.publish("clickhouse", 4, 1)
    (section,) = format_sections(PackageState("a", "clickhouse", (WINDOW,)), found, folder.files.get)
    assert section.chart
    assert [name for _, name in section.chart.legend] == ["3.12"]
    assert section.chart.summary.startswith(f"{ago(4)} to {ago(1)}")
