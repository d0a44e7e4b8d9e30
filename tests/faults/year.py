"""A year of Winnow, day by day, through the real schedule, sensors and conditions, with faults all along.

Thirty packages at a BigQuery that fails for one query in twenty, whose rows come late or vanish; runs killed with
kill -9; days on which nothing runs; packages and windows that come and go. After each day every badge equals what an
oracle counts from scratch, row by row, and no badge goes back; in the end, once all has settled, the oracle needs not
even know what was read when. Store, event log and ledger grow with the days, not faster.
"""

from __future__ import annotations

import json
import multiprocessing as mp
import os
import random
import signal
import sqlite3
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg

from tests.conftest import on_disk
from tests.fake_bigquery import Answer, Service, fake, job
from tests.rows import Row, row
from winnow_dagster.config.loading import load_settings
from winnow_dagster.core.dimensions import INSTALLER, SYSTEM
from winnow_dagster.defs import building
from winnow_dagster.defs.clock import Clock
from winnow_dagster.defs.partitions import RANGE_END, RANGE_START
from winnow_dagster.defs.resources import Installation
from winnow_dagster.instance import runs
from winnow_dagster.instance.opening import open_instance
from winnow_dagster.instance.runs import OwnRuns
from winnow_dagster.store.ledger import ledger_of

FIRST = date(2025, 1, 1)
SETTLE_DAYS = 3
PACKAGES = 30
KILLED = 0.04
"""The share of runs that are killed."""

TICK = time(3, 31)
TEN_MINUTES = timedelta(minutes=10)
FORKING = mp.get_context("forkserver")

Key = tuple[str, str | None, str | None, bool | None]
"""Package, installer, system, ci."""

INSTALLERS = ("pip", "uv", "poetry", "Browser", "bandersnatch", "requests", "conda", None, "pip", "PIP")
SYSTEMS = ("Linux", "Darwin", "Windows", None, "FreeBSD")


def rows_of(seed: int, package: str, day: date, known: date) -> dict[Key, int]:
    """Return what PyPI's log says of a package's day on the day `known`: rows come late, and some vanish."""
    chance = random.Random(f"{seed} {package} {day}")
    found: Counter[Key] = Counter()
    for _ in range(chance.randrange(9)):
        installer, system = chance.choice(INSTALLERS), chance.choice(SYSTEMS)
        ci = True if chance.random() < 0.3 else None
        times = chance.choice((1, 7, 400, 12_345))
        arrives, vanishes = chance.choice((0, 0, 0, 0, 1, 2, 3)), chance.choice((10**9,) * 9 + (2,))
        # What arrives within settle_days is seen by the second reading.
        age = (known - day).days - 1
        if arrives <= age < vanishes or (arrives == 0 and age < vanishes):
            found[package, installer, system, ci] += times
    if chance.random() < 0.01:
        # A day that loses half of its rows.
        found = Counter(dict(list(found.items())[::2]))
    return dict(found)


@dataclass
class World:
    """What the log is at a moment, and how unwell BigQuery is."""

    seed: int
    chance: random.Random
    today: date = FIRST
    failing: float = 0.05
    failed: int = 0
    asked: set[tuple[str, date, date]] = field(default_factory=set)
    """Package, day, and on which day it was asked for."""

    def answer(self, given: Mapping[str, str]) -> list[Row]:
        first, end = date.fromisoformat(given["start"][:10]), date.fromisoformat(given["end"][:10])
        found: list[Row] = []
        for n in range((end - first).days):
            day = first + timedelta(n)
            self.asked.add((given["package"], day, self.today))
            rows = rows_of(self.seed, given["package"], day, self.today)
            found += [
                row(day, package, installer=installer, system=system, ci=ci, downloads=downloads)
                for (package, installer, system, ci), downloads in rows.items()
            ]
        return found

    def fail(self, service: Service, requests: int) -> None:
        """Script the next queries: each fails with a probability."""
        service.heal()
        for _ in range(requests):
            fails = self.chance.random() < self.failing
            self.failed += fails
            service.script("insert", job(reason="resourcesExceeded", message="scripted") if fails else Answer())


Claims = dict[date, dict[str, date]]
"""Of each day, on which day each package was last read."""


@dataclass(frozen=True)
class Told:
    """What a badge's window should say."""

    first_day: str
    as_of: str
    raw: int
    honest: int
    by_installer: Mapping[str, int | None]
    by_system: Mapping[str, int | None]


