"""Git commands for a bare repository of their own, which ignore the user's attributes, hooks and indexes.

Each command is a process. The token is in its environment, never in its arguments or in a file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

AS_STORED = "* -text -filter -ident -working-tree-encoding -export-ignore -export-subst\n"
"""The attributes of every file: git stores and restores its bytes as they are."""

AUTHOR = {
    "NAME": "github-actions[bot]",
    "EMAIL": "41898282+github-actions[bot]@users.noreply.github.com",
}
HOOK_VARIABLES = {
    "GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_ATTR_SOURCE", "GIT_CONFIG_PARAMETERS",
}  # fmt: skip
"""Variables that git sets for the hooks and aliases of a repository. They would point at that repository."""

TOKEN_VARIABLE, SERVER_VARIABLE = "GITHUB_TOKEN", "GITHUB_SERVER_URL"
HELPER = f'!f() {{ test "$1" != get || printf "username=x-access-token\\npassword=%s\\n" "${TOKEN_VARIABLE}"; }}; f'
"""A credential helper that answers with the token of the environment."""


class GitError(Exception):
    """A git command failed. The message quotes git."""

    def __init__(self, message: str, *, is_refusal: bool = False) -> None:
        super().__init__(message)
        self.is_refusal = is_refusal
        """Whether the server answered and refused the branch, for example because it is protected."""


@dataclass(frozen=True)
class Repository:
    """A bare repository at `folder`."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> Repository:
        """Create an empty repository. Replaces the one that an earlier run left there. Raises GitError and OSError."""
        if folder.exists():
            shutil.rmtree(folder)
        run_git(None, "init", "--quiet", "--bare", "--template=", str(folder))
        (folder / "info").mkdir()
        (folder / "info" / "attributes").write_text(AS_STORED, encoding="utf-8")
        return cls(folder)

    def run(self, *arguments: str, stdin: str = "", variables: Mapping[str, str] | None = None) -> str:
        """Run a command and return its output, without the last line end. Raises GitError."""
        environment = {"GIT_DIR": str(self.folder), **(variables or {})}
        return run_git(None, *arguments, stdin=stdin, environment=environment)

    def write_tree(self, folder: Path, files: Iterable[str]) -> str:
        """Store these files of a folder, and return the name of their tree. Raises GitError."""
        index = self._index_of(folder)
        self.run(
            "update-index", "--add", "-z", "--stdin", stdin="".join(f"{file}\0" for file in files), variables=index
        )
        return self.run("write-tree", variables=index)

    def read_tree(self, tree: str, folder: Path) -> None:
        """Write the files of a tree into an empty folder. Raises GitError."""
        index = self._index_of(folder)
        self.run("read-tree", tree, variables=index)
        self.run("checkout-index", "--all", variables=index)

    def commit(self, tree: str, message: str) -> str:
        """Return the name of a new commit without parents. Raises GitError."""
        names = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in AUTHOR.items()}
        return self.run("commit-tree", tree, "-m", message, variables=names)

    def tip(self, origin: str, branch: str) -> str:
        """Return the last commit of a branch of `origin`; empty if there is no such branch. Raises GitError."""
        listed = self.run("ls-remote", origin, f"refs/heads/{branch}")
        return listed.partition("\t")[0]

    def fetch(self, origin: str, branch: str) -> str:
        """Fetch the last commit of a branch and return its name. Raises GitError."""
        self.run("fetch", "--quiet", "--depth=1", "--no-tags", origin, f"+refs/heads/{branch}:refs/heads/read")
        return self.run("rev-parse", "refs/heads/read")

    def push(self, origin: str, commit: str, branch: str, lease: str) -> None:
        """Move a branch to a commit if it is at `lease`; if that is empty, create the branch. Raises GitError."""
        ref = f"refs/heads/{branch}"
        self.run("push", "--porcelain", f"--force-with-lease={ref}:{lease}", origin, f"{commit}:{ref}")

    def _index_of(self, folder: Path) -> Mapping[str, str]:
        """Return the variables for an empty index of the files in a folder."""
        index = self.folder / "winnow-index"
        index.unlink(missing_ok=True)
        return {"GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(folder)}


def run_git(folder: Path | None, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None) -> str:
    """Run a git command in a folder and return its output, without the last line end. Raises GitError."""
    own = {name: value for name, value in os.environ.items() if name not in HOOK_VARIABLES}
    own |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **_settings(), **(environment or {})}
    try:
        done = subprocess.run(  # noqa: S603 - its own arguments
            ["git", *arguments],  # noqa: S607 - the git of $PATH
            cwd=folder, env=own, input=stdin, capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise GitError("git is not installed. Install it") from None
    if done.returncode:
        # `push --porcelain` prints why the server refused the branch.
        refusals = [line for line in done.stdout.splitlines() if line.startswith("!")]
        words = " ".join([*done.stderr.split(), *refusals]) or f"exit code {done.returncode}"
        raise GitError(f"git {arguments[0]}: {words}", is_refusal=bool(refusals))
    return done.stdout.rstrip("\n")


def _settings() -> dict[str, str]:
    """Return the variables that give git its configuration."""
    settings = [("core.fileMode", "false"), ("core.autocrlf", "false"), ("gc.auto", "0")]
    server = os.environ.get(SERVER_VARIABLE)
    if server and os.environ.get(TOKEN_VARIABLE):
        # An empty name drops the helpers of the system.
        settings += [(f"credential.{server}.helper", ""), (f"credential.{server}.helper", HELPER)]
    found = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return found
