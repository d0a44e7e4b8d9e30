"""What PyPI's log holds in the oracle's sequences, and a source that notes what it was asked."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from tests.conftest import RowSource
from tests.rows import row

CHANGE = date(2026, 8, 24)
PACKAGES = ("apple", "apple-pie", "apple-tart", "berry", "cherry", "date-fig")
INSTALLERS = ("pip", "uv", "poetry", "pipx", "Browser", "bandersnatch", "requests", "conda", "others", None, "", "PIP")
SYSTEMS = ("Linux", "Darwin", "Windows", None, "FreeBSD")

Key = tuple[str | None, str | None, bool | None]
"""Installer, system, ci."""

Rows = Mapping[Key, int]


@dataclass
class World:
    """The log: rows of a few packages, and of how many rows all packages have together on each day."""

    seed: int
    today: date
    tells_rows: bool
    kept: dict[date, float] = field(default_factory=dict)
    """Which share of a day's rows the log has, if not all."""
    late: dict[date, Counter[tuple[str, Key]]] = field(default_factory=dict)

    def share(self, day: date) -> float:
        # A day that is not over has few rows yet. Without numbers of rows, a day without any download would be short.
        unfinished = 0.08 if self.tells_rows else 0.6
        return unfinished if day >= self.today else self.kept.get(day, 1.0)

    def rows(self, package: str, day: date) -> dict[Key, int]:
        """Return the downloads of a package on a day, as the log has them now."""
        chance = random.Random(f"{self.seed} {package} {day}")
        found: Counter[Key] = Counter()
        # `date-fig` has no row, ever.
        for _ in range(0 if package == "date-fig" else chance.randrange(1, 5)):
            key = chance.choice(INSTALLERS), chance.choice(SYSTEMS), True if chance.random() < 0.2 else None
            found[key] += chance.choice((3, 7, 40))
        for (name, key), more in self.late.get(day, Counter()).items():
            found[key] += more if name == package else 0
        share = self.share(day)
        return {key: count for key, n in found.items() if (count := int(n * share))}

    def day_rows(self, day: date) -> int:
        """Return the rows of all packages on a day: fewer at the weekend, and since the change."""
        usual = (600 if day.weekday() > 4 else 1000) * (1.6 if day <= CHANGE else 1)
        usual *= random.Random(f"{self.seed} {day}").uniform(0.95, 1.05)
        return int(usual * self.share(day)) + sum(self.late.get(day, Counter()).values())


@dataclass(frozen=True)
class Asked:
    """The source was asked for rows of days (no selector), or for the downloads of what a selector selects."""

    selector: str | None
    first: date
    last: date
    failed: bool = False

    def days(self) -> list[date]:
        return [self.first + timedelta(n) for n in range((self.last - self.first).days + 1)]


def selects(selector: str, package: str) -> bool:
    """Return whether a selector selects a package, by README."""
    return package.startswith(selector[:-1]) if selector.endswith("*") else package == selector


def covers(wide: str, narrow: str) -> bool:
    """Return whether all that `narrow` selects is selected by `wide` too."""
    return wide == narrow or (wide.endswith("*") and narrow.rstrip("*").startswith(wide[:-1]))


def _scans(request: Any) -> Iterator[Any]:
    """Yield what answers a request: of all packages one scan for each day."""
    days = request.days() if str(request.selector) == "*" else []
    yield from (replace(request, first=day, last=day) for day in days) if days else (request,)


@dataclass
class WorldSource(RowSource):
    """Answers from a world. What it was asked is in `log`, in order."""

    world: World | None = None
    log: list[Asked] = field(default_factory=list)

    def read(self, requests: Sequence[Any]) -> Iterator[Any]:
        world = self.world
        assert world is not None
        for request in (part for asked in requests for part in _scans(asked)):
            selector, days = str(request.selector), Asked(None, request.first, request.last).days()
            self.rows = [
                row(day, package, installer=installer, system=system, ci=ci, downloads=count)
                for day in days
                for package in PACKAGES
                if selects(selector, package)
                for (installer, system, ci), count in world.rows(package, day).items()
            ]
            # Noted once it is answered: an answer that nobody took is no reading.
            for answer in super().read([request]):
                self.log.append(Asked(selector, request.first, request.last, selector in self.failing))
                yield answer

    def day_rows(self, first: date, last: date) -> Mapping[date, int]:
        world = self.world
        assert world is not None
        if not world.tells_rows:
            return {}
        self.log.append(Asked(None, first, last))
        return {day: world.day_rows(day) for day in Asked(None, first, last).days()}