class Oracle:
    """Counts rows one by one. Knows the rules from the README, and nothing of the code."""

    ALLOWED = ("pip", "pipenv", "pipx", "uv", "poetry", "pdm")

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def tell(self, members: Sequence[str], days: int, newest: date, claims: Claims) -> Told | None:
        """Return what is to be said of the newest window of which every day was read of every member."""
        end = newest
        while end >= FIRST - timedelta(days=40):
            wanted = [end - timedelta(days=n) for n in range(days)]
            gap = next((d for d in wanted if not all(m in claims.get(d, {}) for m in members)), None)
            if gap is None:
                return self.count(members, wanted, claims)
            end = gap - timedelta(days=1)
        return None

    def count(self, members: Sequence[str], days: Sequence[date], claims: Claims) -> Told:
        raw = honest = 0
        installers = dict.fromkeys(self.ALLOWED, 0)
        systems = {"Linux": 0, "Darwin": 0, "Windows": 0}
        for day in days:
            for member in members:
                for (_, installer, system, ci), n in rows_of(self.seed, member, day, claims[day][member]).items():
                    raw += n
                    if ci is True or installer not in self.ALLOWED:
                        continue
                    honest += n
                    installers[str(installer)] += n
                    if system in systems:
                        systems[str(system)] += n
        return Told(str(min(days)), str(max(days)), raw, honest, installers, systems)

    @staticmethod
    def message(told: Told, today: date, stale_after: int = 3) -> str:
        """Return what a badge says: 999, 1k, 1.2k, 1M; with its day once it is stale."""
        n = told.honest
        number = str(n) if n < 1000 else f"{n / 1000:.1f}k" if n < 999_950 else f"{n / 1_000_000:.1f}M"
        number = number.replace(".0", "")
        late = (today - date.fromisoformat(told.as_of)).days > stale_after
        return f"{number} to {told.as_of}" if late else number


def entries(chance: random.Random, packages: Mapping[str, list[int]]) -> dict[str, object]:
    return {
        "source": {"kind": "bigquery", "settle_days": SETTLE_DAYS, "parallel": 4},
        "start_date": date(2024, 12, 1),
        "packages": [{"name": name, "window_days": days} for name, days in packages.items()],
        "defaults": {"badges": ["downloads", "installer-uv"]},
        "groups": [{"name": "some", "packages": sorted(packages)[:3], "window_days": 7}],
    }


@dataclass(frozen=True)
class Moving(Clock):
    """A clock that is put forward by hand."""

    moments: list[datetime] = field(default_factory=list)

    def now(self) -> datetime:
        return self.moments[-1]


