"""The sensor that fills gaps, and the reasons that it gives while it waits."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator  # noqa: TC003 - Dagster reads annotations
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from winnow_dagster.core.attempts import Attempt, Setup, decide, from_json, to_json
from winnow_dagster.credentials import ENCODED_VARIABLE, FILE_VARIABLE
from winnow_dagster.defs.partitions import RANGE_END, RANGE_START, TICK_SECONDS
from winnow_dagster.instance.runs import MAX_RUN_TIME, OwnRuns
from winnow_dagster.store.ledger import ledger_of
from winnow_dagster.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from winnow_dagster.core.planning import Gap
    from winnow_dagster.defs.jobs import Jobs
    from winnow_dagster.defs.resources import Installation

MAX_NAMED = 3
"""The maximum number of entries of `packages` that a reason names."""

EPOCH = datetime.fromtimestamp(0, UTC)


def make_gap_sensor(winnow: Installation, jobs: Jobs) -> dg.SensorDefinition:
    """Return the sensor that starts runs of the job that reads days."""
    status = dg.DefaultSensorStatus.RUNNING if winnow.settings.schedule_enabled else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name=winnow.names.named("fill_gaps"),
        target=jobs.reading,
        minimum_interval_seconds=TICK_SECONDS,
        default_status=status,
        description="Reads missing days and new packages. Retries a failed read after 10 minutes, 20, 40, up to a day, "
        "and as soon as the config, the key file or the definitions change. Sends a query again only after a day if it "
        "was paid for and failed.",
    )
    def gaps(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        now = winnow.clock.now()
        runs = OwnRuns.of_sensor(context, winnow.ownership.site, winnow.names)
        runs.close_dead()
        if reading := runs.reading_days(now - MAX_RUN_TIME):
            run = reading[0].dagster_run
            yield dg.SkipReason(f"run {run.run_id[:8]} ({run.status.value.lower()}) reads days. Waiting until it ends")
            return
        found = winnow.gaps(through=winnow.due_day)
        # If the clock was ahead when the definitions were loaded, every attempt would seem older than they are.
        setup = Setup(_digest(winnow), winnow.started if winnow.started <= now else EPOCH)
        before = _parse(context.cursor)
        decision = decide(found, before, now, setup, lambda attempt: _paid_for(winnow, attempt))
        context.update_cursor(json.dumps(to_json(decision.attempts)))
        if not decision.due:
            yield dg.SkipReason(_reason(winnow, found, decision.attempts, setup))
        step = winnow.names.op("raw_downloads")
        for gap in decision.due:
            # No run key: a failed run would use it up.
            yield dg.RunRequest(
                tags={RANGE_START: str(gap.first), RANGE_END: str(gap.last)},
                run_config={"ops": {step: {"config": {"packages": [str(s) for s in gap.selectors]}}}},
            )

    return gaps


def _parse(cursor: str | None) -> Sequence[Attempt]:
    """Return the attempts that a cursor holds; none if another program wrote the cursor."""
    with suppress(ValueError, LookupError, TypeError):
        return from_json(json.loads(cursor or "[]"))
    return []


def _paid_for(winnow: Installation, attempt: Attempt) -> set[str]:
    return set() if winnow.costs is None else attempt.paid_for(ledger_of(winnow.settings.data_dir).entries())


def _digest(winnow: Installation) -> str:
    """Return a digest that changes with Winnow's version, the config and the credentials."""
    settings = winnow.settings
    cloud = os.environ.get("CLOUDSDK_CONFIG") or "~/.config/gcloud"
    files = [
        settings.credential_file,
        os.environ.get(FILE_VARIABLE),
        f"{cloud}/application_default_credentials.json",
    ]
    said = repr((__version__, settings, os.environ.get(ENCODED_VARIABLE), [_version(file) for file in files if file]))
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _version(file: Path | str) -> tuple[int, ...]:
    """Return the time, size and inode of a file, which may be a secret; nothing if it does not exist."""
    with suppress(OSError, RuntimeError):
        stat = Path(file).expanduser().stat()
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
    return ()


def _reason(winnow: Installation, gaps: Sequence[Gap], attempts: Sequence[Attempt], setup: Setup) -> str:
    if not gaps:
        return f"nothing is missing up to {winnow.due_day}"
    missing = winnow.missing(winnow.due_day)
    names = dict.fromkeys(str(selector) for gap in gaps for selector in gap.selectors)
    said = [f"{name}: {missing.get(name, 'its days have settled and are re-read once')}" for name in names]
    more = f"; and {len(said) - MAX_NAMED} more" if len(said) > MAX_NAMED else ""
    first = min(attempts, key=lambda attempt: attempt.next_at(setup))
    again = f"{first.next_at(setup):%Y-%m-%d %H:%M} UTC"
    if first.is_paid:
        when = f"a query for this was paid for, so the next one follows at {again}. `winnow collect` sends it at once"
    else:
        when = (
            f"asked {first.tries} times, next at {again}, or as soon as the config (press Reload), the key file or "
            "the definitions change"
        )
    return f"{'; '.join(said[:MAX_NAMED])}{more}. Waiting: {when}"
