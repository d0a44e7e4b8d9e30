"""Alerts: a run that failed for good, and a check that turned red or well again, told to a webhook once."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import dagster as dg
import requests

from winnow_dagster.core.escaping import for_slack
from winnow_dagster.defs.checks import CHECKS
from winnow_dagster.defs.failures import root_cause
from winnow_dagster.defs.partitions import TICK_SECONDS

if TYPE_CHECKING:
    from winnow_dagster.defs.checks import Check
    from winnow_dagster.settings import Settings

SECONDS = 10
WILL_RETRY = "dagster/will_retry"


class AlertError(Exception):
    """An alert could not be delivered. Its message holds no address: a webhook's is a secret."""


def make_alerts(settings: Settings) -> list[dg.SensorDefinition]:
    """Return the sensors that alert; none without a webhook."""
    if not settings.alerts_webhook:
        return []
    return [_failed_runs(settings.alerts_webhook), _checks(settings.alerts_webhook)]


def post(webhook: str, text: str) -> None:
    """Post `{"text": ...}`, which is what Slack's incoming webhooks take. Raises AlertError."""
    try:
        answer = requests.post(webhook, json={"text": for_slack(f"Winnow: {text}")}, timeout=SECONDS)
    except requests.RequestException as error:
        raise AlertError(f"alerts.webhook cannot be reached ({type(error).__name__}). Check the address") from None
    if answer.status_code >= HTTPStatus.BAD_REQUEST:
        raise AlertError(f"alerts.webhook answered {answer.status_code}. Check the address")


def _failed_runs(webhook: str) -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name="alert_failed_runs",
        description="Tells the webhook of runs that failed and are not tried again.",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def alert_failed_runs(context: dg.RunFailureSensorContext) -> None:
        run = context.dagster_run
        if run.tags.get(WILL_RETRY) != "true":
            post(webhook, f"run {run.run_id[:8]} failed. {_why(context)}")

    return alert_failed_runs


def _why(context: dg.RunFailureSensorContext) -> str:
    """Return what failed and why: each failed step's cause, or what is said of the run as a whole."""
    steps = [
        f"{event.step_key}: {root_cause(getattr(event.event_specific_data, 'error', None), event.step_key or '')}"
        for event in context.get_step_failure_events()
    ]
    return "; ".join(steps) or context.failure_event.message or "Nobody says why"


def _checks(webhook: str) -> dg.SensorDefinition:
    @dg.sensor(
        name="alert_checks",
        description="Tells the webhook of checks that turned red, and of those that are well again.",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def alert_checks(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        red: dict[str, bool] = json.loads(context.cursor or "{}")
        for check in CHECKS:
            found = _evaluation(context.instance, check)
            if found is None or found.passed is not red.get(check.name, False):
                continue
            post(webhook, _tell(check, found))
            red[check.name] = not found.passed
            # After each: what follows may fail, and this was told.
            context.update_cursor(json.dumps(red))
        return dg.SkipReason("checks that are red: " + (", ".join(n for n, is_red in red.items() if is_red) or "none"))

    return alert_checks


def _evaluation(instance: dg.DagsterInstance, check: Check) -> dg.AssetCheckEvaluation | None:
    """Return what a check last came to; None where it never ran, or is at it."""
    record = instance.get_latest_asset_check_evaluation_record(dg.AssetCheckKey(dg.AssetKey(check.asset), check.name))
    event = record.event.dagster_event if record and record.event else None
    data: Any = event.event_specific_data if event else None
    return data if isinstance(data, dg.AssetCheckEvaluation) else None


def _tell(check: Check, found: dg.AssetCheckEvaluation) -> str:
    if found.passed:
        return f"check {check.name} of {check.asset} is well again"
    level = "failed" if found.severity is dg.AssetCheckSeverity.ERROR else "warns"
    return f"check {check.name} of {check.asset} {level}. {found.description or ''}"
