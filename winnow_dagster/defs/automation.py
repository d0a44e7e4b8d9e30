"""Schedules, sensors and conditions: when Winnow reads days, fills gaps, publishes, checks and cleans up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

import dagster as dg

from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.defs.gaps import make_gap_sensor
from winnow_dagster.defs.partitions import TICK_SECONDS
from winnow_dagster.instance.runs import OwnRuns
from winnow_dagster.version import __version__

if TYPE_CHECKING:
    from winnow_dagster.config.settings import Settings
    from winnow_dagster.defs.jobs import Jobs
    from winnow_dagster.defs.resources import Installation

RETRY_CRON = "20 * * * *"
CHECK_CRON = "50 */6 * * *"
"""When every check runs, in UTC: four times a day, at times when the daily run is over."""


def make_automation(winnow: Installation, jobs: Jobs) -> list[dg.ScheduleDefinition | dg.SensorDefinition]:
    """Return the schedules and sensors of an installation."""
    return [
        _daily(winnow, jobs),
        make_gap_sensor(winnow, jobs),
        _publish(winnow),
        _check_all(winnow, jobs),
        _purge_runs(winnow),
    ]


def when_to_publish(settings: Settings) -> dg.AutomationCondition[dg.AssetKey]:
    """Return when a selector's badges are due: new days, a new package, a changed config, and once a day.

    The daily publication lets an old number turn grey (R6), even if the source is down.
    """
    return _follow_deps(
        dg.AutomationCondition.newly_missing().with_label("a new entry of the config")
        | dg.AutomationCondition.code_version_changed().with_label("the config or Winnow has changed")
        | dg.AutomationCondition.cron_tick_passed(settings.cron).with_label("once a day")
    )


def when_to_list() -> dg.AutomationCondition[dg.AssetKey]:
    """Return when `index` is due: after every publication of badges, and every hour while one fails.

    One package that cannot be written fails the whole publication, but the others have new numbers.
    """
    failed = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.execution_failed())
    hourly = dg.AutomationCondition.cron_tick_passed(RETRY_CRON)
    return _follow_deps((hourly & failed).with_label("badges cannot be published"))


def _follow_deps(also: dg.AutomationCondition[dg.AssetKey]) -> dg.AutomationCondition[dg.AssetKey]:
    """Return when an asset is due: after its dependencies, when its last run failed, and when `also` holds.

    An asset waits while its dependencies run. A new partition does not wait, so that its placeholder appears at once.
    """
    done = dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated()
    is_new = dg.AutomationCondition.newly_missing().since(done) & ~dg.AutomationCondition.in_progress()
    is_new = is_new.with_label("never published")
    # A publication costs nothing, so a failed or interrupted one is retried within the hour.
    again = dg.AutomationCondition.cron_tick_passed(RETRY_CRON) & dg.AutomationCondition.execution_failed()
    again = again.with_label("retry after a failure")
    due = (dg.AutomationCondition.any_deps_updated() | again | also).with_label("something has changed")
    busy = dg.AutomationCondition.any_deps_in_progress() | dg.AutomationCondition.in_progress()
    # A run publishes the state at its start. Days or a config that change meanwhile need another run. So only a request
    # settles what is due, not the end of a run, and not a request in a tick that brings another change.
    settled = (dg.AutomationCondition.newly_requested() & ~due).with_label("requested, and nothing has changed since")
    is_due = due.since(settled).with_label("due since the last request")
    return of_existing_partitions(is_new | (is_due & ~busy.with_label("a run is in progress")))


def of_existing_partitions(condition: dg.AutomationCondition[dg.AssetKey]) -> dg.AutomationCondition[dg.AssetKey]:
    """Return the condition for existing partitions only.

    Dagster remembers partitions by name, and may request one that the config no longer has. A negation is evaluated
    over the existing partitions, so a double negation drops all others.
    """
    return (~(~condition).with_label("not due")).with_label("due, and an entry of the config")


def when_to_observe(settings: Settings) -> dg.AutomationCondition[dg.AssetKey]:
    """Return when to ask the source for its newest day: once at first, then at each tick of the schedule."""
    first = dg.AutomationCondition.newly_missing().with_label("never observed")
    due = first | dg.AutomationCondition.cron_tick_passed(settings.cron).with_label("once a day")
    done = dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated()
    return due.since(done) & ~dg.AutomationCondition.in_progress()


def publishing_version(s: Settings) -> str:
    """Return a code version that changes with Winnow's version and with the settings that affect published files."""
    published = (
        __version__,
        s.packages,
        s.groups,
        s.stale_threshold_days,
        s.source.kind,
        str(s.output_dir),
        s.base_url,
    )
    return hashlib.sha256(json.dumps(_values(published)).encode()).hexdigest()[:16]


