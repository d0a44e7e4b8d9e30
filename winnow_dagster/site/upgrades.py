"""How fast people upgrade: the share of each new release by days since its first download."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import polars as pl
from packaging.version import InvalidVersion, Version

from winnow_dagster.core.badge import UNKNOWN
from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.values import MIN_PERCENTAGE_DOWNLOADS, NOT_SAID, version_key
from winnow_dagster.site.words import format_aligned_share

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

MAX_RELEASES = 8
OFFSETS = (0, 1, 7, 14, 30, 60, 90, 180)
"""The days after the first download of a release for which a page shows its share."""


class Release(NamedTuple):
    """A release, the day of its first download, and its share of the honest downloads some days later, in words."""

    version: str
    first_day: date
    shares: Sequence[str]


class Upgrades(NamedTuple):
    """The newest releases that first appear within the stored days."""

    offsets: Sequence[int]
    releases: Sequence[Release]


def list_upgrades(rows: pl.DataFrame, known: set[date]) -> Upgrades | None:
    """Return how fast people upgraded to the newest releases; None if no release first appears on a known day.

    `rows`: the date, value, honest and CI downloads of the known days. A release is new if the day before its first
    download is known. Pre-releases and releases with few honest downloads are left out.
    """
    if not known:
        return None
    first_days = rows.group_by("value").agg(pl.col("date").min(), pl.col("honest").sum())
    new = {
        value: first
        for value, first, honest in first_days.iter_rows()
        if honest >= MIN_PERCENTAGE_DOWNLOADS and first - ONE_DAY in known and _is_release(value)
    }
    shown = sorted(new, key=version_key, reverse=True)[:MAX_RELEASES]
    if not shown:
        return None
    last = max(known)
    offsets = [n for n in OFFSETS if any(new[version] + n * ONE_DAY <= last for version in shown)]
    totals = dict(rows.group_by("date").agg(pl.col("honest").sum()).iter_rows())
    counts = {
        (value, day): count
        for value, day, count in rows.filter(pl.col("value").is_in(shown)).select("value", "date", "honest").iter_rows()
    }

    def share(version: str, day: date) -> str:
        if day > last:
            return ""
        count, total = counts.get((version, day), 0), totals.get(day, 0)
        if day not in known or not total:
            return UNKNOWN
        return format_aligned_share(count, total) if total >= MIN_PERCENTAGE_DOWNLOADS else f"{count} of {total}"

    return Upgrades(offsets, [Release(v, new[v], [share(v, new[v] + n * ONE_DAY) for n in offsets]) for v in shown])


def _is_release(text: str) -> bool:
    try:
        return text != NOT_SAID and not Version(text).is_prerelease
    except InvalidVersion:
        return False
