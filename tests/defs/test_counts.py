"""Days through Dagster: each is asked for once, topped up, and counted whatever else fails."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from tests.conftest import DAY, FixedClock
from tests.rows import row
from winnow_dagster.core.coverage import Request
from winnow_dagster.core.names import Selector
from winnow_dagster.instance.failures import failures

if TYPE_CHECKING:
    from datetime import date

    from tests.conftest import MakeHouse, RowSource

A, B = Selector.parse("a"), Selector.parse("b")


def ago(days: int) -> date:
    return DAY - timedelta(days=days)


@pytest.fixture(autouse=True)
def _rows(source: RowSource) -> None:
    source.rows = [row(ago(n), name, downloads=10) for n in range(40) for name in ("a", "b")]


def metadata(house_instance: dg.DagsterInstance, asset: str, day: date) -> dict[str, object]:
    records = house_instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[str(day)]), limit=1
    ).records
    (record,) = records
    assert record.asset_materialization is not None
    return {key: value.value for key, value in record.asset_materialization.metadata.items()}


def culprits(found: dg.AssetCheckEvaluation) -> dict[str, str]:
    table = found.metadata["culprits"]
    assert isinstance(table, dg.TableMetadataValue)
    return {str(record.data["what"]): str(record.data["why"]) for record in table.records}


def check(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (evaluation,) = (e for e in result.get_asset_check_evaluations() if e.check_name == "every_package_covered")
    return evaluation


def test_one_run_over_a_range_asks_the_source_once_per_package(make_house: MakeHouse, source: RowSource) -> None:
    result = make_house({"a": (30,), "b": (30,)}).count(ago(29), DAY)
    assert result.success
    assert source.asked == [Request(A, ago(29), DAY), Request(B, ago(29), DAY)]
    assert check(result).passed


def test_a_second_run_asks_for_nothing(make_house: MakeHouse, source: RowSource) -> None:
    house = make_house({"a": (2,)})
    house.count(ago(1), DAY)
    source.asked.clear()
    assert house.count(ago(1), DAY).success
    assert source.asked == []


def test_a_package_added_later_is_all_that_is_asked_for(make_house: MakeHouse, source: RowSource) -> None:
    make_house({"a": (2,)}).count(ago(1), DAY)
    source.asked.clear()
    house = make_house({"a": (2,), "b": (2,)})
    house.count(ago(1), DAY)
    assert source.asked == [Request(B, ago(1), DAY)]
    assert metadata(house.instance, "honest_downloads", DAY)["honest"] == 20


def test_a_refetch_asks_again_and_takes_the_new_answer(make_house: MakeHouse, source: RowSource) -> None:
    house = make_house({"a": (1,)})
    house.count(DAY, DAY)
    source.rows = [row(DAY, "a", downloads=11), row(DAY, "a", installer="bandersnatch", system=None, downloads=3)]
    house.count(DAY, DAY)
    assert metadata(house.instance, "honest_downloads", DAY)["raw_downloads"] == 10
    house.count(DAY, DAY, refetch=True)
    found = metadata(house.instance, "honest_downloads", DAY)
    assert (found["raw_downloads"], found["honest"], found["mirror"]) == (14, 11, 3)


def test_a_run_can_be_kept_to_some_packages(make_house: MakeHouse, source: RowSource) -> None:
    make_house({"a": (1,), "b": (1,)}).run("raw_downloads", days=(DAY, DAY), packages=["b"])
    assert source.asked == [Request(B, DAY, DAY)]


def test_each_day_of_a_range_has_numbers_of_its_own(make_house: MakeHouse, source: RowSource) -> None:
    source.rows = [*source.rows, row(DAY, "a", installer="uv", ci=True, downloads=5)]
    house = make_house({"a": (2,)})
    house.count(ago(1), DAY)
    yesterday, today = (metadata(house.instance, "honest_downloads", day) for day in (ago(1), DAY))
    assert (yesterday["raw_downloads"], yesterday["ci"], yesterday["honest_share_percent"]) == (10, 0, 100)
    assert (today["raw_downloads"], today["ci"], today["honest_share_percent"]) == (15, 5, 66.67)
    assert metadata(house.instance, "raw_downloads", DAY)["raw_downloads"] == 15


def test_a_package_that_fails_does_not_take_the_others_down_and_is_asked_for_again(
    make_house: MakeHouse, source: RowSource
) -> None:
    house = make_house({"a": (2,), "b": (2,)})
    source.failing = {"a"}
    result = house.count(ago(1), DAY)
    assert result.success
    assert not check(result).passed
    assert culprits(check(result)) == {"a": f"2 days, {ago(1)} to {DAY}: the source is on fire. Put it out"}
    assert metadata(house.instance, "honest_downloads", DAY)["raw_downloads"] == 10
    source.failing = set()
    source.asked.clear()
    result = house.count(ago(1), DAY)
    assert source.asked == [Request(A, ago(1), DAY)]
    assert check(result).passed


def test_the_check_names_what_was_never_asked_for(make_house: MakeHouse) -> None:
    result = make_house({"a": (3,)}).count(DAY, DAY)
    assert culprits(check(result)) == {"a": f"2 days, {ago(2)} to {ago(1)}: not read yet. Run `winnow collect`"}


def test_a_provisional_day_is_read_again_after_it_settled(make_house: MakeHouse, source: RowSource) -> None:
    house = make_house({"a": (1,)})
    object.__setattr__(house.winnow.settings.source, "settle_days", 3)
    house.count(DAY, DAY)
    source.rows = [*source.rows, row(DAY, "a", installer="uv")]
    house.count(DAY, DAY)
    assert metadata(house.instance, "honest_downloads", DAY)["honest"] == 10
    later = make_house({"a": (1,)}, FixedClock.after(DAY + timedelta(days=3)))
    object.__setattr__(later.winnow.settings.source, "settle_days", 3)
    later.count(DAY, DAY)
    assert metadata(later.instance, "honest_downloads", DAY)["honest"] == 11


def why(result: dg.ExecuteInProcessResult) -> str:
    """Return why the one step that failed did."""
    (failed,) = failures(result.all_events)
    return failed.reason


def test_a_day_that_is_not_over_fails_and_no_other_day_is_paid_for(make_house: MakeHouse, source: RowSource) -> None:
    result = make_house({"a": (1,)}).count(DAY, DAY + timedelta(days=1))
    assert not result.success
    assert why(result) == (
        "2025-07-01 is not over yet (UTC), and only whole days are read. Choose days before 2025-07-01"
    )
    assert source.asked == []


@pytest.mark.parametrize(
    ("packages", "reason"),
    [
        (["pandas"], "'pandas': no such entry under packages: in the config. Add it there first, or leave it out"),
        (["dagster-", "b"], "'dagster-': no such entry under packages: in the config. Did you mean dagster-*?"),
    ],
)
def test_a_name_that_the_config_does_not_have_fails(
    make_house: MakeHouse, source: RowSource, packages: list[str], reason: str
) -> None:
    result = make_house({"b": (1,), "dagster-*": (1,)}).run("raw_downloads", days=(DAY, DAY), packages=packages)
    assert not result.success
    assert why(result) == reason
    assert source.asked == []


def test_a_name_may_be_spelled_as_the_config_spells_it(make_house: MakeHouse, source: RowSource) -> None:
    house = make_house({"Dagster_Foo": (1,)})
    assert house.run("raw_downloads", days=(DAY, DAY), packages=["Dagster_Foo"]).success
    assert source.asked == [Request(Selector.parse("dagster-foo"), DAY, DAY)]


def test_an_honest_day_without_its_raw_day_fails(make_house: MakeHouse) -> None:
    house = make_house({"a": (1,)})
    house.run("raw_downloads", days=(DAY, DAY))
    result = house.run("honest_downloads", days=(ago(2), DAY))
    assert not result.success
    assert why(result) == (
        f"2 days, {ago(2)} to {ago(1)}: no raw counts are stored, so there is nothing to count. "
        "Materialise raw_downloads of the same days first"
    )
    assert house.run("honest_downloads", days=(DAY, DAY)).success
