"""300 packages with BigQuery, PostgreSQL and S3: a run is killed as it reads, and another run finishes its work."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.test_many_packages import play

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = 300


def run() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        found = play(Path(folder), PACKAGES)
    problems = found.problems()
    assert not problems, problems
    statuses = sorted(found.runs.values())
    yield f"{PACKAGES} packages published after {found.seconds:.0f} s; {found.sent} queries, each paid for once"
    yield f"{len(statuses)} runs read days, each in a process of its own; {statuses.count('FAILURE')} was killed"
