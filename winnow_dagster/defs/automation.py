"""What runs by itself: the day that is over, the gaps, and the badges after them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator  # noqa: TC003 - Dagster reads annotations
from typing import TYPE_CHECKING

import dagster as dg

from winnow_dagster import __version__
from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.defs.checks import CHECKS
from winnow_dagster.defs.gaps import make_gaps
from winnow_dagster.defs.partitions import TICK_SECONDS
from winnow_dagster.instance.runs import CHECK_ALL, READS_DAYS, OwnRuns

if TYPE_CHECKING:
    from winnow_dagster.config.settings import Settings
    from winnow_dagster.defs.resources import Installation

COUNTS = dg.define_asset_job(
    READS_DAYS,
    dg.AssetSelection.assets("raw_downloads", "honest_downloads"),
    description="Reads days from the source and counts them.",
)
CHECKING = dg.define_asset_job(
    CHECK_ALL,
    # By name: the code location may also hold other teams' checks, which Winnow does not run.
    dg.AssetSelection.checks(*(check.key for check in CHECKS)),
    description="Runs every check and materialises nothing.",
)
AUTOMATED = dg.AssetSelection.assets("pypi_file_downloads", "badges", "index")

HOURLY = "20 * * * *"
LOOKS = "50 */6 * * *"
"""When everything is checked, in UTC: four times a day, and not while the daily run may be at work."""


def make_automation(winnow: Installation) -> list[dg.ScheduleDefinition | dg.SensorDefinition]:
    """Return the schedule and sensors of an installation."""
    return [_daily(winnow), make_gaps(winnow, COUNTS), _publish(winnow.settings), _look(winnow.settings), _tidy(winnow)]


def when_to_publish(settings: Settings) -> dg.AutomationCondition[dg.AssetKey]:
    """Return when a selector's badges are due: new days, a new package, another config, and once a day.

    Once a day, because a number that nothing renews has to say so (R6).
    """
    return _follow(
        dg.AutomationCondition.newly_missing()
        | dg.AutomationCondition.code_version_changed()
        | dg.AutomationCondition.cron_tick_passed(settings.cron)
    )


def when_to_list() -> dg.AutomationCondition[dg.AssetKey]:
    """Return when what spans packages is due: after their badges, whatever those were published for."""
    return _follow()


def _follow(also: dg.AutomationCondition[dg.AssetKey] | None = None) -> dg.AutomationCondition[dg.AssetKey]:
    """Return when something is due that follows what it is made from, and is due by itself at other times too.

    Nothing while what it is made from is under way, but for what is new: it is there at once, however long that takes.
    """
    done = dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated()
    is_new = dg.AutomationCondition.newly_missing().since(done) & ~dg.AutomationCondition.in_progress()
    # To publish again costs nothing; what failed, or was interrupted, need not wait for tomorrow.
    again = dg.AutomationCondition.cron_tick_passed(HOURLY) & dg.AutomationCondition.execution_failed()
    due = dg.AutomationCondition.any_deps_updated() | again | (also or again)
    busy = dg.AutomationCondition.any_deps_in_progress() | dg.AutomationCondition.in_progress()
    # A run that was asked for before, or that ended just now, knows nothing of what has come since: days that landed
    # while it published, or a config that changed. So its end settles nothing, and neither does its request if
    # something new has come with it.
    return that_exist(is_new | (due.since(dg.AutomationCondition.newly_requested() & ~due) & ~busy))


def that_exist(condition: dg.AutomationCondition[dg.AssetKey]) -> dg.AutomationCondition[dg.AssetKey]:
    """Return the condition for no partitions but those that the config has.

    Dagster remembers partitions by their names alone, and what it remembers may ask for one that has left the config.
    What is not true of the others is taken off all that there are: so what is left exists.
    """
    return ~~condition


def when_to_observe(settings: Settings) -> dg.AutomationCondition[dg.AssetKey]:
    """Return when to ask the source for its newest day: with each tick of the schedule, and once at first."""
    due = dg.AutomationCondition.newly_missing() | dg.AutomationCondition.cron_tick_passed(settings.cron)
    done = dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated()
    return due.since(done) & ~dg.AutomationCondition.in_progress()


def publishing_version(s: Settings) -> str:
    """Return a code version that changes with what the config says of publishing, and with Winnow's own."""
    said = repr((__version__, s.packages, s.groups, s.stale_threshold_days, s.source.kind, s.output_dir, s.base_url))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


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


def _publish(settings: Settings) -> dg.SensorDefinition:
    status = dg.DefaultSensorStatus.RUNNING if settings.schedule_enabled else dg.DefaultSensorStatus.STOPPED
    return dg.AutomationConditionSensorDefinition(
        "publish", target=AUTOMATED, minimum_interval_seconds=TICK_SECONDS, default_status=status
    )


def _look(settings: Settings) -> dg.ScheduleDefinition:
    status = dg.DefaultScheduleStatus.RUNNING if settings.schedule_enabled else dg.DefaultScheduleStatus.STOPPED
    return dg.ScheduleDefinition(
        name="look",
        cron_schedule=LOOKS,
        execution_timezone="UTC",
        target=CHECKING,
        default_status=status,
        description="Checks everything, whether or not anything was materialised: that is how a missed day shows.",
    )


def _tidy(winnow: Installation) -> dg.SensorDefinition:
    @dg.sensor(
        name="tidy",
        minimum_interval_seconds=3600,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Deletes Winnow's own old runs, except those that read days.",
    )
    def purge_old_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        oldest = winnow.oldest_kept_run
        deleted = OwnRuns.of_sensor(context, winnow.ownership.site).forget_old(oldest)
        return dg.SkipReason(f"deleted {deleted} of Winnow's runs from before {oldest:%Y-%m-%d}")

    return purge_old_runs