@dataclass
class Year:
    """An installation on its way through the year."""

    folder: Path
    service: Service
    world: World
    instance: dg.DagsterInstance
    packages: dict[str, list[int]]
    cursor: Any = None
    gaps_cursor: str | None = None
    now: datetime = datetime(2025, 1, 1, tzinfo=UTC)
    counts: Counter[str] = field(default_factory=Counter)
    expected: dict[tuple[str, int], list[Told | None]] = field(default_factory=dict)
    """Of each window, what may be published: what was told last, and before that where its run was cut off."""
    today: list[str] = field(default_factory=list)
    """What was run today."""
    cut_off: set[str] = field(default_factory=set)
    """Of which packages and groups the run that was to publish them last was killed."""
    winnow: Installation = None  # type: ignore[assignment]
    definitions: dg.Definitions = None  # type: ignore[assignment]

    def configure(self) -> None:
        """Write the config, and load it as Dagster does after Reload."""
        content = entries(self.world.chance, self.packages)
        (self.folder / "winnow.yaml").write_text(json.dumps(content, default=str).replace('"2024-12-01"', "2024-12-01"))
        self.winnow = installation(self.folder, self.now)
        self.definitions = build_without_checks(self.winnow)

    def at(self, now: datetime) -> None:
        """Let it be now."""
        self.now = now
        self.world.today = now.date()
        assert isinstance(self.winnow.clock, Moving)
        self.winnow.clock.moments[:] = [now]

    def execute(self, assets: Sequence[str] | None, tags: Mapping[str, str], config: Mapping[str, Any]) -> None:
        """Run what was requested, in a process of its own that is killed now and then."""
        self.counts["runs"] += 1
        self.today.append(f"{self.now:%H:%M} {assets} {list(tags.values())}")
        self.world.fail(self.service, 200)
        if self.world.failing and self.world.chance.random() < KILLED:
            died = self.kill(assets, dict(tags), dict(config))
            self.counts["killed"] += died
            self.today[-1] += " killed" if died else " in a process of its own"
            return
        execute(self.definitions, self.instance, assets, tags, config)

    def kill(self, assets: Sequence[str] | None, tags: dict[str, str], config: dict[str, Any]) -> bool:
        child = FORKING.Process(target=execute_in, args=(self.folder, self.now, assets, tags, config))
        child.start()
        child.join(self.world.chance.uniform(0.2, 2))
        died = child.exitcode is None
        if died:
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode in {0, -signal.SIGKILL}, f"a run ended with {child.exitcode}"
        return died

    def claims(self) -> Claims:
        """Return what the store claims to have read, each checked against what was asked for."""
        found: Claims = {}
        for day in self.winnow.raw.stored_days():
            coverage = self.winnow.raw.coverage(day)
            honest = self.winnow.honest.coverage(day)
            if coverage is None or honest is None:
                continue
            for selector, at in honest.read.items():
                assert (str(selector), day, at.date()) in self.world.asked, f"{selector} was never read on {day}"
                found.setdefault(day, {})[str(selector)] = at.date()
        return found

    def schedule(self) -> None:
        """Do what the daily schedule asks for."""
        (daily,) = [a for a in self.definitions.schedules or () if a.name == "winnow_daily"]
        requests = daily(dg.build_schedule_context(scheduled_execution_time=self.now))  # type: ignore[operator]
        assert isinstance(requests, Iterator)
        for request in requests:
            assert isinstance(request, dg.RunRequest)
            assert request.partition_key
            days = {RANGE_START: request.partition_key, RANGE_END: request.partition_key}
            self.execute(["raw_downloads", "honest_downloads"], days, {})

    def sense(self) -> None:
        """Do what the sensor for gaps asks for."""
        (gaps,) = [a for a in self.definitions.sensors or () if a.name == "winnow_fill_gaps"]
        data = gaps.evaluate_tick(dg.build_sensor_context(self.instance, cursor=self.gaps_cursor))
        self.gaps_cursor = data.cursor
        for request in data.run_requests or ():
            self.execute(["raw_downloads", "honest_downloads"], request.tags, dict(request.run_config))

    def settle(self, ticks: int) -> None:
        """Do what the automation conditions ask for, tick after tick, until so many ask for nothing."""
        quiet = 0
        while quiet < ticks:
            self.at(self.now + TEN_MINUTES)
            OwnRuns(self.instance, self.winnow.ownership.site).close_dead()
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Parameter `include_sources`", category=dg.BetaWarning)
                result = dg.evaluate_automation_conditions(
                    self.definitions, self.instance, cursor=self.cursor, evaluation_time=self.now
                )
            self.cursor = result.cursor
            asked = {
                name: keys
                for name in ("pypi_file_downloads", "badges", "index")
                if (keys := result.get_requested_partitions(dg.AssetKey(name)))
            }
            quiet = 0 if asked else quiet + 1
            for name, keys in asked.items():
                if name == "badges":
                    self.publish([str(key) for key in keys])
                else:
                    self.execute([name], {}, {})

    def publish(self, keys: Sequence[str]) -> None:
        """Run the badges of these partitions, and tell what has to be published then."""
        oracle, claims = Oracle(self.world.seed), self.claims()
        killed, order = self.counts["killed"], list(map(str, self.winnow.settings.published_windows))
        at = sorted(order.index(key) for key in keys)
        for first, last in spans_of(at):
            self.execute(["badges"], {RANGE_START: order[first], RANGE_END: order[last]}, {})
        was_killed = self.counts["killed"] > killed
        self.cut_off = self.cut_off | set(keys) if was_killed else self.cut_off - set(keys)
        for which, lengths in self.winnow.settings.published_windows.items():
            for days in lengths if str(which) in keys else ():
                members = [str(m) for m in which.members] if hasattr(which, "members") else [str(which)]
                told = oracle.tell(members, days, self.winnow.clock.through, claims)
                before = self.expected.get((str(which), days), [None])
                if told and not (before[-1] and told.as_of < before[-1].as_of):
                    self.expected[str(which), days] = [*before, told] if was_killed else [told]

    def check(self) -> None:
        """Hold every badge of every configured package and group against the oracle."""
        for which, lengths in self.winnow.settings.published_windows.items():
            record = self.winnow.web.read(str(which))
            is_cut_off = str(which) in self.cut_off
            assert record or is_cut_off, f"{self.now}: {which} has no badge"
            for window in record.windows if record else ():
                assert window.days in lengths or is_cut_off, f"{self.now}: {which} {window.days}d; {self.today}"
                expected = self.expected.get((str(which), window.days), [None])
                found = window.counts and Told(
                    str(window.counts.window.first_day), str(window.counts.window.as_of), window.counts.raw,
                    window.counts.honest, window.counts.by(INSTALLER), window.counts.by(SYSTEM),
                )  # fmt: skip
                place = f"seed {self.world.seed}, {self.now}, {which} {window.days}d"
                assert found in expected, f"{place}: {found}, not {expected}"
                self.message(str(which), window.days, found, place)
                self.counts["badges"] += 1
                # Never backwards: what comes before is no longer allowed.
                self.expected[str(which), window.days] = expected[expected.index(found) :]

    def message(self, folder: str, days: int, found: Told | None, place: str) -> None:
        badge = self.folder / "public" / folder / f"downloads-{days}d-non-ci"
        message = json.loads(badge.with_suffix(".json").read_bytes())["message"]
        if found is None:
            assert message.startswith("collecting "), f"{place}: {message}"
            return
        allowed = {Oracle.message(found, self.now.date())}
        if folder in self.cut_off:
            # As it was when somebody last came to publish it.
            allowed.add(Oracle.message(found, date.fromisoformat(found.as_of) + timedelta(days=1)))
        assert message in allowed, f"{place}: {message}, not {allowed}; today {self.today}"
        assert message in badge.with_suffix(".svg").read_text(), place


