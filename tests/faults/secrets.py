"""Failing runs of every kind, with a key in a file and one in the environment: whatever goes wrong, the key is nowhere.

Searched for in what the commands print, in every file that they leave (Dagster's databases and logs among them), and in
what is published.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fake_bigquery import Answer, encoded, fake, hang, incomplete, job, plain, refused, reset
from tests.rows import row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.fake_bigquery import Service

WEBHOOK = "https://hooks.example.com/T0P-SECRET"
# The real client with a real key, led to the pretended service: an emulator's address would do without the key.
COLLECT = """
import sys
from google.cloud.bigquery import client
from winnow_dagster.cli import main
url, sys.argv[1:] = sys.argv[1], ["collect", "--through", "2025-06-30", "-v"]
client._get_bigquery_host = lambda: url
main()
"""

PATIENCE_SECONDS = 600
"""How long a run may take on a machine that is busy with others; only one that hangs takes longer."""

RUN_KINDS: dict[str, dict[str, list[Answer]]] = {
    "all well": {},
    "token refused": {"token": [refused(400, "invalid_grant", "Invalid JWT Signature.")] * 9},
    "access denied": {"insert": [refused(403, "accessDenied", "no bigquery.jobs.create")] * 9},
    "bad query": {"insert": [refused(400, "invalidQuery", "no such column")] * 9},
    "not JSON": {"insert": [plain(403, "<html>proxy</html>")] * 9},
    "job fails": {"insert": [job(reason="resourcesExceeded")] * 9},
    "table gone": {"table": [refused(404, "notFound", "Not found: Table")] * 9},
    "reset": {"insert": [reset()] * 2},
    "never done": {"results": [incomplete()] * 2},
    "interrupted": {"insert": [hang()]},
    "killed": {"token": [hang()]},
}


def needles(key: Mapping[str, str]) -> list[bytes]:
    """Return what would give a key away: each line of it, its id, and both in base64."""
    lines = [line for line in key["private_key"].splitlines() if not line.startswith("-----")]
    whole = base64.b64encode(json.dumps(dict(key)).encode()).decode()
    return [text.encode() for text in (*lines, whole[200:260], WEBHOOK.rpartition("/")[2])]


def run(times: int, seed: int) -> Iterator[str]:
    """Run every kind `times` times; yield how much was searched. Raises AssertionError where a key is found."""
    del seed  # There is nothing of chance in it.
    searched = files = 0
    for _ in range(times):
        for kind, scripts in RUN_KINDS.items():
            for where in ("file", "environment"):
                with fake() as service, tempfile.TemporaryDirectory(prefix="winnow-secrets-") as name:
                    bulk, count = fail(Path(name), service, kind, scripts, where)
                    searched, files = searched + bulk, files + count
    yield f"{len(RUN_KINDS)} kinds of runs, key in a file and in a variable: {files} files, {searched / 1e6:.1f} MB"


def fail(folder: Path, service: Service, kind: str, scripts: Mapping[str, list[Answer]], where: str) -> tuple[int, int]:
    key = service.key()
    service.rows_for = lambda given: [row(date(2025, 6, 30), given["package"], downloads=7)]
    secret = needles(key)
    assert key["private_key"].encode().splitlines()[3] in b"\n".join(secret)
    (folder / "key.json").write_text(json.dumps(key))
    source = {"kind": "bigquery", "deadline_seconds": 5} | ({"credential_file": "key.json"} if where == "file" else {})
    config = {"source": source, "packages": [{"name": "a", "window_days": 3}], "alerts": {"webhook": WEBHOOK}}
    (folder / "winnow.yaml").write_text(json.dumps(config))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GOOGLE", "GCP", "BIGQUERY", "DAGSTER"))}
    # What is left in the temporary folder is searched too.
    (folder / "tmp").mkdir()
    environment["TMPDIR"] = str(folder / "tmp")
    if where == "environment":
        environment["GCP_CREDENTIALS"] = encoded(key)
    for operation, answers in scripts.items():
        service.script(operation, *answers)  # type: ignore[arg-type]
    command = [sys.executable, "-c", COLLECT, service.url]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, cwd=folder, env=environment, **output) as process:  # type: ignore[call-overload]
        if kind == "interrupted":
            service.wait_until(lambda operations: "insert" in operations, PATIENCE_SECONDS)
            process.send_signal(signal.SIGINT)
        if kind == "killed":
            service.wait_until(lambda operations: "token" in operations, PATIENCE_SECONDS)
            process.kill()
        printed, _ = process.communicate(timeout=PATIENCE_SECONDS)
    service.release()
    said = [line for line in printed.decode().splitlines() if "ERROR" in line]
    # Some of it passes by itself, or is no reason not to ask.
    wanted = {0} if kind == "all well" else {0, 1, 130, -signal.SIGKILL}
    assert process.returncode in wanted, f"{kind}: {process.returncode}, {said[:3]}"
    assert "token" in service.operations(), f"{kind}: the key was not used"
    contents = {"what was printed": printed}
    left = [path for path in folder.rglob("*") if path.is_file() and path.name not in {"key.json", "winnow.yaml"}]
    contents |= {str(path.relative_to(folder)): path.read_bytes() for path in left}
    for what, content in contents.items():
        assert not any(needle in content for needle in secret), f"{kind}, key in {where}: it is in {what}"
    return sum(map(len, contents.values())), len(left)
