"""Make the files of a release: `python -m tests.formats.make COMMIT ...`, in a repository that has these commits.

Each release collects the same few rows, in a process of its own, into a folder named after its commit. Only what is
read back later is kept.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime, time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.downloads import download, write

HERE = Path(__file__).parent
DAYS = (date(2026, 8, 23), date(2026, 8, 24), date(2026, 8, 25))
"""A day before PyPI's log changed, the day of the change, and one after it."""

KEPT = (
    "data/**/raw_downloads/*.parquet",
    "data/**/honest_downloads/*.parquet",
    "data/ledger.jsonl",
    "public/*/counts.json",
    "public/*/history.*",
    "public/_group/*/counts.json",
    "public/_packages/*.json",
    "public/*/*/history.json",
)
HAVE_GROUPS, HAVE_ALL = "85ec6c3", "f95e9c4"
"""The first releases with groups, and with `*`."""

LEDGER = """
from datetime import UTC, date, datetime
from pathlib import Path
from winnow_dagster.core.billing import Entry
from winnow_dagster.store.ledger import Ledger

ledger = Ledger(Path("data") / "ledger.jsonl")
at = datetime(2026, 8, 26, 4, tzinfo=UTC)
days = date(2026, 8, 23), date(2026, 8, 25)
ledger.enter(Entry("job-1", at, *days, ["demo"], "per_package", 459_000_000.0))
ledger.enter(Entry("job-1", at, *days, ["demo"], "per_package", 459_000_000.0, 460_000_000, 459_999_000, 7))
ledger.enter(Entry("job-2", at, *days, ["demo-*"], "per_package", 153_000_000.0))
"""
"""What enters a query that ended, and one whose end is not known."""


def rows() -> list[dict[str, object]]:
    found = []
    for day in DAYS:
        clients: list[tuple[str | None, str | None]] = (
            [("pip", "Linux")] * 5 + [("uv", "Darwin")] * 2 + [("poetry", None)]
        )
        clients += [("Browser", None), ("bandersnatch", None), ("requests", "Linux"), (None, None), ("conda", "Linux")]
        noon = datetime.combine(day, time(12), tzinfo=UTC)
        found += [download(noon, "demo", installer, system) for installer, system in clients]
        found += [download(noon, "demo", "pip", "Linux", ci=True)] * 3
        found += [download(noon, "demo-tool", "uv", "Windows")]
    return found


def make(commit: str) -> None:
    after = subprocess.run(["git", "merge-base", "--is-ancestor", HAVE_GROUPS, commit], cwd=HERE, check=False)
    has_all = subprocess.run(["git", "merge-base", "--is-ancestor", HAVE_ALL, commit], cwd=HERE, check=False)
    with TemporaryDirectory() as name:
        folder, code = Path(name), Path(name) / "release"
        code.mkdir()
        archive = subprocess.run(
            ["git", "archive", commit, "winnow_dagster"], cwd=HERE.parents[1], check=True, capture_output=True
        )
        subprocess.run(["tar", "-xf", "-", "-C", str(code)], input=archive.stdout, check=True)
        write(folder / "rows.parquet", rows())
        config: dict[str, object] = {
            "source": {"kind": "parquet", "path": "rows.parquet"},
            "packages": [{"name": "demo", "window_days": [3, 1]}, {"name": "demo-tool", "window_days": 3}],
        }
        if after.returncode == 0:
            config["groups"] = [{"name": "both", "packages": ["demo", "demo-tool"], "window_days": 3}]
        if has_all.returncode == 0:
            config["packages"] = [{"name": "demo", "window_days": [3, 1]}, {"name": "*", "window_days": 3}]
        (folder / "winnow.yaml").write_text(json.dumps(config))
        environment = {**os.environ, "PYTHONPATH": str(code)}
        collect = [sys.executable, "-m", "winnow_dagster.cli", "collect", "--through", str(DAYS[-1])]
        subprocess.run(collect, cwd=folder, env=environment, check=True)
        if (code / "winnow_dagster" / "storage" / "ledger.py").exists():
            subprocess.run([sys.executable, "-c", LEDGER], cwd=folder, env=environment, check=True)
        target = HERE / commit
        shutil.rmtree(target, ignore_errors=True)
        for path in sorted(found for pattern in KEPT for found in folder.glob(pattern)):
            # What is between `data` and the folder of a store changes with the source.
            kept = target / Path(*(part for part in path.relative_to(folder).parts if not part.startswith("parquet")))
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, kept)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        make(argument)