def installation(folder: Path, now: datetime) -> Installation:
    settings = load_settings(folder / "winnow.yaml")
    return Installation(settings, Moving(moments=[now]), waits=False)


def build_without_checks(winnow: Installation) -> dg.Definitions:
    """Return the definitions of an installation. The oracle is the check."""
    with mock.patch.object(building, "make_checks", return_value=[]):
        return building.build(winnow)


def execute(
    loaded: dg.Definitions, instance: dg.DagsterInstance, assets: Sequence[str] | None, tags: Mapping[str, str],
    config: Mapping[str, Any],
) -> None:  # fmt: skip
    """Execute assets as one run."""
    chosen = [dg.AssetKey(name) for name in assets or ()]
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    job = loaded.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance, asset_selection=chosen, tags=dict(tags), run_config={**config, **quiet}, raise_on_error=False
    )
    reads_days = "raw_downloads" in (assets or ())
    assert result.success or reads_days, [str(e.event_specific_data)[:600] for e in result.all_events if e.is_failure]


def execute_in(
    folder: Path, now: datetime, assets: Sequence[str] | None, tags: dict[str, str], config: dict[str, Any]
) -> None:
    """Do the same, as this process, which may be killed."""
    winnow = installation(folder, now)
    with open_instance(winnow.settings) as instance:
        execute(build_without_checks(winnow), instance, assets, tags, config)


