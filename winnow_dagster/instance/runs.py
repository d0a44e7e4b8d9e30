"""Winnow's own runs in the instance: find them, close those whose process died, delete old ones.

Other teams may use the instance. Winnow does not close, retry or delete their runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from winnow_dagster.files.processes import is_dead_or_restarted, is_on_this_machine, this_process
from winnow_dagster.instance.naming import ALONE, Names

if TYPE_CHECKING:
    from collections.abc import Sequence

# Dagster's UI hides tags with this prefix.
PROCESS_TAG = ".dagster/winnow_process"
"""The process of a run, and the run's id, since a re-executed run inherits its parent's tags."""

SITE_TAG = ".dagster/winnow_site"
"""The id of the site that a run works for."""

FORMER_TAGS = {PROCESS_TAG: "winnow/process", SITE_TAG: "winnow/site"}
"""The names of these tags in older runs."""

LOCATION_TAG = ".dagster/repository"
"""Dagster's tag for the code location of a run that a daemon or the UI started. Private: no constant is public."""

RETRY_TAG = "dagster/will_retry"
"""Dagster's tag for a failed run that its settings allow to retry. Private: no constant is public."""

# A run with one of these statuses cannot end without its process.
IN_A_PROCESS = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
OVER = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
MAX_DELETED_RUNS = 200
TIME_TO_SUBMIT = timedelta(minutes=10)
"""How long a run may take to start, and then to record its process."""

# A run that takes longer counts as dead: its process may have died before it recorded its id.
MAX_RUN_TIME = timedelta(hours=4)
HOUR = timedelta(hours=1)


def run_tags(run_id: str, site: str) -> dict[str, str]:
    """Return the tags for a run of this process and a site. `site` is '' if the site has no id yet."""
    return {PROCESS_TAG: f"{this_process()} {run_id}"} | site_tags(site)


def site_tags(site: str) -> dict[str, str]:
    """Return the tags for a run of a site in any process."""
    return {SITE_TAG: site} if site else {}


def process_of(run: dg.DagsterRun) -> str:
    """Return the process of a run; '' if the run has no such tag."""
    process, _, run_id = _tag(run, PROCESS_TAG, "").partition(" ")
    return process if run_id == run.run_id else ""


def _tag(run: dg.DagsterRun, tag: str, default: str) -> str:
    return run.tags.get(tag, run.tags.get(FORMER_TAGS[tag], default))


def selects_only_ours(run: dg.DagsterRun, names: Names) -> bool:
    """Return whether every asset of a run is the installation's. A run of one of its jobs may name no assets."""
    selected = {*(run.asset_selection or ()), *(check.asset_key for check in run.asset_check_selection or ())}
    return selected <= set(names.assets()) if selected else run.job_name in names.jobs


def reads_days(run: dg.DagsterRun, names: Names) -> bool:
    """Return whether a run reads days."""
    return names.reads_days(run.job_name) or names.asset("raw_downloads") in (run.asset_selection or ())


def tags_its_process(run: dg.DagsterRun, names: Names) -> bool:
    """Return whether a run executes in one process, which tags it.

    Winnow's jobs do. Beside other assets, the project's executor decides about all other runs. If each step has a
    process of its own, the end of that process is not the end of the run.
    """
    return selects_only_ours(run, names) and (names.is_alone or run.job_name in names.jobs)


def is_retried(run: dg.DagsterRun) -> bool:
    """Return whether Dagster retries a failed run. It tags each such run, but retries only runs that it launched."""
    return run.tags.get(RETRY_TAG) == "true" and run.remote_job_origin is not None


