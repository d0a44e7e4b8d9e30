"""Partitions: a count has a day; a badge has a selector or a group, and shows its present state."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from collections.abc import Iterable

    from winnow_dagster.config.settings import Settings

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

TICK_SECONDS = 30
"""How often Dagster's daemon evaluates sensors and conditions."""


def day_partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """Return a partition for each past UTC day from `start_date` on."""
    return dg.DailyPartitionsDefinition(start_date=settings.start_date.isoformat(), timezone="UTC")


def selector_partitions(settings: Settings) -> dg.StaticPartitionsDefinition:
    """Return a partition for each entry of `packages:`, then of `groups:`, in the config's order."""
    return dg.StaticPartitionsDefinition([str(which) for which in settings.published_windows])


def to_days(keys: Iterable[str]) -> list[date]:
    """Return the days of these partition keys."""
    return [date.fromisoformat(key) for key in keys]


def to_moment(text: str) -> datetime:
    """Return the moment of a run's config. It is in UTC if it does not say where."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
