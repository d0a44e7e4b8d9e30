"""The rules of honesty and of short days, once more and by other code: what has been read, has to be, and is published.

Nothing here is taken from `winnow_dagster`. The rules are those of README and design.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from statistics import median

from tests.faults.oracle_world import CHANGE, PACKAGES, Asked, Key, World, covers, selects

ALLOWED = ("pip", "pipenv", "pipx", "uv", "poetry", "pdm")
MIRRORS = ("bandersnatch", "Nexus", "devpi", "Artifactory", "z3c.pypimirror", "pep381client")
CATEGORIES = ("honest", "ci", "mirror", "browser", "script", "unknown", "other")
DAY = timedelta(days=1)


def over(day: date) -> datetime:
    return datetime.combine(day + DAY, time(), tzinfo=UTC)


def is_short(day: date, rows: Mapping[date, int], seen: dict[date, bool] | None = None) -> bool:
    """Return whether a day is short (rules 3 and 4), from the numbers of rows that are known."""
    seen = {} if seen is None else seen
    if day not in seen:
        seen[day] = rows[day] == 0
        side = [
            d
            for d in (day - n * DAY for n in range(1, 57))
            if d in rows and (d < CHANGE) == (day < CHANGE) and d != CHANGE and not is_short(d, rows, seen)
        ]
        weeks = [rows[d] for d in side if (day - d).days % 7 == 0]
        if day != CHANGE and len(weeks) >= 4 and rows[day] < median(weeks) / 2:
            seen[day] |= rows[day] < 0.75 * min(rows[d] for d in side)
    return seen[day]


@dataclass(frozen=True)
class Read:
    """One reading of a selector on a day."""

    at: datetime
    rows: int | None
    short: bool


@dataclass
class Stored:
    """What is stored of a day: which selectors were read when, and the downloads of each package then."""

    read: dict[str, Read] = field(default_factory=dict)
    downloads: dict[str, Mapping[Key, int]] = field(default_factory=dict)
    legacy: set[str] = field(default_factory=set)
    """Which selectors were read by a release that took every request for a download."""

    def newest(self, selector: str) -> Read | None:
        found = [read for other, read in self.read.items() if covers(other, selector)]
        return max(found, key=lambda read: read.at, default=None)

    def is_legacy(self, selector: str) -> bool:
        return self.newest(selector) is None and any(covers(other, selector) for other in self.legacy)


@dataclass(frozen=True)
class Config:
    """Entries and groups with their windows; 0 is `all`."""

    entries: Mapping[str, Sequence[int]]
    groups: Mapping[str, tuple[Sequence[str], Sequence[int]]]
    settle_days: int

    def longest(self) -> dict[str, int]:
        """Return how many days are to be read of each entry."""
        found = {entry: max(*days, 30 if 0 in days else 0) for entry, days in self.entries.items()}
        for members, days in self.groups.values():
            for member in members:
                entry = self.entry_of(member)
                assert entry is not None
                found[entry] = max(found[entry], *days, 30 if 0 in days else 0)
        return found

    def entry_of(self, name: str) -> str | None:
        """Return the entry that publishes a package: its own, else the longest prefix."""
        found = [entry for entry in self.entries if covers(entry, name)]
        return max(found, key=lambda entry: (entry == name, len(entry)), default=None)


@dataclass
class Ledger:
    """What Winnow has read and stored, and what it knows of the numbers of rows."""

    raw: dict[date, Stored] = field(default_factory=dict)
    honest: dict[date, Stored] = field(default_factory=dict)
    rows: dict[date, int] = field(default_factory=dict)

    def note(  # noqa: C901 - each is a rule of its own
        self, log: Sequence[Asked], world: World, now: datetime, config: Config, may: Collection[date]
    ) -> Iterable[str]:
        """Take note of what the source was asked; yield what was not to be asked. `may`: days to read once more."""
        today: set[date] = set()
        touched: set[date] = set()
        longest = config.longest()
        # Requests are planned before any is sent.
        before = Ledger(deepcopy(self.raw), {}, dict(self.rows))
        done: set[tuple[str, date]] = set()
        for asked in log:
            if asked.selector is None:
                told = {day: world.day_rows(day) for day in asked.days()}
                self.rows |= told
                before.rows |= told
                today |= set(asked.days())
                continue
            if asked.first <= CHANGE < asked.last:
                yield f"one query for {asked} spans both sides of the change"
            for day in asked.days():
                touched.add(day)
                age = (now.date() - day).days
                if asked.selector == "*" and not world.tells_rows and not asked.failed:
                    # The scan tells its own number of rows, and is not stored where it shows that the day is short.
                    self.rows[day] = sum(n for package in PACKAGES for n in world.rows(package, day).values())
                    if is_short(day, self.rows) and age < 14:
                        continue
                short = day in self.rows and is_short(day, self.rows)
                if world.tells_rows and day not in today:
                    yield f"{asked.selector} was read on {day} without asking for its rows before"
                if over(day) > now:
                    yield f"{asked.selector} was read on {day}, which is not over"
                if short and age < 14 and not asked.failed:
                    yield f"{asked.selector} was read on {day}, which is short ({self.rows[day]} rows)"
                wanted = any(
                    before.needs(entry, day, now, config) or day in may
                    for entry in config.entries
                    if covers(asked.selector, entry)
                    and (
                        day in may or (now.date() - day).days <= longest[entry] or before.may_come_back(entry, day, now)
                    )
                ) or before.raw.get(day, Stored()).is_legacy(asked.selector)
                if (asked.selector, day) in done and day not in may:
                    yield f"{asked.selector} was read on {day} twice"
                done.add((asked.selector, day))
                if not wanted:
                    yield f"{asked.selector} was read on {day} for no reason: {self.raw.get(day)}"
                if not asked.failed:
                    self.store(asked.selector, day, Read(now, self.rows.get(day), short), world)
        self.count(touched)

    def store(self, selector: str, day: date, read: Read, world: World) -> None:
        stored = self.raw.setdefault(day, Stored())
        before = stored.newest(selector)
        if before and before.rows is not None and read.rows is not None and before.rows > read.rows:
            mine = stored.read.get(selector)
            if mine and mine.at > read.at + timedelta(minutes=5):
                # The counts stay; a stamp in the future does not.
                stored.read[selector] = replace(mine, at=read.at)
            return
        stored.downloads |= {p: world.rows(p, day) for p in PACKAGES if selects(selector, p)}
        # What it replaces is not newer, whatever a clock that was ahead has stamped.
        older = {
            other: r
            for other, r in stored.read.items()
            if r.at <= read.at
            or not (covers(selector, other) or (covers(other, selector) and r.at > read.at + timedelta(minutes=5)))
        }
        stored.read = {**older, selector: read}
        stored.legacy = {other for other in stored.legacy if not covers(selector, other)}

    def count(self, days: Iterable[date]) -> None:
        """Take note that the honest counts of these days were made of the raw ones."""
        self.honest |= {day: deepcopy(self.raw[day]) for day in days if day in self.raw}

    def may_come_back(self, entry: str, day: date, now: datetime) -> bool:
        """Return whether a day was counted although it is short, and is read again if its rows come back."""
        last = self.raw.get(day, Stored()).newest(entry)
        return last is not None and last.short and (now.date() - day).days <= 90

    def needs(self, entry: str, day: date, now: datetime, config: Config) -> str:
        """Return why an entry has to be read on a day of its windows; nothing if it has not."""
        last = self.raw.get(day, Stored()).newest(entry)
        rows = self.rows.get(day)
        if last is None:
            return "not read"
        if last.at > now + timedelta(minutes=5):
            return "read in the future"
        if rows is not None and last.rows is not None and rows < last.rows:
            return ""
        more = 0 if rows is None or last.rows is None else rows - last.rows
        if self.may_come_back(entry, day, now) and more > 0 and 10 * more >= (last.rows or 0):
            return "rows are back"
        is_over = last.at < over(day) + config.settle_days * DAY <= now
        return "settled" if is_over else ""

    def lacks(self, now: datetime, config: Config, start: date) -> Iterable[str]:
        """Yield what a collect that nothing disturbed left unread."""
        through = now.date() - DAY
        for entry, longest in config.longest().items():
            days = {through - n * DAY for n in range(longest)}
            days |= {day for day, stored in self.raw.items() if day <= min(through, CHANGE) and stored.is_legacy(entry)}
            days |= {day for day in self.raw if day <= through and self.may_come_back(entry, day, now)}
            for day in sorted(days):
                why = self.needs(entry, day, now, config)
                withheld = day in self.rows and is_short(day, self.rows) and (now.date() - day).days < 14
                if why and day >= start and not withheld:
                    yield f"{entry} is not read on {day}: {why}"

    def short_days(self, now: datetime, config: Config, start: date) -> list[date]:
        """Return the short days of the longest window that are not read because of that."""
        longest = config.longest()
        days = [now.date() - n * DAY for n in range(1, min(max(longest.values()), 13) + 1)]
        return [
            day
            for day in days
            if day >= start
            and day in self.rows
            and is_short(day, self.rows)
            and any(
                (now.date() - day).days <= days_needed and self.raw.get(day, Stored()).newest(entry) is None
                for entry, days_needed in longest.items()
            )
        ]

    # What is to be published.

    def covered(self, day: date, parts: Sequence[str]) -> bool:
        return day in self.honest and all(self.honest[day].newest(part) for part in parts)

    def newest_window(self, parts: Sequence[str], days: int, through: date) -> list[date] | None:
        """Return the newest `days` days in a row that are covered."""
        for end in (through - n * DAY for n in range((through - min(self.honest, default=through)).days + 1)):
            found = [end - n * DAY for n in range(days)]
            if all(self.covered(day, parts) for day in found):
                return found
        return None

    def recount(self, packages: Collection[str], days: Iterable[date]) -> dict[str, int]:
        """Count the downloads of packages over days, row by row, by everything that is published."""
        found = Counter[str]()
        for day in days:
            for package in packages:
                for (installer, system, ci), n in self.honest[day].downloads.get(package, {}).items():
                    category = _category(installer, ci)
                    found.update({"raw": n, category: n})
                    if category == "honest":
                        found.update({f"by {installer}": n, f"on {system}": n})
        return dict(found)

    def is_provisional(self, day: date, parts: Sequence[str], config: Config) -> bool:
        reads = [self.honest[day].newest(part) for part in parts]
        return any(read and read.at < over(day) + config.settle_days * DAY for read in reads)

    def is_marked(self, day: date, parts: Sequence[str]) -> bool:
        reads = [self.honest[day].newest(part) for part in parts]
        return any(read and read.short for read in reads)


def _category(installer: str | None, ci: object) -> str:
    if ci:
        return "ci"
    if not installer:
        return "unknown"
    if installer in ALLOWED:
        return "honest"
    if installer in MIRRORS:
        return "mirror"
    return {"Browser": "browser", "requests": "script"}.get(installer, "other")