@dataclass(frozen=True)
class OwnRuns:
    """The runs of one installation in an instance: runs with its tag, and runs of its code location.

    `label` is Dagster's name of the code location; '' for a process outside of a code location.
    """

    instance: dg.DagsterInstance
    site: str
    label: str = ""
    names: Names = ALONE

    @classmethod
    def of_sensor(cls, context: dg.SensorEvaluationContext, site: str, names: Names) -> OwnRuns:
        """Return the runs of the code location that a sensor belongs to."""
        location, name = context.code_location_origin, context.repository_name
        return cls(context.instance, site, f"{name}@{location.location_name}" if location and name else "", names)

    def find(
        self,
        statuses: Sequence[dg.DagsterRunStatus],
        *,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        updated_after: datetime | None = None,
    ) -> list[dg.RunRecord]:
        """Return the runs with one of these statuses, oldest first."""
        found: dict[str, dg.RunRecord] = {}
        for tag, value in ((SITE_TAG, self.site), (FORMER_TAGS[SITE_TAG], self.site), (LOCATION_TAG, self.label)):
            if value:
                chosen = dg.RunsFilter(
                    statuses=statuses,
                    tags={tag: value},
                    created_after=created_after,
                    created_before=created_before,
                    updated_after=updated_after,
                )
                found.update((r.dagster_run.run_id, r) for r in self.instance.get_run_records(chosen))
        ours = [record for record in found.values() if self._is_ours(record.dagster_run)]
        return sorted(ours, key=lambda record: record.storage_id)

    def _is_ours(self, run: dg.DagsterRun) -> bool:
        # Two installations may share a code location.
        return selects_only_ours(run, self.names) and _tag(run, SITE_TAG, self.site) == self.site

    def reading_days(self, since: datetime) -> list[dg.RunRecord]:
        """Return the unfinished runs, created since that moment, that read days."""
        return [
            record for record in self.find(UNDER_WAY, created_after=since) if reads_days(record.dagster_run, self.names)
        ]

    def close_dead(self) -> None:
        """Report as failed each run whose process on this machine has died, and each run that never started.

        Otherwise Dagster may count their assets as in progress for ever.
        """
        lost = datetime.now(UTC) - TIME_TO_SUBMIT
        for record in self.find([dg.DagsterRunStatus.NOT_STARTED], created_before=lost):
            self.instance.report_run_failed(record.dagster_run, "No process started this run in time")
        for record in self.find(IN_A_PROCESS):
            run, process = record.dagster_run, process_of(record.dagster_run)
            # A live run that is closed by mistake goes on working, and no number depends on the history of runs.
            if process and is_dead_or_restarted(process):
                self.instance.report_run_failed(run, f"Process {process.partition('.')[0]}, which ran this, has died")
            elif self._has_lost_its_process(record, lost):
                self.instance.report_run_failed(run, "Its process died before it recorded its id")
            elif not is_on_this_machine(process) and self._is_silent(record):
                self.instance.report_run_failed(run, f"It has logged nothing for {MAX_RUN_TIME // HOUR} hours")

    def _has_lost_its_process(self, record: dg.RunRecord, lost: datetime) -> bool:
        run, started = record.dagster_run, record.start_time
        # Only the code location itself knows its executor.
        has_one = bool(self.label) and tags_its_process(run, self.names)
        return has_one and not process_of(run) and 0 < (started or 0) < lost.timestamp()

    def _is_silent(self, record: dg.RunRecord) -> bool:
        """Return whether a run has logged nothing for `MAX_RUN_TIME`.

        If the executor starts a process per step, no single process tells whether the run goes on.
        """
        oldest = (datetime.now(UTC) - MAX_RUN_TIME).timestamp()
        if (record.start_time or record.create_timestamp.timestamp()) > oldest:
            return False
        last = self.instance.get_records_for_run(record.dagster_run.run_id, limit=1, ascending=False).records
        return all(each.timestamp < oldest for each in last)

    def purge_old_runs(self, before: datetime) -> int:
        """Delete the runs created before that moment, and return how many.

        Successful runs that read days stay, since they are the history of those days.
        """
        found = [record.dagster_run for record in self.find(OVER, created_before=before)]
        old = [run for run in found if not (run.is_success and reads_days(run, self.names))][:MAX_DELETED_RUNS]
        for run in old:
            self.instance.compute_log_manager.delete_logs(prefix=[run.run_id])
            self.instance.delete_run(run.run_id)
            self._delete_database(run.run_id)
        return len(old)

    def _delete_database(self, run_id: str) -> None:
        """Delete a deleted run's own database, which Dagster empties and leaves on the disk.

        Private: only the storage in SQLite has `path_for_shard`. Without it, the empty databases stay.
        """
        path_for_shard = getattr(self.instance.event_log_storage, "path_for_shard", None)
        if path_for_shard is not None:
            for suffix in ("", "-shm", "-wal"):
                Path(path_for_shard(run_id) + suffix).unlink(missing_ok=True)
