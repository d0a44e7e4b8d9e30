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
from datetime import UTC, datetime, timedelta
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
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    killed = launched = reads = 0
    with tempfile.TemporaryDirectory(prefix="winnow-runs-") as parent:
        dev = make_dev(crash.make_folder(Path(parent), "dev"))
        # Nothing runs but what is launched here.
        dev.configure(**crash.CONFIG, schedule={"enabled": False})
        with dev.running():
            keys = dev.partitions("badges")
            work = (
                ((str(yesterday - timedelta(days=29)), str(yesterday)), ("raw_downloads", "honest_downloads")),
                ((keys[0], keys[-1]), ("badges", "index")),
            )
            for partitions, assets in work:
                finish(dev, dev.launch(partitions, *assets))
            after, expected = crash.published(dev.folder), crash.stored(dev.folder)
            patience = [12.0, 12.0]
            while killed < times:
                for folder in ("public", "data/sample"):
                    shutil.rmtree(dev.folder / folder, ignore_errors=True)
                (dev.folder / "public").mkdir()
                reader = crash.Reader(dev.folder / "public")
                for at, (partitions, assets) in enumerate(work):
                    launched += 1
                    killed += kill_after(dev, dev.launch(partitions, *assets), chance.uniform(0, patience[at]))
                    began = time.monotonic()
                    finish(dev, dev.launch(partitions, *assets))
                    patience[at] = time.monotonic() - began
                seen = reader.take()
                reader.stop()
                reads += seen.reads
                problems = [*crash.judge(seen, {}, after), *crash.left_behind(dev.folder)]
                assert not problems, f"seed {seed}, kill {killed}, {dev.folder}: {problems[:5]}"
                found = crash.published(dev.folder)
                assert found == after, f"seed {seed}, kill {killed}: {crash.differences(found, after)}"
                days = crash.stored(dev.folder)
                assert all(days[name].equals(expected[name]) for name in expected), f"seed {seed}, kill {killed}"
                print(f"{datetime.now(UTC):%H:%M:%S} {killed} killed", file=sys.stderr, flush=True)
    yield f"{killed} of {launched} runs killed; {reads:,} reads of published files; all as undisturbed in the end"


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
