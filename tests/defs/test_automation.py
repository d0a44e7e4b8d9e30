"""Schedules and conditions: each day is read once, and the badges follow."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from tests.conftest import DAY, FixedClock, House, MakeHouse
from tests.rows import row
from winnow_dagster.core.badge import BadgeStyle
from winnow_dagster.definitions import build
from winnow_dagster.defs.automation import make_automation, of_existing_partitions, publishing_version
from winnow_dagster.defs.jobs import Jobs
from winnow_dagster.defs.partitions import RANGE_END, RANGE_START

TICK = datetime(2025, 7, 1, 3, 30, tzinfo=UTC)


def tick(house: House) -> list[dg.RunRequest]:
    (daily,) = [a for a in make_automation(house.winnow, Jobs(house.winnow.names)) if a.name == "winnow_daily"]
    assert isinstance(daily, dg.ScheduleDefinition)
    requests = daily(dg.build_schedule_context(scheduled_execution_time=TICK))
    assert isinstance(requests, Iterator)
    return [request for request in requests if isinstance(request, dg.RunRequest)]


def test_a_tick_reads_yesterday_and_the_day_that_has_settled(make_house: MakeHouse) -> None:
    house = make_house({"a": (7,)})
    object.__setattr__(house.winnow.settings.source, "settle_days", 3)
    requests = tick(house)
    assert [request.partition_key for request in requests] == ["2025-06-30", "2025-06-27"]
    assert [request.run_key for request in tick(house)] == [request.run_key for request in requests]


def test_without_settling_a_tick_reads_yesterday_only(make_house: MakeHouse) -> None:
    assert [request.partition_key for request in tick(make_house({"a": (7,)}))] == ["2025-06-30"]


@pytest.mark.parametrize(
    ("now", "due"), [(datetime(2025, 7, 1, 3, 29, tzinfo=UTC), date(2025, 6, 29)), (TICK, date(2025, 6, 30))]
)
def test_between_midnight_and_the_tick_yesterday_is_not_due(make_house: MakeHouse, now: datetime, due: date) -> None:
    assert make_house({"a": (7,)}, FixedClock(moment=now)).winnow.due_day == due


@pytest.mark.parametrize(
    ("start_date", "asked"),
    [
        (date(2025, 7, 1), []),
        (date(2025, 6, 30), ["2025-06-30"]),
        (date(2025, 6, 28), ["2025-06-30"]),
        (date(2025, 6, 27), ["2025-06-30", "2025-06-27"]),
    ],
)
def test_a_tick_requests_no_day_before_start_date(make_house: MakeHouse, start_date: date, asked: list[str]) -> None:
    winnow = make_house({"a": (7,)}).winnow
    settings = replace(winnow.settings, start_date=start_date, source=replace(winnow.settings.source, settle_days=3))
    definitions = build(replace(winnow, settings=settings))
    context = dg.build_schedule_context(
        scheduled_execution_time=TICK, repository_def=definitions.get_repository_def(), instance=make_house.instance
    )
    # Dagster refuses a whole tick if one of its days is no partition.
    tick = definitions.resolve_schedule_def("winnow_daily").evaluate_tick(context)
    assert [request.partition_key for request in tick.run_requests or ()] == asked
    assert asked or tick.skip_message == "start_date is 2025-07-01, and that day is not over yet"


TEN = timedelta(minutes=10)


class Daemon:
    """Evaluates the automation conditions tick by tick, and runs what they ask for, by a clock of its own."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        # Not at the very moment of a tick, which would belong to what is before it and to what is after.
        self.now = TICK + TEN + timedelta(minutes=1)
        self.cursor: Any = None

    def tick(self, house: House) -> dict[str, AbstractSet[str | None]]:
        """Return the partitions of each asset that one tick asks for, and materialise them."""
        self.now += TEN
        with warnings.catch_warnings():
            # Of its own making: it selects all assets with a parameter in beta.
            warnings.filterwarnings("ignore", message="Parameter `include_sources`", category=dg.BetaWarning)
            result = dg.evaluate_automation_conditions(
                build(house.winnow), self.instance, cursor=self.cursor, evaluation_time=self.now
            )
        self.cursor = result.cursor
        keys = [dg.AssetKey(name) for name in ("badges", "index", "pypi_file_downloads")]
        asked = {key.path[0]: result.get_requested_partitions(key) for key in keys if result.get_num_requested(key)}
        for asset in asked:
            house.run(asset)
        return asked

    def settle(self, house: House) -> list[dict[str, AbstractSet[str | None]]]:
        """Return what tick after tick asks for, until three ask for nothing."""
        asked: list[dict[str, AbstractSet[str | None]]] = []
        while asked[-3:] != [{}, {}, {}]:
            asked.append(self.tick(house))
            assert len(asked) < 20
        return [each for each in asked if each]


