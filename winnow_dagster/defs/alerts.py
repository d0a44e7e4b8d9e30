"""Alerts: post to a webhook, once, each run that failed for good and each check that turned red or recovered.

A sensor of Dagster's daemon and `winnow collect` both send alerts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import dagster as dg
import requests
from urllib3.exceptions import LocationParseError

from winnow_dagster.core.coverage import CLOCK_TOLERANCE
from winnow_dagster.core.escaping import for_slack
from winnow_dagster.defs.checks import CHECKS
from winnow_dagster.defs.partitions import TICK_SECONDS
from winnow_dagster.files.locks import alerting
from winnow_dagster.instance.failures import failures
from winnow_dagster.instance.runs import OwnRuns, is_retried
from winnow_dagster.store.sent_alerts import SentAlerts, read_sent_alerts, write_sent_alerts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from winnow_dagster.config.settings import Settings
    from winnow_dagster.defs.checks import Check
    from winnow_dagster.defs.resources import Installation

TIMEOUT_SECONDS = 10
OVERLAP_SECONDS = 3600
"""How long the record keeps a failed run. The history may show a run after another run that failed later."""


class AlertError(Exception):
    """An alert could not be delivered. The message does not name the webhook's address, which is a secret."""


def make_alert_sensors(winnow: Installation) -> list[dg.SensorDefinition]:
    """Return the sensor that sends alerts; none if the config has no webhook."""
    return [_alerts(winnow)] if winnow.settings.has_alerts else []


def post(webhook: str, text: str) -> None:
    """Post `{"text": ...}`, the format of Slack's incoming webhooks. Raises AlertError."""
    try:
        answer = requests.post(webhook, json={"text": for_slack(f"Winnow: {text}")}, timeout=TIMEOUT_SECONDS)
    except (requests.RequestException, LocationParseError) as error:  # for some hosts requests passes the latter on
        raise AlertError(f"alerts.webhook cannot be reached ({type(error).__name__}). Check the address") from None
    if answer.status_code >= HTTPStatus.BAD_REQUEST:
        raise AlertError(f"alerts.webhook answered {answer.status_code}. Check the address")


def _webhook(settings: Settings) -> str:
    """Return the address of the webhook. Raises AlertError if its environment variable does not hold one."""
    variable = settings.alerts_webhook_env
    address = os.environ.get(variable, "") if variable else settings.alerts_webhook
    if not address.startswith(("https://", "http://")):
        problem = "is not a web address. Start it with https://" if address else "is not set. Set it where runs start"
        raise AlertError(f"alerts.webhook_env: ${variable} {problem}")
    return address


def send_alerts(winnow: Installation, runs: OwnRuns) -> int:
    """Send each new alert to the webhook and return how many. Raises AlertError and StorageError.

    Winnow records each alert after it has sent it. It sends an alert twice only if the webhook's answer or the record
    is lost.
    """
    folder, number = winnow.settings.data_dir, 0
    recorded = read_sent_alerts(folder)
    sent = _without_future(recorded)
    if sent.since is not None and sent == recorded and not any(_news(winnow, runs, sent)):
        return 0
    with alerting(folder):
        # Another process may have sent some of the alerts meanwhile.
        sent = _without_future(read_sent_alerts(folder))
        sent = replace(sent, since=winnow.started.timestamp()) if sent.since is None else sent
        write_sent_alerts(folder, sent)
        for text, after in _news(winnow, runs, sent):
            then = after(sent)
            # If a full disk raised an error only after the post, each tick would post the alert again.
            write_sent_alerts(folder, sent, space_for=then)
            post(_webhook(winnow.settings), text)
            sent = then
            write_sent_alerts(folder, sent)
            number += 1
    return number


