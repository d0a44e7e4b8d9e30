"""kill -9 of `winnow collect` at random moments, while a reader polls every published file.

In rounds, each in a new folder: from nothing, then a day after the other. No published file is ever missing, empty, cut
off, or older than one that was seen; what is seen is, byte for byte, what an undisturbed installation had published
before or publishes now. After each kill one ordinary run ends with exactly that, and with nothing left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import multiprocessing as mp
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.files.errors import STAGED_PREFIX
from winnow_dagster.publishing.ownership import ID_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerProcess

FIRST = date(2026, 3, 1)
DAYS_A_ROUND = 15
AIMED = 0.4
"""The share of kills that wait until files are being replaced; chance alone seldom comes upon it."""

SITE_FILE = "_site.json"
CONFIG = {
    "packages": [
        {"name": "wheat", "window_days": [7, 30, "all"]},
        {"name": "Oat.Flakes", "window_days": [7]},
        {"name": "rye"},
        {"name": "*", "window_days": [7, 30]},
    ],
    "groups": [{"name": "bread", "packages": ["wheat", "rye"]}],
}

# Loaded once: each collect is a fork of it, and dies as a process does.
FORKING = mp.get_context("forkserver")
PRELOADED = ["winnow_dagster.collect", "winnow_dagster.report.result", "winnow_dagster.cli", "tests.faults.crash"]


def collect_in(folder: Path, through: date) -> None:
    """Run `winnow collect` in a folder, as this process."""
    from winnow_dagster.cli import main  # noqa: PLC0415 - in the child

    os.chdir(folder)
    with (folder / "collect.log").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    main(["collect", "--through", str(through)], standalone_mode=True)


def start(folder: Path, through: date) -> ForkServerProcess:
    process = FORKING.Process(target=collect_in, args=(folder, through))
    process.start()
    return process


def finish(folder: Path, through: date) -> float:
    """Run a collect to its end; return how many seconds it took."""
    began = time.monotonic()
    process = start(folder, through)
    process.join()
    log = (folder / "collect.log").read_text().splitlines()
    assert process.exitcode == 0, "\n".join(log[-30:])
    return time.monotonic() - began


def make_folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    (folder / "winnow.yaml").write_text(json.dumps(CONFIG))
    return folder


MOMENTS = {"_health.json": {"started", "finished"}, "breakdowns.json": {"read_until"}}
"""The keys of published files whose values are moments of the run."""


def told(path: Path, content: bytes) -> bytes:
    """Return what a published file tells: all of it, but for the moments of the run."""
    moments = MOMENTS.get(path.name)
    if not moments:
        return content
    return json.dumps({k: v for k, v in json.loads(content).items() if k not in moments}).encode()


def digest(path: Path, content: bytes) -> str:
    return sha256(told(path, content)).hexdigest()


def published(folder: Path) -> dict[str, str]:
    """Return the digest of each published file, by its path."""
    public = folder / "public"
    # Each folder has an id of its own.
    found = [path for path in public.rglob("*") if path.is_file() and path.name != SITE_FILE]
    return {str(path.relative_to(public)): digest(path, path.read_bytes()) for path in found}


def stored(folder: Path) -> dict[str, pl.DataFrame]:
    """Return the counts of each stored day, by its file."""
    data = folder / "data"
    return {str(path.relative_to(data)): pl.read_parquet(path) for path in sorted(data.rglob("*.parquet"))}


@dataclass
class Seen:
    """What a reader saw: of each file its versions in turn, and what was wrong with them."""

    versions: dict[str, list[str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    reads: int = 0


def read_on(public: Path, pipe: Connection) -> None:
    """Read every published file again and again; tell what was seen whenever asked, until the pipe is closed."""
    seen, last, moments = Seen(), dict[str, str](), [""]
    is_asked = False
    while True:
        for path in [*map(public.joinpath, last), *files_in(public)]:
            look(path, str(path.relative_to(public)), seen, last, moments)
        if is_asked:
            pipe.send(seen)
            seen, is_asked = Seen(), False
        elif pipe.poll():
            try:
                pipe.recv()
            except EOFError:
                return
            # Files that were read before the question may have changed since, so all are read once more.
            is_asked = True


def files_in(public: Path) -> Iterator[Path]:
    """Yield the files that a web server would serve; what is staged may be gone as soon as it is seen."""
    for parent, folders, files in os.walk(public):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent) / name for name in files if not name.startswith("."))


def look(path: Path, name: str, seen: Seen, last: dict[str, str], moments: list[str]) -> None:
    """Read one file, and note what is new or wrong of it."""
    try:
        content = path.read_bytes()
        seen.reads += 1
        version = digest(path, content)
        if not content:
            seen.wrong.append(f"{name} is empty")
        if path.name == "_health.json":
            moments.append(json.loads(content)["finished"])
            if moments[-1] < moments[-2]:
                seen.wrong.append(f"{name} went back from {moments[-2]} to {moments[-1]}")
    except FileNotFoundError:
        if name in last:
            seen.wrong.append(f"{name} is missing")
    except ValueError as error:
        seen.wrong.append(f"{name}: {error}")
    else:
        if last.get(name) != version:
            last[name] = version
            seen.versions.setdefault(name, []).append(version)


class PublishedReader:
    """A reader in a process of its own."""

    def __init__(self, public: Path) -> None:
        self._pipe, other = FORKING.Pipe()
        self._process = FORKING.Process(target=read_on, args=(public, other), daemon=True)
        self._process.start()
        other.close()

    def take(self) -> Seen:
        """Return what was seen since the last time."""
        self._pipe.send("what?")
        seen = self._pipe.recv()
        assert isinstance(seen, Seen)
        return seen

    def stop(self) -> None:
        self._pipe.close()
        self._process.join()


def undisturbed(days: int) -> Iterator[tuple[date, float, dict[str, str], dict[str, pl.DataFrame]]]:
    """Yield, of each day of a round, how long its collect takes, and what is published and stored then."""
    with tempfile.TemporaryDirectory(prefix="winnow-calm-") as parent:
        folder = make_folder(Path(parent), "calm")
        for n in range(days):
            through = FIRST + timedelta(n)
            seconds = finish(folder, through)
            yield through, seconds, published(folder), stored(folder)


def wait_for_publishing(folder: Path, process: ForkServerProcess) -> None:
    """Wait until a collect has begun to publish, or has ended."""
    while process.exitcode is None and not is_locked(folder / "data" / ".publishing.lock"):
        process.join(0.002)


def is_locked(path: Path) -> bool:
    """Tell whether another process holds a lock."""
    with contextlib.suppress(FileNotFoundError), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def judge(seen: Seen, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """Yield what was seen and should not have been: anything but a file's version before, and then the one after."""
    yield from seen.wrong
    for name, versions in seen.versions.items():
        if name == ID_NAME:
            # Each of the two installations has an id of its own.
            continue
        allowed = [v for v in (before.get(name), after.get(name)) if v]
        if name == SITE_FILE:
            # The id of a folder is random, and never changes.
            allowed = versions[:1]
        # A version that was there before the reader looked last is not seen anew.
        if versions not in (allowed, allowed[-1:], allowed[:1]):
            odd = len(set(versions) - set(allowed))
            yield f"{name}: was seen in {len(versions)} versions, of which {odd} are nobody's"


