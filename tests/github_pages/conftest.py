"""A repository as a user has it on GitHub: a bare origin, and fresh checkouts of it at one path, as on a runner."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

CONFIG = """\
service:
  base_url: https://someone.github.io/badges
source:
  kind: sample
packages:
  - name: sample-oat
    window_days: 2
"""
BRANCH = "winnow-state"


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
