"""What runs by itself: the day that is over, the gaps, and the badges after them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator  # noqa: TC003 - Dagster reads annotations
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.defs.partitions import RANGE_END, RANGE_START

if TYPE_CHECKING:
    from datetime import date, datetime

    from winnow_dagster.defs.resources import Installation
    from winnow_dagster.settings import Settings

COUNTS = dg.AssetSelection.assets("raw_downloads", "honest_downloads")
PUBLISHED = dg.AssetSelection.assets("badges", "index")
TICK_SECONDS = 30

# A run that has been under way for longer is taken for dead: its process may not have lived to say so.
LONGEST_RUN = timedelta(hours=2)
UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def make_automation(winnow: Installation) -> list[dg.ScheduleDefinition | dg.SensorDefinition]:
    """Return the schedule and sensors of an installation."""
    return [_daily(winnow), _gaps(winnow), _publish(winnow.settings)]


def when_to_publish(settings: Settings) -> dg.AutomationCondition[dg.AssetKey]:
    """Return when a selector's badges are due: new days, a new package, another config, and once a day.

    Once a day, because a number that nothing renews has to say so (R6). Nothing while days are being read.
    """
    due = (
        dg.AutomationCondition.any_deps_updated()
        | dg.AutomationCondition.newly_missing()
        | dg.AutomationCondition.code_version_changed()
        | dg.AutomationCondition.cron_tick_passed(settings.cron)
    )
    done = dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated()
    busy = dg.AutomationCondition.any_deps_in_progress() | dg.AutomationCondition.in_progress()
    return due.since(done) & ~busy


def publishing_version(settings: Settings) -> str:
    """Return a code version that changes with what the config says of publishing."""
    said = repr((settings.packages, settings.stale_threshold_days, settings.source.kind, settings.output_dir))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def last_due_day(settings: Settings, now: datetime) -> date:
    """Return the newest day that the schedule should have read: yesterday, once the tick of today has passed."""
    tick = now.replace(hour=settings.schedule_hour, minute=settings.schedule_minute, second=0, microsecond=0)
    return now.date() - (ONE_DAY if now >= tick else 2 * ONE_DAY)


def _daily(winnow: Installation) -> dg.ScheduleDefinition:
    settings = winnow.settings
    status = dg.DefaultScheduleStatus.RUNNING if settings.schedule_enabled else dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(
        name="daily",
        cron_schedule=settings.cron,
        execution_timezone="UTC",
        target=COUNTS,
        default_status=status,
        description="Reads yesterday, and once more the day that has settled.",
    )
    def daily(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        tick = context.scheduled_execution_time.date()
        yesterday = tick - ONE_DAY
        settled = yesterday - settings.source.settle_days * ONE_DAY
        for day in dict.fromkeys([yesterday, settled]):
            # The key makes a tick that is evaluated twice start one run.
            yield dg.RunRequest(run_key=f"{day} at {tick}", partition_key=str(day))

    return daily


def _gaps(winnow: Installation) -> dg.SensorDefinition:
    status = dg.DefaultSensorStatus.RUNNING if winnow.settings.schedule_enabled else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name="gaps",
        target=COUNTS,
        minimum_interval_seconds=TICK_SECONDS,
        default_status=status,
        description="Reads what is missing: days that were missed, packages that are new.",
    )
    def gaps(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        now = winnow.clock.now()
        recent = dg.RunsFilter(statuses=UNDER_WAY, created_after=now - LONGEST_RUN)
        if any(_reads(run) for run in context.instance.get_runs(recent)):
            yield dg.SkipReason("a run that reads days is under way")
            return
        for gap in winnow.gaps(through=last_due_day(winnow.settings, now)):
            packages = [str(selector) for selector in gap.selectors]
            # The same gap is asked for once a day: what fails again and again must not be paid for again and again.
            named = hashlib.sha256(repr(packages).encode()).hexdigest()[:12]
            yield dg.RunRequest(
                run_key=f"{gap.first} to {gap.last} for {named} on {now.date()}",
                tags={RANGE_START: str(gap.first), RANGE_END: str(gap.last)},
                run_config={"ops": {"raw_downloads": {"config": {"packages": packages}}}},
            )

    return gaps


def _publish(settings: Settings) -> dg.SensorDefinition:
    status = dg.DefaultSensorStatus.RUNNING if settings.schedule_enabled else dg.DefaultSensorStatus.STOPPED
    return dg.AutomationConditionSensorDefinition(
        "publish", target=PUBLISHED, minimum_interval_seconds=TICK_SECONDS, default_status=status
    )


def _reads(run: dg.DagsterRun) -> bool:
    # A run of the schedule or of this sensor names no assets: all that its job has are the counts.
    return run.asset_selection is None or dg.AssetKey("raw_downloads") in run.asset_selection