def _values(value: object) -> object:
    """Return a setting as JSON values, without the names of classes and fields: renaming one publishes nothing."""
    if is_dataclass(value) and not isinstance(value, type):
        return [_values(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, Mapping):
        return [[str(key), _values(each)] for key, each in value.items()]
    if isinstance(value, tuple | list):
        return [_values(each) for each in value]
    return value if isinstance(value, int | float | None) else str(value)


def _daily(winnow: Installation, jobs: Jobs) -> dg.ScheduleDefinition:
    settings = winnow.settings
    status = dg.DefaultScheduleStatus.RUNNING if settings.schedule_enabled else dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(
        name=winnow.names.named("daily"),
        cron_schedule=settings.cron,
        execution_timezone="UTC",
        target=jobs.reading,
        default_status=status,
        description="Reads yesterday, and re-reads the day that has settled.",
    )
    def daily(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        tick = context.scheduled_execution_time.date()
        yesterday = tick - ONE_DAY
        settled = yesterday - settings.source.settle_days * ONE_DAY
        # Days before start_date have no partition. For one of them Dagster would refuse the whole tick.
        days = [day for day in dict.fromkeys([yesterday, settled]) if day >= settings.start_date]
        if not days:
            yield dg.SkipReason(f"start_date is {settings.start_date}, and that day is not over yet")
        for day in days:
            # Dagster may evaluate a tick twice. With the key it starts one run.
            yield dg.RunRequest(run_key=f"{day} at {tick}", partition_key=str(day))

    return daily


def _publish(winnow: Installation) -> dg.SensorDefinition:
    is_on = winnow.settings.schedule_enabled
    return dg.AutomationConditionSensorDefinition(
        winnow.names.named("publish"),
        target=dg.AssetSelection.assets(*winnow.names.assets("pypi_file_downloads", "badges", "index")),
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED,
        description="Publishes badges and pages when new days are counted, and when the config or Winnow changes. Once "
        "a day it looks at the source, and greys badges whose number is old.",
    )


def _check_all(winnow: Installation, jobs: Jobs) -> dg.ScheduleDefinition:
    is_on = winnow.settings.schedule_enabled
    status = dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED
    return dg.ScheduleDefinition(
        name=winnow.names.named("checks"),
        cron_schedule=CHECK_CRON,
        execution_timezone="UTC",
        target=jobs.checking,
        default_status=status,
        description="Runs every check, even if nothing was materialised, so that a missed day shows.",
    )


def _purge_runs(winnow: Installation) -> dg.SensorDefinition:
    @dg.sensor(
        name=winnow.names.named("delete_old_runs"),
        minimum_interval_seconds=3600,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Deletes Winnow's own old runs, except those that read days.",
    )
    def purge_old_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        oldest = winnow.oldest_kept_run
        deleted = OwnRuns.of_sensor(context, winnow.ownership.site, winnow.names).purge_old_runs(oldest)
        return dg.SkipReason(f"deleted {deleted} of Winnow's runs from before {oldest:%Y-%m-%d}")

    return purge_old_runs