@pytest.fixture(autouse=True)
def _rows(make_house: MakeHouse) -> None:
    make_house.source.rows = [row(DAY - timedelta(days=n), "a", downloads=500) for n in range(9)]


@pytest.fixture
def daemon(make_house: MakeHouse) -> Daemon:
    return Daemon(make_house.instance)


def test_in_an_empty_instance_placeholders_come_at_once_and_numbers_once_after_the_days(
    make_house: MakeHouse, daemon: Daemon
) -> None:
    house = make_house({"a": (3,), "b": (3,)})
    at_first, then = daemon.settle(house)
    assert at_first == {"badges": {"a", "b"}, "index": {None}, "pypi_file_downloads": {None}}
    assert then == {"index": {None}}
    house.count(DAY - timedelta(days=2), DAY)
    assert daemon.settle(house) == [{"badges": {"a", "b"}}, {"index": {None}}]


def test_a_new_day_requests_all_badges_once(make_house: MakeHouse, daemon: Daemon) -> None:
    house = make_house({"a": (3,), "b": (3,)})
    daemon.settle(house)
    house.count(DAY, DAY)
    assert [set(asked) for asked in daemon.settle(house)] == [{"badges"}, {"index"}]


def test_an_added_package_has_its_placeholder_although_days_are_being_read(
    make_house: MakeHouse, daemon: Daemon
) -> None:
    house = make_house({"a": (3,), "b": (3,)})
    daemon.settle(make_house({"a": (3,)}))
    house.instance.create_run_for_job(
        build(house.winnow).resolve_job_def("winnow_read_days"),
        status=dg.DagsterRunStatus.STARTED,
        tags={RANGE_START: str(DAY), RANGE_END: str(DAY)},
    )
    assert daemon.tick(house)["badges"] == {"b"}
    folder = house.output_dir / "b"
    assert "collecting 0/3d" in (folder / "downloads-3d-non-ci.json").read_text()
    assert daemon.settle(house) == [{"index": {None}}]


def test_a_changed_config_and_each_day_request_all_badges_once(make_house: MakeHouse, daemon: Daemon) -> None:
    daemon.settle(make_house({"a": (3,)}))
    changed = make_house({"a": (3, 7)})
    assert [set(asked) for asked in daemon.settle(changed)] == [{"badges"}, {"index"}]
    daemon.now += timedelta(days=1)
    assert {"badges", "index", "pypi_file_downloads"} == set().union(*daemon.settle(changed))
    assert daemon.settle(changed) == []


def test_days_that_land_while_badges_are_being_published_reach_them(make_house: MakeHouse, daemon: Daemon) -> None:
    house = make_house({"a": (3,)})
    assert "badges" in daemon.tick(house)
    # Before the daemon looks again, and so before it knows that its run has ended.
    house.count(DAY - timedelta(days=2), DAY)
    asked = daemon.settle(house)
    assert "badges" in asked[0]
    assert asked[-1] == {"index": {None}}
    assert "1.5k" in (house.output_dir / "a/downloads-3d-non-ci.json").read_text()


def test_a_config_that_changes_while_badges_are_being_published_reaches_them(
    make_house: MakeHouse, daemon: Daemon
) -> None:
    assert "badges" in daemon.tick(make_house({"a": (3,)}))
    changed = make_house({"a": (3, 7)})
    assert "badges" in set().union(*daemon.settle(changed))
    assert (changed.output_dir / "a/downloads-7d-non-ci.json").exists()


