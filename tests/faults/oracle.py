"""Random sequences of what happens to rows, config, store and clock, against an oracle that recounts the rows.

Rows come late, days are short, are lost and come back; days are read again; packages, prefixes, groups, windows and `*`
come and go; files are damaged; the clock is ahead, and back. After each collect every published number, each history
and each reading of the source is held against the rules, which `oracle_rules` knows by other code. A sequence that
fails is cut down to the operations that it takes.
"""

from __future__ import annotations

import json
import logging
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg

from tests.conftest import FixedClock, on_disk
from tests.faults.oracle_rules import Config, Ledger, Stored
from tests.faults.oracle_site import check_site
from tests.faults.oracle_world import CHANGE, PACKAGES, World, WorldSource, covers
from tests.formats.old_store import as_before_the_change
from winnow_dagster import collect as collecting
from winnow_dagster.config.loading import load_settings
from winnow_dagster.defs.resources import Installation

DAY = timedelta(days=1)
START = date(2026, 6, 1)
ENTRIES = (*PACKAGES, "apple-*", "*")
LENGTHS = ([3], [7], [1, 9], [20, 3], [0, 5])
Op = tuple[Any, ...]


class WrongError(AssertionError):
    """What a sequence came upon."""


@dataclass
class Life:
    """One installation on its way through a sequence."""

    folder: Path
    instance: dg.DagsterInstance
    world: World
    config: Config
    ledger: Ledger = field(default_factory=Ledger)
    published: dict[str, Any] = field(default_factory=dict)
    """What was published last: the numbers of each folder and window, and the days of each history."""

    ahead: int = 0
    failing: set[str] = field(default_factory=set)
    is_damaged: bool = False

    @property
    def now(self) -> datetime:
        return datetime.combine(self.world.today + self.ahead * DAY, time(4), tzinfo=UTC)

    def settings(self) -> Any:
        entries: list[dict[str, object]] = [
            {"name": name, "window_days": _yaml(days)} for name, days in self.config.entries.items()
        ]
        for entry in entries:
            if entry["name"] == "*":
                entry["settle"] = True
        groups = [
            {"name": name, "packages": list(members), "window_days": _yaml(days)}
            for name, (members, days) in self.config.groups.items()
        ]
        content = {
            # The kind says nothing here: the source is given.
            "source": {"kind": "parquet", "path": "rows.parquet", "settle_days": self.config.settle_days},
            "packages": entries,
            **({"groups": groups} if groups else {}),
            "start_date": str(START),
        }
        path = self.folder / "winnow.yaml"
        # A day has no quotes in a config.
        path.write_text(json.dumps(content).replace(f'"{START}"', str(START)))
        return load_settings(path)

    def collect(self, refetch: tuple[date, date] | None = None) -> None:
        """Collect, after reading a range of days again if one is given, and hold all that follows against the rules."""
        settings = self.settings()
        clock = FixedClock(moment=self.now)
        source = WorldSource(world=self.world, failing=set(self.failing))

        def install(settings: Any, _clock: object, on_answer: Callable[[object], None], waits: bool) -> Installation:  # noqa: FBT001
            return Installation(settings, clock, on_answer, source, waits)

        with (
            mock.patch.object(collecting, "Installation", install),
            mock.patch.object(collecting, "open_instance", return_value=nullcontext(self.instance)),
        ):
            result = collecting.collect(settings, collecting.Scope(refetch=refetch), progress=_Silent())
        may = set() if refetch is None else {refetch[0] + n * DAY for n in range((refetch[1] - refetch[0]).days + 1)}
        problems = list(self.ledger.note(source.log, self.world, self.now, self.config, may))
        longest = max(self.config.longest().values())
        self.ledger.count(
            day
            for n in range(1, longest + 1)
            if (day := self.now.date() - n * DAY) >= START and day not in self.ledger.honest
        )
        if not self.failing:
            problems += self.ledger.lacks(self.now, self.config, START)
            short = self.ledger.short_days(self.now, self.config, START)
            if untold := [day for day in short if not any(str(day) in error for error in result.errors)]:
                problems.append(f"{untold} are short, and collect says nothing of them: {result.errors}")
        folder = on_disk(settings.output_dir)
        problems += check_site(
            folder, self.ledger, self.config, self.published, self.now, START, is_damaged=self.is_damaged
        )
        if problems:
            raise WrongError("\n".join(problems[:12]))