def spans_of(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Split ascending numbers into spans without a gap, first and last of each."""
    first = previous = None
    for number in numbers:
        if first is not None and previous is not None and number != previous + 1:
            yield first, previous
            first = None
        first, previous = number if first is None else first, number
    if first is not None and previous is not None:
        yield first, previous


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def events(folder: Path) -> int:
    """Return the number of rows in the event log."""
    found = 0
    for path in (folder / "data" / "dagster").rglob("*.db"):
        with closing(sqlite3.connect(path)) as connection:
            tables = [
                name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE name = 'event_logs'")
            ]
            for table in tables:
                found += connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
    return found


def change(year: Year) -> None:
    """Add a package, remove one, or change the windows of one."""
    chance, names = year.world.chance, list(year.packages)
    what = chance.choice(("add", "remove", "windows"))
    year.counts[what] += 1
    if what == "add":
        year.packages[f"new-{year.counts['add']}"] = [chance.choice((7, 30))]
    elif what == "remove" and len(names) > PACKAGES - 4:
        del year.packages[names[chance.randrange(3, len(names))]]
    else:
        year.packages[chance.choice(names)] = chance.choice(([7], [30], [7, 30], [30, 90]))


def run(times: int, seed: int, packages: int = PACKAGES) -> Iterator[str]:
    """Live `times` days; yield what happened. Raises AssertionError at the first badge that is wrong."""
    FORKING.set_forkserver_preload(["tests.faults.year", "winnow_dagster.sources.bigquery.source"])
    world = World(seed, random.Random(seed))
    shared = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(prefix="winnow-year-", dir=shared if shared.is_dir() else None) as parent,
        fake() as service,
        mock.patch.dict(os.environ, {"BIGQUERY_EMULATOR_HOST": service.url}),
        # By the clock of the year, these minutes are over when the next tick comes.
        mock.patch.object(runs, "TIME_TO_SUBMIT", timedelta(0)),
    ):
        folder = Path(parent)
        service.rows_for = world.answer
        named = {f"package-{n:02}": [[30], [7], [7, 30]][n % 3] for n in range(packages)}
        year = Year(folder, service, world, None, named)  # type: ignore[arg-type]
        year.configure()
        with open_instance(year.winnow.settings) as instance:
            year.instance = instance
            yield from live(year, times)


def live(year: Year, times: int) -> Iterator[str]:
    chance, world, off = year.world.chance, year.world, 0
    began: dict[date, datetime] = {}
    grown: dict[int, tuple[int, int, int]] = {}
    for n in range(times):
        day = FIRST + timedelta(n)
        began[day] = datetime.now(UTC)
        is_last = n >= times - SETTLE_DAYS - 2
        if is_last:
            world.failing, off = 0, 0
        if off or (chance.random() < 0.03 and not is_last and n > 2):
            off = off - 1 if off else chance.randrange(1, 6)
            year.counts["days off"] += 1
            continue
        live_through(year, day, may_change=n > 40 and not is_last)
        old = day - timedelta(days=year.winnow.settings.keep_runs_days)
        if old in began:
            OwnRuns(year.instance, year.winnow.ownership.site).purge_old_runs(began[old])
        if n + 1 in (times // 2, times):
            ledger = len(ledger_of(year.folder / "data").entries())
            grown[n + 1] = size(on_disk(year.winnow.settings.store_folder)), events(year.folder), ledger
        print(f"{datetime.now(UTC):%H:%M:%S} {day} {dict(year.counts)}", file=sys.stderr, flush=True)
    c = year.counts
    yield (
        f"{times} days, {c['days off']} of them off; {c['runs']} runs, {c['killed']} killed; {world.failed} failures "
        f"scripted; packages: {c['add']} added, {c['remove']} removed, {c['windows']} changed"
    )
    final = compare_with_rows(year, times)
    yield f"{c['badges']:,} badges equal to the oracle's; in the end {final:,} days of packages equal to the rows"
    for half, (store, log, ledger) in grown.items():
        yield f"after {half} days: store {store / 1e6:.2f} MB, event log {log:,} rows, ledger {ledger:,} queries"


def live_through(year: Year, day: date, *, may_change: bool) -> None:
    """Do what is to be done on a day, in the morning and in the evening; then look at every badge."""
    year.at(datetime.combine(day, TICK, tzinfo=UTC))
    year.today.clear()
    if may_change and year.world.chance.random() < 0.06:
        change(year)
        year.configure()
    year.schedule()
    year.sense()
    year.settle(2)
    year.at(datetime.combine(day, time(18, 21), tzinfo=UTC))
    year.sense()
    year.settle(1)
    year.check()


def compare_with_rows(year: Year, times: int) -> int:
    """Hold each settled day of each package's windows against its rows; return how many there are."""
    truth = {d: dict.fromkeys(year.packages, date.max) for d in (FIRST + timedelta(k) for k in range(-60, times - 1))}
    oracle, found = Oracle(year.world.seed), 0
    newest = year.winnow.clock.through - timedelta(days=SETTLE_DAYS)
    for which, lengths in year.winnow.settings.windows.items():
        for day in (newest - timedelta(days=k) for k in range(min(max(lengths), times))):
            told = oracle.count([str(which)], [day], truth)
            stored = year.winnow.honest.load([day]).counts.collect()
            mine = stored.filter((stored["package"] == str(which)) & (stored["category"] == "honest"))
            place = f"seed {year.world.seed}: {which} on {day}, read {year.claims()[day][str(which)]}"
            assert mine["downloads"].sum() == told.honest, place
            found += 1
    return found
