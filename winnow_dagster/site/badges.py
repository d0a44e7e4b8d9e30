"""Badge files: each badge as endpoint JSON and as SVG."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import badges_of
from winnow_dagster.site.record import to_json
from winnow_dagster.site.svg import draw

if TYPE_CHECKING:
    from datetime import date

    from winnow_dagster.core.badge import Badge, BadgeStyle
    from winnow_dagster.core.shard import Numbers, Shard

MAX_CACHED = 50_000
"""The maximum number of entries in each cache of a `ShardRenderer`, which then empties both."""


def badge_files(badge: Badge) -> dict[str, bytes]:
    """Return both files of a badge, by name."""
    return {badge.file_name: to_json(badge.payload), badge.picture_name: draw(badge.payload)}


def badges_of_shard(
    shard: Shard, numbers: Numbers, style: BadgeStyle, *, today: date, stale_threshold_days: int
) -> list[Badge]:
    """Return the badges of a package with these numbers, as they read on `today`.

    A badge is left out if the shard does not have all the numbers that it shows.
    """
    state = shard.state(numbers)
    badges = badges_of(state, style, today=today, stale_threshold_days=stale_threshold_days, slugs=style.slugs)
    return [badge for badge in badges if shard.can_show(numbers, badge.days, badge.slug)]


@dataclass
class ShardRenderer:
    """Draws the badges of many packages. It draws equal numbers, and equal payloads, only once.

    The first cache is for one kind of shard at a time. Its keys are all the numbers of a package. The keys of the
    second cache are whole payloads. So no key omits anything that a badge shows.
    """

    style: BadgeStyle
    stale_threshold_days: int
    _by_payload: dict[tuple[object, ...], dict[str, bytes]] = field(default_factory=dict)
    _by_numbers: dict[Numbers, dict[str, bytes]] = field(default_factory=dict)
    _drawn: tuple[Shard, date] | None = None

    def start(self, shard: Shard, today: date) -> None:
        """From now on, draw packages of this shard as they read on `today`."""
        drawn = replace(shard, packages={}), today
        if drawn != self._drawn:
            self._drawn = drawn
            self._by_numbers.clear()

    def files(self, numbers: Numbers) -> dict[str, bytes]:
        """Return the badge files of a package with these numbers, by name."""
        if numbers not in self._by_numbers:
            if max(len(self._by_numbers), len(self._by_payload)) >= MAX_CACHED:
                self._by_numbers.clear()
                self._by_payload.clear()
            self._by_numbers[numbers] = self._draw(numbers)
        return self._by_numbers[numbers]

    def _draw(self, numbers: Numbers) -> dict[str, bytes]:
        if self._drawn is None:
            raise ValueError("call `start` with the packages' shard first")
        shard, today = self._drawn
        files: dict[str, bytes] = {}
        for badge in badges_of_shard(
            shard, numbers, self.style, today=today, stale_threshold_days=self.stale_threshold_days
        ):
            key = (badge.stem, *badge.payload.items())
            if key not in self._by_payload:
                self._by_payload[key] = badge_files(badge)
            files |= self._by_payload[key]
        return files