def _without_future(sent: SentAlerts) -> SentAlerts:
    """Return the record with moments an hour ago instead of moments in the future.

    A clock that was ahead recorded them. Until then, no failed run and no check would be news.
    """
    now = time.time()

    def past(at: float) -> float:
        return at if at <= now + CLOCK_TOLERANCE.total_seconds() else now - OVERLAP_SECONDS

    since = None if sent.since is None else past(sent.since)
    return replace(sent, since=since, judged_at={name: past(at) for name, at in sent.judged_at.items()})


def _alerts(winnow: Installation) -> dg.SensorDefinition:
    @dg.sensor(
        name=winnow.names.named("alerts"),
        description="Posts to the webhook when a run fails and is not retried, when a check turns red, and when it "
        "recovers.",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        number = send_alerts(winnow, OwnRuns.of_sensor(context, winnow.ownership.site, winnow.names))
        red = [name for name, is_red in read_sent_alerts(winnow.settings.data_dir).is_red.items() if is_red]
        return dg.SkipReason(f"sent {number} alerts; red checks: {', '.join(red) or 'none'}")

    return alerts


News = tuple[str, Callable[[SentAlerts], SentAlerts]]
"""The text of an alert, and the function that adds it to the record."""


def _news(winnow: Installation, runs: OwnRuns, sent: SentAlerts) -> Iterator[News]:
    """Yield the alerts that are not recorded as sent."""
    since = sent.since or winnow.started.timestamp()
    for record in runs.find([dg.DagsterRunStatus.FAILURE], updated_after=datetime.fromtimestamp(since, UTC)):
        run, failed_at = record.dagster_run, record.end_time or record.create_timestamp.timestamp()
        if failed_at >= since and run.run_id not in sent.runs and not is_retried(run):
            yield f"run {run.run_id[:8]} failed. {_why(runs.instance, run)}", partial(_add_run, run.run_id, failed_at)
    for check in CHECKS:
        found = _evaluation(runs.instance, check.key(winnow.names))
        if found is None:
            continue
        evaluation, at = found
        was_red = sent.is_red.get(check.name, False)
        # An older evaluation is one of another instance.
        if evaluation.passed is was_red and at > sent.judged_at.get(check.name, 0):
            yield _tell(check, evaluation), partial(_add_check, check.name, not evaluation.passed, at)


def _add_run(run_id: str, failed_at: float, sent: SentAlerts) -> SentAlerts:
    since = max(sent.since or 0.0, min(failed_at, time.time()) - OVERLAP_SECONDS)
    runs = {known: at for known, at in {**sent.runs, run_id: failed_at}.items() if at >= since}
    return replace(sent, since=since, runs=runs)


def _add_check(name: str, is_red: bool, at: float, sent: SentAlerts) -> SentAlerts:  # noqa: FBT001 - through partial
    return replace(sent, is_red={**sent.is_red, name: is_red}, judged_at={**sent.judged_at, name: at})


def _why(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Return the cause of each failed step, or else of the failed run."""
    wanted = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    events = [log.dagster_event for log in instance.all_logs(run.run_id, of_type=wanted) if log.dagster_event]
    reasons = [f"{step}: {reason}" if step else reason for step, reason, _ in failures(events)]
    return "; ".join(reasons) or "no reason given"


def _evaluation(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> tuple[dg.AssetCheckEvaluation, float] | None:
    """Return the last result of a check and its time; None if the check has never run, or is running."""
    record = instance.get_latest_asset_check_evaluation_record(key)
    event = record.event.dagster_event if record and record.event else None
    data: Any = event.event_specific_data if event else None
    if record is None or record.event is None or not isinstance(data, dg.AssetCheckEvaluation):
        return None
    return data, record.event.timestamp


def _tell(check: Check, found: dg.AssetCheckEvaluation) -> str:
    if found.passed:
        return f"check {check.name} of {check.asset} has recovered"
    level = "failed" if found.severity is dg.AssetCheckSeverity.ERROR else "warns"
    return f"check {check.name} of {check.asset} {level}. {found.description or ''}"
