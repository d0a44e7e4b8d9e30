"""A PostgreSQL server of its own for a test, on a free port of the loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

SERVER_USER = "postgres"
"""PostgreSQL refuses to run as root; its packages bring this user."""


@cache
def find_postgres() -> Path | None:
    """Return the folder of PostgreSQL's server programs; None where there are none."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    return max((path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None)


@contextmanager
def running_postgres() -> Iterator[dict[str, str]]:
    """Run a server in a temporary folder; give the variables that name an empty database."""
    with tempfile.TemporaryDirectory(prefix="winnow-postgres-") as folder:
        yield from _run_in(Path(folder))


def _run_in(folder: Path) -> Iterator[dict[str, str]]:
    programs = find_postgres()
    assert programs
    user = SERVER_USER if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def run(program: str, *arguments: str) -> None:
        subprocess.run([programs / program, *arguments], user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)

    data = str(folder / "data")
    run("initdb", "--pgdata", data, "--username", "winnow", "--auth", "trust", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    run("pg_ctl", "--pgdata", data, "--options", options, "--log", str(folder / "log"), "--wait", "start")
    try:
        yield {
            "WINNOW_POSTGRES_HOST": "127.0.0.1",
            "WINNOW_POSTGRES_PORT": str(port),
            "WINNOW_POSTGRES_USER": "winnow",
            "WINNOW_POSTGRES_PASSWORD": "not asked for",
            "WINNOW_POSTGRES_DB": "postgres",
        }
    finally:
        run("pg_ctl", "--pgdata", data, "--mode", "fast", "--wait", "stop")
