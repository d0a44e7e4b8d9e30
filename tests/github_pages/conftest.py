"""A repository as a user has it on GitHub: a bare origin, and fresh checkouts of it at one path, as on a runner."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from winnow_dagster.config.loading import load_settings
from winnow_dagster.github_pages.state import State

CONFIG = """\
source:
  kind: sample
packages:
  - name: sample-oat
    window_days: 2
"""
BRANCH = "winnow-state"
BYTES = bytes(range(256)) + b"\r\n\n\r"
"""What a conversion of line ends would change."""


def git(folder: Path, *arguments: str) -> str:
    """Run git as a user who has configured nothing."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment = outside | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "someone", f"GIT_{role}_EMAIL": "someone@example.com"}
    done = subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@dataclass
class Remote:
    """The bare repository, and where its checkouts are."""

    origin: Path
    checkout: Path

    def check_out(self) -> Path:
        """Make a fresh checkout in place of the last, with one commit, as actions/checkout does."""
        shutil.rmtree(self.checkout, ignore_errors=True)
        url = self.origin.as_uri()
        git(self.origin.parent, "clone", "--quiet", "--depth=1", "--branch=main", url, str(self.checkout))
        return self.checkout

    def push(self, files: dict[str, str], branch: str = "main") -> None:
        """Add a commit with these files to a branch, as the user does."""
        work = self.origin.parent / "by-hand"
        if not work.exists():
            git(self.origin.parent, "init", "--quiet", "--initial-branch=main", str(work))
        git(work, "checkout", "--quiet", *(["-B", branch] if branch == "main" else ["--orphan", branch]))
        for name, text in files.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(text)
        git(work, "add", "--force", "--all")
        git(work, "commit", "--quiet", "--message=by hand")
        git(work, "push", "--quiet", "--force", self.origin.as_uri(), f"{branch}:{branch}")

    def tip(self, branch: str = BRANCH) -> str:
        """Return the commit of a branch; empty without one."""
        return git(self.origin, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")

    def files(self, branch: str = BRANCH) -> dict[str, str]:
        """Return the hash of each file of a branch, by its path."""
        lines = git(self.origin, "ls-tree", "-r", branch).splitlines() if self.tip(branch) else []
        return {line.split("\t")[1]: line.split()[2] for line in lines}


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    origin = tmp_path / "someone" / "badges"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    found = Remote(origin, tmp_path / "work" / "badges")
    found.checkout.parent.mkdir()
    found.push({"winnow.yaml": CONFIG, ".gitattributes": "* text eol=crlf\n*.parquet filter=lfs\n"})
    return found


def state_in(checkout: Path, branch: str = BRANCH) -> State:
    return State(load_settings(checkout / "winnow.yaml"), branch)


def fill(checkout: Path, day: str = "2026-11-20") -> None:
    """Write files as a collect leaves them."""
    for name in (
        f"data/sample/raw_downloads/{day}.parquet",
        f"data/sample-0123abcd/honest_downloads/{day}.parquet",
        "data/sample/source_rows.json",
        "data/sample/answers/000001-3f9c2a.parquet",
        "data/sites/50ebd89095e2b8f5.json",
        "data/ledger.jsonl",
        "data/alerts.json",
        "public/_health.json",
        "public/sample-oat/downloads-30d-non-ci.svg",
    ):
        path = checkout / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(BYTES + day.encode())