def left_behind(folder: Path) -> list[str]:
    """Return what should not be there after an ordinary run: staged files, and anything not published."""
    return [str(path) for path in folder.rglob(f"{STAGED_PREFIX}*")]


def run(times: int, seed: int, days: int = DAYS_A_ROUND) -> Iterator[str]:
    """Kill `times` collects, one after each of `days` days of a round; yield what was done.

    Raises AssertionError at the first thing that is not as it should be.
    """
    FORKING.set_forkserver_preload(PRELOADED)
    chance = random.Random(seed)
    killed = tried = reads = 0
    phases: dict[str, int] = {}
    calm = list(undisturbed(days))
    while killed < times:
        parent = Path(tempfile.mkdtemp(prefix="winnow-crash-"))
        shaken = make_folder(parent, "shaken")
        (shaken / "public").mkdir()
        reader, before = PublishedReader(shaken / "public"), dict[str, str]()
        for through, seconds, after, expected in calm:
            process = start(shaken, through)
            if chance.random() < AIMED:
                wait_for_publishing(shaken, process)
                process.join(chance.uniform(0, 0.5))
            else:
                process.join(chance.uniform(0, seconds))
            tried += 1
            if process.exitcode is None:
                assert process.pid is not None
                os.kill(process.pid, signal.SIGKILL)
                process.join()
                killed += 1
                phase = describe(shaken, before, after)
                phases[phase] = phases.get(phase, 0) + 1
            finish(shaken, through)
            seen = reader.take()
            reads += seen.reads
            problems = [*judge(seen, before, after), *left_behind(shaken)]
            assert not problems, f"seed {seed}, kill {killed}, {shaken}: {problems[:5]}"
            found = published(shaken)
            assert found == after, f"seed {seed}, kill {killed}, {shaken}: {differences(found, after)}"
            counts = stored(shaken)
            assert counts.keys() == expected.keys(), f"seed {seed}, kill {killed}: {shaken}"
            assert all(counts[name].equals(expected[name]) for name in counts), f"seed {seed}, kill {killed}: {shaken}"
            before = after
            print(f"{datetime.now(UTC):%H:%M:%S} {killed} killed", file=sys.stderr, flush=True)
            if killed >= times:
                break
        reader.stop()
        shutil.rmtree(parent)
    yield f"{killed} of {tried} collects killed ({', '.join(f'{n} {phase}' for phase, n in sorted(phases.items()))})"
    yield f"{reads:,} reads of published files: each whole, and of before or after; all as undisturbed in the end"


def describe(folder: Path, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return how far a run had come when it died."""
    found = published(folder)
    changed = sum(after[name] != before.get(name) for name in after)
    done = sum(found.get(name) == after[name] != before.get(name) for name in after)
    if 0 < done < changed:
        return "while publishing"
    return "before publishing" if done == 0 else "after publishing"


def differences(found: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    return [name for name in {*found, *expected} if found.get(name) != expected.get(name)][:10]
