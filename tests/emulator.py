"""A BigQuery emulator (`bqemulator`) in a process of its own, and `file_downloads` in it.

Needs no network and leaves nothing behind: home, scratch and working folder are one temporary folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery import SchemaField as Field

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PUBLIC_PROJECT: Final = "bigquery-public-data"
DATASET: Final = "pypi"
FILE_DOWNLOADS: Final = f"{PUBLIC_PROJECT}.{DATASET}.file_downloads"

EXTENSIONS: Final = ("spatial", "avro", "icu")
"""The DuckDB extensions that the emulator loads; each comes in a package duckdb_extension_NAME."""

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.02


def _texts(*names: str) -> list[Field]:
    return [Field(name, "STRING") for name in names]


SCHEMA: Final = [
    Field("timestamp", "TIMESTAMP"),
    *_texts("country_code", "url", "project"),
    Field("file", "RECORD", fields=_texts("filename", "project", "version", "type")),
    Field(
        "details",
        "RECORD",
        fields=[
            Field(
                "installer", "RECORD", fields=[*_texts("name", "version"), Field("subcommand", "STRING", "REPEATED")]
            ),
            *_texts("python"),
            Field("implementation", "RECORD", fields=_texts("name", "version")),
            Field(
                "distro",
                "RECORD",
                fields=[
                    *_texts("name", "version", "id"),
                    Field("libc", "RECORD", fields=_texts("lib", "version")),
                ],
            ),
            Field("system", "RECORD", fields=_texts("name", "release")),
            *_texts("cpu", "openssl_version", "setuptools_version", "rustc_version"),
            Field("ci", "BOOLEAN"),
        ],
    ),
    *_texts("tls_protocol", "tls_cipher"),
]
"""The schema of `file_downloads`."""


@contextmanager
def emulator() -> Iterator[str]:
    """Run an emulator that keeps all in memory; yield its address, for BIGQUERY_EMULATOR_HOST."""
    with tempfile.TemporaryDirectory(prefix="bqemulator-") as name:
        home = Path(name)
        _lay_out_extensions(home)
        command = [sys.executable, "-m", "bqemulator", "start", "--ephemeral", "--no-admin"]
        ports = ["--rest-host", "127.0.0.1", "--rest-port", "0", "--grpc-host", "127.0.0.1", "--grpc-port", "0"]
        kept = {k: v for k, v in os.environ.items() if not k.upper().startswith("BQEMU_")}
        log = home / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*command, *ports, "--log-format", "json", "--log-level", "info"],
                cwd=home,
                env={**kept, "HOME": name, "TMPDIR": name},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        try:
            yield _await_ready(process, log)
        finally:
            _stop(process)


def client(host: str, project: str = "winnow-test") -> bigquery.Client:
    """Return a client of the emulator whose jobs run in `project`. It needs no credentials."""
    return bigquery.Client(
        project=project,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": host},
    )


def create_file_downloads(bq: bigquery.Client, name: str = FILE_DOWNLOADS) -> None:
    """Create a table, empty, with the layout that the public one has."""
    bq.create_dataset(bigquery.Dataset(name.rpartition(".")[0]), exists_ok=True)
    table = bigquery.Table(name, schema=SCHEMA)
    table.time_partitioning = bigquery.TimePartitioning(type_=bigquery.TimePartitioningType.DAY, field="timestamp")
    table.clustering_fields = ["project"]
    bq.create_table(table)


def insert_downloads(bq: bigquery.Client, rows: Sequence[Mapping[str, Any]], name: str = FILE_DOWNLOADS) -> None:
    """Add downloads; a field that a row lacks is NULL, a timestamp is ISO 8601 text."""
    errors = bq.insert_rows_json(name, [dict(row) for row in rows])
    if errors:
        problem = f"the emulator refused rows: {errors}"
        raise ValueError(problem)


def _lay_out_extensions(home: Path) -> None:
    """Put the extensions where DuckDB looks for installed ones, so that it downloads none."""
    row = duckdb.sql("PRAGMA platform").fetchone()
    assert row is not None
    version = f"v{duckdb.__version__}"
    folder = home / ".duckdb" / "extensions" / version / str(row[0])
    folder.mkdir(parents=True)
    for name in EXTENSIONS:
        file = f"{name}.duckdb_extension"
        (folder / file).symlink_to(Path(str(files(f"duckdb_extension_{name}"))) / "extensions" / version / file)


def _await_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    """Return the emulator's address once it answers. It picks its port itself and tells it in its log."""
    deadline = time.monotonic() + START_SECONDS
    host: str | None = None
    while time.monotonic() < deadline and process.poll() is None:
        host = host or _address(log)
        if host is not None and _is_ready(host):
            return host
        time.sleep(POLL_SECONDS)
    problem = f"bqemulator did not start (exit code {process.poll()}):\n{log.read_text(errors='replace')}"
    raise RuntimeError(problem)


def _address(log: Path) -> str | None:
    for line in log.read_text(errors="replace").splitlines():
        if '"rest.listen"' in line:
            try:
                return f"http://127.0.0.1:{json.loads(line)['port']}"
            except ValueError:  # half a line so far
                return None
    return None


def _is_ready(host: str) -> bool:
    try:
        with urllib.request.urlopen(f"{host}/readyz", timeout=POLL_SECONDS * 100) as answer:
            return bool(answer.status == 200)
    except OSError:  # not yet listening, or (HTTPError) not yet ready
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
