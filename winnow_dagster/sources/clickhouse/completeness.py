"""Completeness: which days of an answer Winnow may count, by the control package's rows in the same answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from winnow_dagster.sources.clickhouse.settings import CI, FIRST_DAY, LOST_CI, NOT_CI

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from winnow_dagster.sources.clickhouse.answers import Answer, ControlRows

TOO_EARLY = (
    f"Winnow reads this source from {FIRST_DAY} on only: before that, PyPI's log counts other requests too. "
    f"Set `start_date: {FIRST_DAY}`, or use another source"
)


@dataclass(frozen=True)
class Refusal:
    """Why Winnow does not count a day."""

    reason: str
    is_absent: bool = False
    """Whether the replica is not loaded that far."""

    is_transient: bool = False
    """Whether a retry after some minutes may help, because another replica has more."""


def refuse_days(
    days: Sequence[date], answer: Answer, seen: Mapping[date, int], newest_seen: date | None, control: str
) -> dict[date, Refusal]:
    """Return the days of an answer that Winnow may not count.

    `seen`, `newest_seen`: the most rows of the control package that any replica had of each day, and the newest day
    that any replica had.
    """
    found = {day: _refuse(day, answer, seen, newest_seen, control) for day in days}
    return {day: refusal for day, refusal in found.items() if refusal}


def _refuse(
    day: date, answer: Answer, seen: Mapping[date, int], newest_seen: date | None, control: str
) -> Refusal | None:
    rows, newest = answer.control.by_day.get(day, 0), answer.control.newest
    if newest is None:
        return Refusal(
            f"the copy has no row of {control} on that day or later: it is not loaded that far, or source.control "
            "names a package without downloads. Run again later",
            is_absent=True,
            is_transient=_is_ahead(newest_seen, day),
        )
    if day >= newest:
        return Refusal(
            f"the copy is loaded to {newest}, and only days before that are complete. Run again later",
            is_absent=True,
            is_transient=_is_ahead(newest_seen, day),
        )
    if rows == 0:
        return Refusal(f"the copy has no row of {control} on that day, so it has lost the day. Run again later")
    if rows < seen.get(day, 0):
        reason = f"this replica has {rows:,} rows of {control} on that day, and another has {seen[day]:,}"
        return Refusal(f"{reason}. Run again later", is_transient=True)
    lost = answer.lost_ci.get(day, 0), answer.control.lost_ci.get(day, 0)
    if any(lost):
        return Refusal(
            f"the copy has rows with ci '{LOST_CI}' on that day ({lost[0]:,} of the package, {lost[1]:,} of {control}) "
            f"instead of '{CI}' or '{NOT_CI}', since it reloaded the day. Wait until it has the CI flags again, or use "
            "another source"
        )
    return None


def _is_ahead(newest_seen: date | None, day: date) -> bool:
    return newest_seen is not None and newest_seen > day


def complete_rows(control: ControlRows, days: Sequence[date]) -> dict[date, int]:
    """Return the control package's rows on each day that is complete; 0 for a day that the copy has lost."""
    return {day: control.by_day.get(day, 0) for day in days if control.newest and day < control.newest}


def newest_usable_day(control: ControlRows, today: date) -> date | None:
    """Return the newest complete day before `today` on which the control package has its CI flags."""
    usable = control.by_day.keys() - control.lost_ci.keys()
    return max((day for day in usable if control.newest and day < min(control.newest, today)), default=None)
