"""`dagster dev` as a process of its own in a folder of its own, driven through GraphQL as its UI does."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

ROOT = Path(__file__).parents[1]
TICKING = Path(__file__).with_name("ticking.py")
DEADLINE = 300.0

RELOAD = "mutation($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) { __typename } }"
RUNS = "{ runsOrError { ... on Runs { results { runId status jobName tags { key value } assetSelection { path } } } } }"
LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
BACKFILL = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
TERMINATE = "mutation($id: String!) { terminateRun(runId: $id) { __typename } }"
PARTITIONS = "query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode { partitionKeys } } }"
CHECKS = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  assetChecksOrError { ... on AssetChecks { checks {
    name executionForLatestMaterialization { evaluation { success description } } } } } } } }"""


@dataclass
class Dev:
    """A running `dagster dev` in `folder`."""

    folder: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    location: str = "winnow-dagster"
    """The code location whose runs `launch` starts."""

    command: tuple[str, ...] = ("dagster", "dev")
    deadline: float = DEADLINE

    def configure(self, **config: object) -> None:
        """Write winnow.yaml."""
        (self.folder / "winnow.yaml").write_text(json.dumps(config))

    def message(self, package: str, days: int = 30) -> str:
        """Return the message of a package's headline badge; '' while there is none."""
        try:
            badge = json.loads((self.folder / "public" / package / f"downloads-{days}d-non-ci.json").read_bytes())
        except FileNotFoundError:
            return ""
        text: str = badge["message"]
        return text

    def has_number(self, package: str, days: int = 30) -> bool:
        return self.message(package, days).removesuffix("k").replace(".", "").isdecimal()

    def wait(self, there: Callable[[], bool]) -> None:
        """Wait until what is awaited is there, looking whenever something was published or Dagster logged a line.

        Not at any change: to look is to read, which touches databases.
        """
        changed = threading.Event()
        end = time.monotonic() + self.deadline

        class Handler(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                if event.event_type in {"modified", "moved"} and (
                    "dev.log" in paths(event) or "/public/" in paths(event)
                ):
                    changed.set()

        observer = Observer()
        observer.schedule(Handler(), str(self.folder), recursive=True)
        observer.start()
        try:
            while not there():
                assert changed.wait(max(0.0, end - time.monotonic())), "\n".join(self.log().splitlines()[-40:])
                changed.clear()
        finally:
            observer.stop()
            observer.join()

    def log(self) -> str:
        return (self.folder / "dev.log").read_text(errors="replace")

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """Return what the webserver answers to a query."""
        content = {"query": query, "variables": variables}
        # It says that it serves a moment before it listens. `verify` would load all certificates for each question.
        with httpx.Client(transport=httpx.HTTPTransport(retries=6, verify=False), timeout=60) as client:
            answer = client.post(f"http://127.0.0.1:{self.port}/graphql", json=content).json()
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    def reload(self) -> None:
        """Press Reload."""
        self.ask(RELOAD, name=self.location)

    def runs(self) -> list[dict[str, Any]]:
        """Return all runs, newest first."""
        found: list[dict[str, Any]] = self.ask(RUNS)["runsOrError"]["results"]
        return found

    def status(self, run_id: str) -> str:
        return self.statuses().get(run_id, "")

    def statuses(self) -> dict[str, str]:
        """Return the status of each run by its id."""
        return {run["runId"]: run["status"] for run in self.runs()}

    def launch(
        self,
        partitions: tuple[str, str] | tuple[()],
        *assets: str,
        config: Mapping[str, object] | None = None,
        job: str = "__ASSET_JOB",
    ) -> str:
        """Materialise a range of partitions of some assets, or of all assets of a job, as one run; return its id."""
        names = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
        chosen = [{"path": asset.split("/")} for asset in assets]
        params = {
            "selector": {
                "repositoryLocationName": self.location,
                "repositoryName": "__repository__",
                "jobName": job,
                **({"assetSelection": chosen} if chosen else {}),
            },
            "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in zip(names, partitions, strict=False)]},
            "mode": "default",
            "runConfigData": config or {},
        }
        run_id: str = self.ask(LAUNCH, params=params)["launchRun"]["run"]["runId"]
        return run_id

    def backfill(self, assets: list[str], partitions: list[str]) -> str:
        """Launch a backfill; return its id."""
        params = {"assetSelection": [{"path": asset.split("/")} for asset in assets], "partitionNames": partitions}
        backfill_id: str = self.ask(BACKFILL, params=params)["launchPartitionBackfill"]["backfillId"]
        return backfill_id

    def runs_of(self, backfill_id: str) -> list[dict[str, Any]]:
        """Return the runs of a backfill."""
        tag = {"key": "dagster/backfill", "value": backfill_id}
        return [run for run in self.runs() if tag in run["tags"]]

    def terminate(self, run_id: str) -> None:
        self.ask(TERMINATE, id=run_id)

    def partitions(self, asset: str) -> list[str]:
        found: list[str] = self.ask(PARTITIONS, key={"path": asset.split("/")})["assetNodeOrError"]["partitionKeys"]
        return found

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run `dagster dev` meanwhile."""
        starts = self.log().count("Serving dagster-webserver") if (self.folder / "dev.log").exists() else 0
        given = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER", "WINNOW", "BIGQUERY"))}
        program, *arguments = self.command
        command = [str(Path(sys.executable).parent / program), *arguments, "--port", str(self.port)]
        with (self.folder / "dev.log").open("ab") as log, subprocess.Popen(
            command, cwd=self.folder, env={**given, **self.environment}, stdout=log, stderr=log, start_new_session=True,
            # A process in a shell's background ignores SIGINT, and so would this one.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - one thread
        ) as process:  # fmt: skip
            try:
                self.wait(lambda: self.log().count("Serving dagster-webserver") > starts)
                yield
            finally:
                os.killpg(process.pid, signal.SIGINT)


def paths(event: FileSystemEvent) -> str:
    return f"{event.src_path!s} {event.dest_path!s}"


def make_dev(folder: Path, instance: str = "dagster.yaml", *, ticks_often: bool = True) -> Dev:
    """Return a `dagster dev` to be in `folder`, with an instance of this repository.

    Its sensors tick every 5 seconds, or as often as the product's do.
    """
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    if ticks_often:
        name = workspace["load_from"][0]["python_module"]["location_name"]
        workspace["load_from"] = [{"python_file": {"relative_path": str(TICKING), "location_name": name}}]
    (folder / "workspace.yaml").write_text(yaml.safe_dump(workspace))
    shutil.copy(ROOT / instance, folder / "dagster.yaml")
    return Dev(folder, free_port())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
