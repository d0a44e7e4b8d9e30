"""Find keys that do not go together, across the sections of a config."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from winnow_dagster.config.breakdowns import find_breakdown_problems
from winnow_dagster.config.packages import find_label_problems, find_problems
from winnow_dagster.core.names import EVERYTHING
from winnow_dagster.fields import CI_KNOWN_SINCE
from winnow_dagster.sources.kinds import KIND_WITH_KEY_ONLY, KIND_WITHOUT_SOURCE, KINDS, find_key_problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def find_cross_problems(content: Mapping[str, Any]) -> Iterator[str]:
    """Find keys that do not go together, in a file that may have wrong values too."""
    yield from find_problems(content)
    source, service = content.get("source"), content.get("service")
    if isinstance(source, dict):
        yield from find_key_problems(source)
        yield from _kind_problems(source.get("kind"), content)
        if "credential_file" in source and isinstance(service, dict) and "credential_file" in service:
            yield "service.credential_file: source.credential_file is set too. Keep one"
    yield from _alert_problems(content.get("alerts"))
    without = KIND_WITH_KEY_ONLY if isinstance(service, dict) and "credential_file" in service else KIND_WITHOUT_SOURCE
    kind = KINDS.get(str(source.get("kind") if isinstance(source, dict) else without))
    if kind:
        yield from find_breakdown_problems(content, kind)
        yield from find_label_problems(content, kind)


def _alert_problems(alerts: object) -> Iterator[str]:
    if isinstance(alerts, dict) and not {"webhook", "webhook_env"} & alerts.keys():
        yield "alerts.webhook: missing. Add it, or the name of its environment variable as webhook_env"
    if isinstance(alerts, dict) and {"webhook", "webhook_env"} <= alerts.keys():
        yield "alerts.webhook_env: webhook is set too. Keep one"


def _kind_problems(name: object, content: Mapping[str, Any]) -> Iterator[str]:
    """Find entries and days that a kind of source cannot read."""
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        return
    packages, start = content.get("packages"), content.get("start_date")
    for index, package in enumerate(packages if kind.why_not_all and isinstance(packages, list) else []):
        if isinstance(package, dict) and package.get("name") == str(EVERYTHING):
            yield f"packages[{index}].name: '*' has no use with kind {kind.name}: {kind.why_not_all}"
    if kind.first_day and type(start) is date and CI_KNOWN_SINCE <= start < kind.first_day:
        yield (
            f"start_date: {start} is too early: kind {kind.name} reads days since {kind.first_day}. Use that day or "
            "later, or remove the key"
        )
