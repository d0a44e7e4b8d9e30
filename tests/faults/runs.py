"""kill -9 of runs that a real `dagster dev` launched, at random moments, while a reader polls every published file.

Each time from nothing: a run that reads thirty days is killed, then one that publishes all badges. After each, one
ordinary run; in the end all is published and stored as in an undisturbed installation.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tests.dagster_dev import Dev, make_dev
from tests.faults import crash

if TYPE_CHECKING:
    from collections.abc import Iterator

OVER = {"SUCCESS", "FAILURE", "CANCELED"}


def run(times: int, seed: int) -> Iterator[str]:
    """Kill `times` runs; yield what was done. Raises AssertionError at the first thing that is not as it should be."""
    crash.FORKING.set_forkserver_preload(crash.PRELOADED)
    chance = random.Random(seed)
    killed = launched = reads = 0
    with tempfile.TemporaryDirectory(prefix="winnow-runs-") as parent:
        dev = make_dev(crash.make_folder(Path(parent), "dev"))
        # Nothing runs but what is launched here.
        dev.configure(**crash.CONFIG, schedule={"enabled": False})
        with dev.running():
            undisturbed = Undisturbed(dev)
            patience = [12.0, 12.0]
            while killed < times:
                undisturbed.clear()
                reader, hit = crash.PublishedReader(dev.folder / "public"), 0
                for at, (partitions, assets) in enumerate(undisturbed.work):
                    launched += 1
                    hit += kill_after(dev, dev.launch(partitions, *assets), chance.uniform(0, patience[at]))
                    began = time.monotonic()
                    finish(dev, dev.launch(partitions, *assets))
                    patience[at] = time.monotonic() - began
                seen = reader.take()
                reader.stop()
                if yesterday() != undisturbed.day:
                    # What was published before midnight and what was after it are both right, and not the same.
                    undisturbed = Undisturbed(dev)
                    continue
                killed, reads = killed + hit, reads + seen.reads
                problems = [*crash.judge(seen, {}, undisturbed.files), *crash.left_behind(dev.folder)]
                assert not problems, f"seed {seed}, kill {killed}, {dev.folder}: {problems[:5]}"
                found, days = crash.published(dev.folder), crash.stored(dev.folder)
                assert found == undisturbed.files, (
                    f"seed {seed}, kill {killed}: {crash.differences(found, undisturbed.files)}"
                )
                for name, counts in undisturbed.days.items():
                    assert days[name].equals(counts), f"seed {seed}, kill {killed}: {name}"
                print(f"{datetime.now(UTC):%H:%M:%S} {killed} killed", file=sys.stderr, flush=True)
    yield f"{killed} of {launched} runs killed; {reads:,} reads of published files; all as undisturbed in the end"


def yesterday() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


class Undisturbed:
    """What runs that nothing disturbs publish and store, up to the day before that on which they ran."""

    def __init__(self, dev: Dev) -> None:
        self._dev = dev
        # In case it becomes midnight meanwhile.
        while True:
            self.day, keys = yesterday(), dev.partitions("badges")
            self.work = (
                ((str(self.day - timedelta(days=29)), str(self.day)), ("raw_downloads", "honest_downloads")),
                ((keys[0], keys[-1]), ("badges", "index")),
            )
            self.clear()
            for partitions, assets in self.work:
                finish(dev, dev.launch(partitions, *assets))
            self.files, self.days = crash.published(dev.folder), crash.stored(dev.folder)
            if self.day == yesterday():
                break

    def clear(self) -> None:
        """Remove all that was published and stored."""
        for folder in ("public", "data/sample"):
            shutil.rmtree(self._dev.folder / folder, ignore_errors=True)
        (self._dev.folder / "public").mkdir()


def kill_after(dev: Dev, run_id: str, seconds: float) -> bool:
    """Kill the process of a run after so many seconds; tell whether it was still at work."""
    time.sleep(seconds)  # The moment is the fault.
    pids = processes_of(run_id)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not pids:
        # It has ended, or has not begun: then it must not come in the way.
        dev.wait(lambda: bool(processes_of(run_id)) or dev.status(run_id) in OVER)
        return bool(processes_of(run_id)) and kill_after(dev, run_id, 0)
    return True


def processes_of(run_id: str) -> list[int]:
    """Return the processes whose command line names a run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if run_id.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def finish(dev: Dev, run_id: str) -> None:
    dev.wait(lambda: dev.status(run_id) in OVER)
    assert dev.status(run_id) == "SUCCESS", dev.log()[-3000:]
