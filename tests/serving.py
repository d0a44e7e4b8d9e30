"""`winnow serve` as a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVE = [sys.executable, "-m", "winnow_dagster.cli", "serve", "--port", "0"]


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Serve what is published in a folder; give the process, whose errors can be read, and its port."""
    pipe = subprocess.PIPE
    with subprocess.Popen(SERVE, cwd=folder, stdout=pipe, stderr=pipe, text=True) as server:
        try:
            assert server.stdout is not None
            port = re.search(r":(\d+)/", server.stdout.readline())
            assert port
            yield server, int(port[1])
        finally:
            server.terminate()


def resident(pid: int) -> float:
    """Return the memory of a process, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000  # type: ignore[index]