def test_a_failed_run_is_requested_every_hour_until_it_succeeds(make_house: MakeHouse, daemon: Daemon) -> None:
    house = make_house({"a": (3,)})
    daemon.settle(house)
    output_dir, away = house.output_dir, house.winnow.settings.folder / "away"
    house.count(DAY, DAY)
    output_dir.rename(away)
    output_dir.write_text("in the way")
    assert "badges" in daemon.tick(house)
    for _ in range(2):
        assert sum("badges" in daemon.tick(house) for _ in range(6)) == 1
    output_dir.unlink()
    away.rename(output_dir)
    assert "collecting 1/3d" not in (output_dir / "a/downloads-3d-non-ci.json").read_text()
    assert sum("badges" in daemon.tick(house) for _ in range(6)) == 1
    assert "collecting 1/3d" in (output_dir / "a/downloads-3d-non-ci.json").read_text()
    assert daemon.settle(house) in ([], [{"index": {None}}])
    assert daemon.settle(house) == []


def test_while_a_package_cannot_be_published_the_lists_follow_the_others_every_hour(
    make_house: MakeHouse, daemon: Daemon
) -> None:
    house = make_house({"a": (3,), "b": (3,)})
    daemon.settle(house)
    page = house.output_dir / "b" / "index.html"
    page.unlink()
    page.mkdir()
    house.count(DAY - timedelta(days=2), DAY)
    assert set(daemon.tick(house)) == {"badges"}
    for _ in range(2):
        assert sum("index" in daemon.tick(house) for _ in range(6)) == 1
    entries = json.loads((house.output_dir / "_health.json").read_text())["packages"]
    assert [entries[name].get("as_of") for name in "ab"] == [str(DAY), None]
    page.rmdir()
    # The last run of the partition of `b` has failed, and the config no longer has it.
    left = make_house({"a": (3,)})
    assert {"badges", "index"} == set().union(*daemon.settle(left))
    assert not any(daemon.tick(left) for _ in range(7))


@pytest.mark.parametrize(("kind", "pool"), [("bigquery", "winnow_bigquery"), ("parquet", None)])
def test_only_runs_that_query_bigquery_share_a_pool(make_house: MakeHouse, kind: str, pool: str | None) -> None:
    definitions = build(make_house({"a": (7,)}, kind=kind).winnow)
    pools = {
        asset.key.path[0]: asset.op.pool for asset in definitions.assets or () if isinstance(asset, dg.AssetsDefinition)
    }
    assert pools.pop("raw_downloads") == pool
    assert set(pools.values()) == {None}


@pytest.mark.filterwarnings("ignore:Parameter `include_sources`")
@pytest.mark.parametrize(("how", "asked"), [(lambda condition: condition, {"b"}), (of_existing_partitions, set())])
def test_a_partition_that_the_config_no_longer_has_is_not_requested(
    how: Callable[[Any], Any], asked: set[str], make_house: MakeHouse
) -> None:
    def definitions(names: list[str], condition: Any) -> dg.Definitions:
        @dg.asset(partitions_def=dg.StaticPartitionsDefinition(names), automation_condition=condition)
        def it() -> None: ...

        return dg.Definitions([it])

    first = definitions(["a", "b"], dg.AutomationCondition.missing())
    job = first.resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=make_house.instance, partition_key="a").success
    before = dg.evaluate_automation_conditions(first, make_house.instance)
    assert before.get_requested_partitions(dg.AssetKey("it")) == {"b"}
    # What Dagster would do without: once this fails, it has learned not to.
    later = definitions(["a", "c"], how(dg.AutomationCondition.newly_requested()))
    found = dg.evaluate_automation_conditions(later, make_house.instance, cursor=before.cursor)
    assert found.get_requested_partitions(dg.AssetKey("it")) == asked


def test_the_version_that_decides_about_publishing_ignores_the_names_of_classes(
    make_house: MakeHouse,
) -> None:
    @dataclass(frozen=True)
    class Renamed(BadgeStyle):
        pass

    settings = make_house({"a": (7,)}).winnow.settings
    (package, *_) = settings.packages
    same = replace(settings, packages=(replace(package, style=Renamed()),))
    other = replace(settings, packages=(replace(package, style=BadgeStyle(labels={"downloads": "people"})),))
    assert publishing_version(same) == publishing_version(settings) != publishing_version(other)
