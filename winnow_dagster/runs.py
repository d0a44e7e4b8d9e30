"""Runs in the instance: which process each is in, those whose process has died, and those too old to keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage

from winnow_dagster.processes import is_dead_or_of_before, this_process

PROCESS_TAG = "winnow/process"

# What is still to come of a run that is one of these depends on its process.
IN_A_PROCESS = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
OVER = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
READS_DAYS = "read_days"
RAW = dg.AssetKey("raw_downloads")
MOST_AT_ONCE = 200
TIME_TO_SUBMIT = timedelta(minutes=10)
"""How long a run may take to be started, and then to say in which process it is."""


def process_tag() -> dict[str, str]:
    """Return the tag that says which process a run is in: this one."""
    return {PROCESS_TAG: this_process()}


def close_dead_runs(instance: dg.DagsterInstance) -> None:
    """Report as failed the runs of this machine whose process has died, and those that never got under way.

    Nobody else may know of them, and what they were to materialise would count as in progress for ever.
    """
    lost = datetime.now(UTC) - TIME_TO_SUBMIT
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.NOT_STARTED], created_before=lost)):
        instance.report_run_failed(run, "Whoever was about to start this never did")
    for record in instance.get_run_records(dg.RunsFilter(statuses=IN_A_PROCESS)):
        run = record.dagster_run
        if PROCESS_TAG not in run.tags and record.start_time and record.start_time < lost.timestamp():
            instance.report_run_failed(run, "Its process died before it could say which it is")
            continue
        process = run.tags.get(PROCESS_TAG, "")
        # A run that is closed though it lives still does its work: no number depends on the history of runs.
        if is_dead_or_of_before(process):
            instance.report_run_failed(run, f"The process {process.partition('.')[0]} that ran this has died")


def reads_days(run: dg.DagsterRun) -> bool:
    """Tell whether a run reads days. A run of the job that does may name no assets."""
    return run.job_name == READS_DAYS or RAW in (run.asset_selection or ())


def forget_old_runs(instance: dg.DagsterInstance, before: datetime) -> int:
    """Delete runs created before that moment; return how many.

    Successful runs that read days stay: they are the history of those days. Of all else there is newer.
    """
    found = instance.get_runs(dg.RunsFilter(statuses=OVER, created_before=before), ascending=True)
    old = [run for run in found if not (run.is_success and reads_days(run))][:MOST_AT_ONCE]
    storage = instance.event_log_storage
    for run in old:
        instance.compute_log_manager.delete_logs(prefix=[run.run_id])
        instance.delete_run(run.run_id)
        if isinstance(storage, SqliteEventLogStorage):
            # Each run has a database of its own, which Dagster empties and leaves.
            for suffix in ("", "-shm", "-wal"):
                Path(storage.path_for_shard(run.run_id) + suffix).unlink(missing_ok=True)
    return len(old)