class _Silent:
    def begin(self, gaps: Sequence[object], rereads: object) -> None: ...

    def answered(self, answer: object) -> None: ...


def _yaml(days: Sequence[int]) -> list[object]:
    return [n or "all" for n in days]


def do(life: Life, op: Op) -> None:
    """Do one operation, and collect."""
    name, *given = op
    life.ahead, life.failing = 0, set()
    refetch = None
    newest = life.world.today - DAY
    if name == "pass":
        life.world.today += given[0] * DAY
    elif name == "late":
        day = newest - given[0] * DAY
        life.world.late.setdefault(day, Counter())[given[1], ("pip", "Linux", None)] += given[2]
    elif name in {"lose", "mend"}:
        life.world.kept[newest - given[0] * DAY] = given[1] if name == "lose" else 1.0
    elif name == "refetch":
        refetch = max(newest - given[0] * DAY, START), newest - max(0, given[0] - given[1]) * DAY
    elif name in {"entry", "remove", "group", "ungroup"}:
        life.config = configure(life.config, op)
    elif name == "damage":
        damage(life, given[0], newest - given[1] * DAY)
    elif name == "ahead":
        life.ahead = given[0]
    elif name == "fail":
        life.failing = {given[0]}
    elif name == "old":
        age(life)
        life.failing = set(given[0])
    life.collect(refetch)


def configure(config: Config, op: Op) -> Config:
    """Return the config after an operation; as it was where that leaves nothing, or a group without a reader."""
    name, which, *given = op
    entries, groups = dict(config.entries), dict(config.groups)
    if name == "entry":
        # `all` has no meaning for `*`.
        entries[which] = [n for n in given[0] if n or which != "*"]
    elif name == "remove":
        entries.pop(which, None)
    elif name == "group":
        groups[which] = given[0], given[1]
    elif name == "ungroup":
        groups.pop(which, None)
    changed = Config(entries, groups, config.settle_days)
    groups = {g: (m, d) for g, (m, d) in groups.items() if all(changed.entry_of(member) for member in m)}
    return replace(changed, groups=groups) if entries and not redundant(entries) else config


def redundant(entries: Mapping[str, Sequence[int]]) -> set[str]:
    """Return the entries that a prefix with the same windows selects too: a config refuses them."""
    prefixes = [prefix for prefix in entries if prefix.endswith("-*")]
    return {
        entry
        for entry, days in entries.items()
        if any(entry != prefix and covers(prefix, entry) and list(entries[prefix]) == list(days) for prefix in prefixes)
    }


