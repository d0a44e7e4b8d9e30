"""Partitions: counts happen on a day; a badge is the present state of what a selector selects, or of a group."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from collections.abc import Iterable

    from winnow_dagster.config.settings import Settings

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"

TICK_SECONDS = 30
"""How often Dagster looks whether something is to be done."""


def day_partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """Return a partition for each UTC day that is over, from `start_date` on."""
    return dg.DailyPartitionsDefinition(start_date=settings.start_date.isoformat(), timezone="UTC")


def selector_partitions(settings: Settings) -> dg.StaticPartitionsDefinition:
    """Return a partition for each entry of `packages:` and then of `groups:`, in the config's order."""
    return dg.StaticPartitionsDefinition([str(which) for which in settings.published_windows])


def to_days(keys: Iterable[str]) -> list[date]:
    """Return the days of these partition keys."""
    return [date.fromisoformat(key) for key in keys]
