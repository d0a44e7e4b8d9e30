"""Make the store and the site that the check of an upgrade begins with: `python -m tests.formats.make_upgrade`.

The last release that took every request for a download collects the rows in ../shared/data/across_the_change three
times, by a clock of its own. Needs a repository that has its commit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
ROWS = HERE.parents[2] / "shared" / "data" / "across_the_change"
COMMIT = "50600c2"
TARGET = HERE / "upgrade.tar.xz"

FIRST = "2026-08-02"
"""The first day that has rows."""

MOMENTS = {"2026-08-20": "2026-08-21T04:00", "2026-08-26": "2026-08-27T04:00", "2026-08-31": "2026-09-01T04:00"}
"""By the newest day to include, when each collect was."""

COLLECT = """
import sys
from datetime import UTC, datetime
from winnow_dagster.cli import main
from winnow_dagster.defs.clock import Clock

moment = datetime.fromisoformat(sys.argv.pop(1)).replace(tzinfo=UTC)
Clock.now = lambda self: moment
main()
"""


def main() -> None:
    with TemporaryDirectory() as name:
        folder, code = Path(name), Path(name) / "release"
        code.mkdir()
        archive = subprocess.run(
            ["git", "archive", COMMIT, "winnow_dagster"], cwd=HERE.parents[1], check=True, capture_output=True
        )
        subprocess.run(["tar", "-xf", "-", "-C", str(code)], input=archive.stdout, check=True)
        expected = json.loads((ROWS / "expected.json").read_text())
        packages = [
            {"name": package["configured_as"], "window_days": [30, 7, 1, "all"]}
            for package in expected["packages"].values()
        ]
        source = {"kind": "parquet", "path": str(ROWS / "file_downloads" / "*.parquet"), "settle_days": 3}
        config = {"start_date": FIRST, "source": source, "packages": packages}
        # A day has no quotes in a config.
        (folder / "winnow.yaml").write_text(json.dumps(config).replace(f'"{FIRST}"', FIRST))
        environment = {**os.environ, "PYTHONPATH": str(code)}
        for through, moment in MOMENTS.items():
            command = [sys.executable, "-c", COLLECT, moment, "collect", "--through", through]
            # The rows do not reach back 30 days from the first two days.
            subprocess.run(command, cwd=folder, env=environment, check=through == "2026-08-31")
        (store,) = (folder / "data").glob("parquet-*")
        with tarfile.open(TARGET, "w:xz") as tar:
            tar.add(store, "store", filter=_plain)
            tar.add(folder / "public", "public", filter=_plain)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return an entry without what differs from one machine to the next."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    main()