def damage(life: Life, what: str, day: date) -> None:
    """Damage a file, if it is there, and forget what was in it."""
    life.is_damaged = True
    settings = life.settings()
    store = on_disk(settings.store_folder)
    if what == "rows":
        path = store / "source_rows.json"
        life.ledger.rows.clear()
    else:
        path = store / f"{what}_downloads" / f"{day}.parquet"
        (life.ledger.raw if what == "raw" else life.ledger.honest).pop(day, None)
    if path.exists():
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] + b"?" + content[len(content) // 2 + 1 :])


def age(life: Life) -> None:
    """Make the store and the site what a release wrote that took every request for a download."""
    settings = life.settings()
    as_before_the_change(on_disk(settings.store_folder), on_disk(settings.output_dir))
    for layer in (life.ledger.raw, life.ledger.honest):
        for day, stored in layer.items():
            # Nor did it note how many rows the source had.
            reads = {selector: replace(read, rows=None, short=False) for selector, read in stored.read.items()}
            layer[day] = Stored(reads, stored.downloads, stored.legacy)
            if day <= CHANGE:
                layer[day] = Stored({}, stored.downloads, {*stored.read, *stored.legacy})
    life.ledger.rows.clear()
    for days in life.published.get("days", {}).values():
        for day, line in days.items():
            line |= {"definition": "requests" if day <= CHANGE else "files", "short": False}


def a_sequence(seed: int, length: int) -> tuple[Op, ...]:
    """Return a random sequence: how it begins, and then its operations."""
    chance = random.Random(seed)
    entries = {name: chance.choice(LENGTHS) for name in chance.sample(ENTRIES, chance.choice((1, 2, 3)))}
    begin = date(2026, 8, 10) + chance.randrange(60) * DAY
    ops: list[Op] = [("begin", str(begin), entries, chance.choice((0, 2, 3)), chance.random() < 0.8)]
    for _ in range(length):
        entry, ago = chance.choice(ENTRIES), chance.choice((0, 0, 1, 2, 3, 5, 9, 16))
        ops.append(
            chance.choice(
                [
                    ("pass", chance.choice((1, 1, 2, 5, 13))),
                    ("pass", chance.choice((1, 1, 3, 14))),
                    ("late", ago, chance.choice(PACKAGES), chance.choice((1, 50, 300))),
                    ("lose", ago, chance.choice((0, 0.01, 0.3, 0.44, 0.47, 0.6))),
                    ("lose", 0, chance.choice((0, 0.01, 0.3))),
                    ("mend", ago),
                    ("refetch", ago, chance.choice((0, 3))),
                    ("entry", entry, chance.choice(LENGTHS)),
                    ("entry", entry, chance.choice(LENGTHS)),
                    ("remove", entry),
                    ("group", chance.choice("xy"), chance.sample(("apple", "apple-*", "berry", "cherry"), 2), [7, 2]),
                    ("ungroup", chance.choice("xy")),
                    ("damage", chance.choice(("raw", "honest", "rows")), ago),
                    ("ahead", chance.choice((1, 2))),
                    ("fail", entry),
                    ("old", [] if chance.random() < 0.5 else [entry]),
                ]
            )
        )
    return tuple(ops)


def live(ops: Sequence[Op], seed: int) -> tuple[int, str]:
    """Live through a sequence; return after how many operations something was wrong, and what. 0: nothing was."""
    (_, begin, entries, settle_days, tells_rows), *rest = ops
    shared = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(prefix="winnow-oracle-", dir=shared if shared.is_dir() else None) as folder,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        world = World(seed, date.fromisoformat(begin), tells_rows)
        chosen = {e: [n for n in days if n or e != "*"] for e, days in entries.items() if e not in redundant(entries)}
        config = Config(chosen, {}, settle_days)
        life = Life(Path(folder), instance, world, config)
        logging.getLogger("dagster").setLevel(logging.CRITICAL)
        for at, op in enumerate([("pass", 0), *rest], start=1):
            # Without numbers of rows there are too few downloads for the rule that takes their place.
            is_too_much = op[0] == "lose" and not tells_rows
            try:
                do(life, (*op[:2], 0.6) if is_too_much else op)
            except WrongError as error:
                return at, str(error)
    return 0, ""


def shorten(ops: Sequence[Op], seed: int, at: int) -> tuple[Sequence[Op], str]:
    """Drop operations while the sequence still fails; return what is left, and what is wrong with it."""
    left, (_, why) = list(ops[:at]), live(ops[:at], seed)
    for index in reversed(range(1, len(left))):
        fewer = [*left[:index], *left[index + 1 :]]
        found, wrong = live(fewer, seed)
        if found:
            left, why = fewer[:found], wrong
    return left, why


def run(times: int, seed: int, length: int = 9) -> Iterator[str]:
    """Live through `times` sequences. Raises AssertionError at the first wrong number, with the shortest sequence."""
    done: Counter[str] = Counter()
    for number in range(times):
        ops = a_sequence(seed + number, length)
        at, _ = live(ops, seed + number)
        if at:
            left, why = shorten(ops, seed + number, at)
            lines = "\n".join(f"  {op}" for op in left)
            raise AssertionError(f"oracle=1 --seed {seed + number}:\n{lines}\n{why}")
        done.update(op[0] for op in ops[1:])
        print(f"{number + 1} of {times}", file=sys.stderr, flush=True)
    yield f"{times} sequences, {sum(done.values())} operations: {dict(sorted(done.items()))}"
    yield "all numbers are the oracle's"
