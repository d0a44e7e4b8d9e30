"""`dagster dev` as a process: from nothing to badges without a click, and a package more after a reload."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

ROOT = Path(__file__).parents[1]
DEADLINE = 300.0


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
        return number


@pytest.fixture
def dev(tmp_path: Path, port: int) -> Iterator[Path]:
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER", "WINNOW"))}
    command = [str(Path(sys.executable).parent / "dagster"), "dev", "--port", str(port)]
    log = (tmp_path / "dev.log").open("wb")
    with log, subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True,
        # A process in a shell's background ignores SIGINT, and so would this one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - one thread here
    ) as process:  # fmt: skip
        yield tmp_path
        os.killpg(process.pid, signal.SIGINT)


def await_files(folder: Path, there: Callable[[], bool]) -> None:
    """Wait for changes of files below `folder` until what is awaited is there."""
    changed = threading.Event()

    class Handler(FileSystemEventHandler):
        def on_any_event(self, event: FileSystemEvent) -> None:  # noqa: ARG002 - any
            changed.set()

    observer = Observer()
    observer.schedule(Handler(), str(folder), recursive=True)
    observer.start()
    try:
        while not there():
            assert changed.wait(DEADLINE), (folder / "dev.log").read_text()[-3000:]
            changed.clear()
    finally:
        observer.stop()
        observer.join()


def message(folder: Path, package: str, days: int) -> str:
    try:
        badge = json.loads((folder / "public" / package / f"downloads-{days}d-non-ci.json").read_bytes())
    except FileNotFoundError:
        return ""
    text: str = badge["message"]
    return text


def ask(port: int, query: str) -> dict[str, Any]:
    answer = httpx.post(f"http://127.0.0.1:{port}/graphql", json={"query": query}, timeout=60)
    data: dict[str, Any] = answer.json()["data"]
    return data


def test_badges_come_without_a_click_and_a_package_that_is_added_follows(dev: Path, port: int) -> None:
    samples = ("sample-barley", "sample-oat", "sample-rye", "sample-wheat")

    def has_number(package: str, days: int) -> bool:
        return message(dev, package, days).removesuffix("k").replace(".", "").isdecimal()

    def is_idle(wanted: int) -> bool:
        runs = ask(port, "{runsOrError{... on Runs{results{status}}}}")["runsOrError"]["results"]
        return len(runs) >= wanted and all(run["status"] == "SUCCESS" for run in runs)

    await_files(dev, lambda: all(has_number(name, 30) for name in samples) and (dev / "public/index.html").exists())
    await_files(dev, lambda: is_idle(3))
    packages = [{"name": name} for name in samples] + [{"name": "new-one", "window_days": 7}]
    (dev / "winnow.yaml").write_text(json.dumps({"packages": packages}))
    ask(port, 'mutation{reloadRepositoryLocation(repositoryLocationName:"winnow-dagster"){__typename}}')
    await_files(dev, lambda: has_number("new-one", 7))
    assert message(dev, "sample-oat", 30) != ""
