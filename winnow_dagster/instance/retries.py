"""When a run began. Dagster's retries of a run do the same work, so they count from its start."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

RETRY_NUMBER_TAG = "dagster/retry_number"
"""Dagster's tag for a run that retries another by itself. Private: no constant is public.

A run that a user re-executes does not have it.
"""


def started_at(instance: dg.DagsterInstance, run: dg.DagsterRun) -> datetime | None:
    """Return when a run began or, if Dagster retries another run with it, that one; None if that is not known."""
    while RETRY_NUMBER_TAG in run.tags and run.parent_run_id:
        parent = instance.get_run_by_id(run.parent_run_id)
        if parent is None:
            break
        run = parent
    record = instance.get_run_record_by_id(run.run_id)
    return datetime.fromtimestamp(record.start_time, UTC) if record and record.start_time else None
