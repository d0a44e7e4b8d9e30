"""The time, which tests and replays of old days set."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from winnow_dagster.core.coverage import ONE_DAY


@dataclass(frozen=True)
class Clock:
    """The time and, for a replay of old days, the newest day to include."""

    replay_through: date | None = None

    def now(self) -> datetime:
        """Return the present moment, in UTC."""
        return datetime.now(UTC)

    @property
    def through(self) -> date:
        """The newest day that may be included: yesterday, or the day of a replay."""
        return self.replay_through or self.now().date() - ONE_DAY

    @property
    def today(self) -> date:
        """The day from whose view badges are stale or not."""
        return self.through + ONE_DAY
