"""`winnow serve` as a process of its own."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SERVE = [sys.executable, "-m", "winnow_dagster.cli", "serve", "--port", "0"]


@contextmanager
def serving(folder: Path, command: Sequence[str] = SERVE) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Serve what is published in a folder; give the process, whose output can be read, and its port."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True) as server:
        try:
            assert server.stdout is not None
            port = re.search(r":(\d+)/", server.stdout.readline())
            assert port
            wait_until_listening(int(port[1]))
            yield server, int(port[1])
        finally:
            server.terminate()


def wait_until_listening(port: int) -> None:
    """Wait until connections are accepted: `winnow serve` prints its address just before that."""
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < end, "nothing listens after 30 seconds"
            time.sleep(0.01)
        else:
            return


def resident(pid: int) -> float:
    """Return the memory of a process and of its children, in MB."""
    found = Path(f"/proc/{pid}")
    status = (found / "status").read_text()
    own = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000  # type: ignore[index]
    return own + sum(map(resident, map(int, (found / "task" / str(pid) / "children").read_text().split())))
