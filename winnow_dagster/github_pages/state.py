"""The state branch: the days, the ledger and the published files, as the only commit of a branch.

A run restores the state, collects, and saves the state with a lease: the push fails if the branch has changed since the
restore. Credentials and the history of runs are never part of the state.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from winnow_dagster.config.settings import CONFIG_NAME, IDS_FOLDER
from winnow_dagster.files.paths import local_path
from winnow_dagster.github_pages.git import GitError, Repository, run_git
from winnow_dagster.publishing.ownership import is_own_page
from winnow_dagster.sources.kinds import KINDS
from winnow_dagster.store.sent_alerts import FILE_NAME as ALERTS_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from winnow_dagster.config.settings import Settings
    from winnow_dagster.files.paths import StorePath

DATA, SITE, MARKER = "data", "public", "winnow.json"
"""The folders of the branch, whatever the config calls them, and the file that shows that Winnow made the branch."""

EXAMPLES = {"data_dir": DATA, "output_dir": SITE}
"""The folder that an error suggests for each key."""

FORMAT = 1
ABOUT = "Winnow made this branch and replaces its only commit after each run. Do not edit it"

STATE_FOLDER = "winnow-state"
"""The folder in the checkout's git directory. `restore` writes the lease there, and `save` reads it."""

LEASE_NAME = "winnow-lease"
NO_JEKYLL = ".nojekyll"
"""Without this file, Pages may leave out files whose names start with an underscore."""

KEPT = re.compile(rf"ledger\.jsonl|{re.escape(ALERTS_NAME)}|{IDS_FOLDER}|({'|'.join(KINDS)})(-[0-9a-f]{{8}})?")
"""The names in `data_dir` that are part of the state. A name that is not listed here stays on the runner."""

TIMEOUT_SECONDS = 10
ATTEMPTS = 3
PAUSE_SECONDS = 10


class StateError(Exception):
    """The state cannot be restored or saved. The message says why, and how to fix it."""


@dataclass(frozen=True)
class State:
    """The state of a config. `branch` is in the remote repository `origin` of the config's checkout."""

    settings: Settings
    branch: str

    def restore(self) -> str:
        """Write the branch's files into `data_dir` and `output_dir`; return its commit, empty without a branch.

        Raises StateError, GitError and OSError.
        """
        data_dir, output_dir = self._empty_folder("data_dir"), self._empty_folder("output_dir")
        repository = Repository.create(self._folder())
        origin = self._origin()
        tip = repository.tip(origin, self.branch)
        if tip:
            tip = repository.fetch(origin, self.branch)
            self._refuse_branch_of_others(repository, tip)
            for name, folder in {DATA: data_dir, SITE: output_dir}.items():
                folder.mkdir(parents=True, exist_ok=True)
                if repository.run("ls-tree", tip, name):
                    repository.read_tree(f"{tip}:{name}", folder)
        else:
            self._refuse_site_of_others()
        # Last, because `save` relies on it.
        (repository.folder / LEASE_NAME).write_text(tip, encoding="utf-8")
        return tip

    def save(self) -> str:
        """Replace the branch by one commit with the present state; return the commit, empty if there is no state yet.

        Raises StateError, also if the branch has changed since `restore`, GitError and OSError.
        """
        data_dir, output_dir = self._local("data_dir"), self._local("output_dir")
        repository = Repository(self._folder())
        try:
            lease = (repository.folder / LEASE_NAME).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise StateError("`restore` has not finished in this checkout, so nothing is saved. Run it first") from None
        if output_dir.is_dir():
            (output_dir / NO_JEKYLL).touch()
        trees = {DATA: (data_dir, _data_files(data_dir)), SITE: (output_dir, _site_files(output_dir))}
        entries = {
            name: f"040000 tree {repository.write_tree(folder, files)}\t{name}"
            for name, (folder, found) in trees.items()
            if (files := list(found))
        }
        if lost := self._restored(repository, lease) - entries.keys():
            raise StateError(f"the files of {', '.join(sorted(lost))} are gone since `restore`, so nothing is saved")
        if not entries:
            return ""
        marker = json.dumps({"made_by": "winnow", "format": FORMAT, "about": ABOUT}, indent=1) + "\n"
        blob = repository.run("hash-object", "-w", "--stdin", stdin=marker)
        tree = repository.run("mktree", stdin="\n".join([*entries.values(), f"100644 blob {blob}\t{MARKER}"]) + "\n")
        commit = repository.commit(tree, "State of Winnow")
        self._push(repository, commit, lease)
        (repository.folder / LEASE_NAME).write_text(commit, encoding="utf-8")
        return commit

    def _restored(self, repository: Repository, lease: str) -> set[str]:
        """Return the folders that `restore` found in the branch."""
        return set(repository.run("ls-tree", "--name-only", lease).split()) - {MARKER} if lease else set()

    def _push(self, repository: Repository, commit: str, lease: str) -> None:
        """Push, and retry while the server cannot be reached."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                repository.push(self._origin(), commit, self.branch, lease)
            except GitError as error:
                # The connection may have broken after the server took the commit.
                tip = self._tip_or(repository, lease)
                if tip == commit:
                    return
                if tip != lease:
                    raise StateError(
                        f"the branch {self.branch} has changed since this run read it, so nothing is saved. Run one "
                        "workflow at a time, and run it again"
                    ) from None
                if attempt == ATTEMPTS or error.is_refusal:
                    raise
                time.sleep(PAUSE_SECONDS)
            else:
                return

    def _tip_or(self, repository: Repository, lease: str) -> str:
        try:
            return repository.tip(self._origin(), self.branch)
        except GitError:
            return lease

    def _refuse_branch_of_others(self, repository: Repository, commit: str) -> None:
        refusal = (
            f"Winnow did not make the branch {self.branch}, and does not touch it. Set WINNOW_STATE_BRANCH to another "
            "name, or remove the branch"
        )
        modes = {line.split()[0] for line in repository.run("ls-tree", "-r", commit).splitlines()}
        try:
            marker = json.loads(repository.run("cat-file", "blob", f"{commit}:{MARKER}"))
        except (GitError, ValueError):
            raise StateError(refusal) from None
        if not isinstance(marker, dict) or marker.get("made_by") != "winnow" or modes != {"100644"}:
            raise StateError(refusal)
        if marker.get("format") != FORMAT:
            raise StateError(f"a newer Winnow wrote the branch {self.branch}. Install that one")

    def _refuse_site_of_others(self) -> None:
        """Raise StateError if the first deployment would replace a site that Winnow did not make."""
        address = self.settings.base_url
        if not address:
            return
        try:
            found = requests.get(f"{address}/", timeout=TIMEOUT_SECONDS, allow_redirects=False)
        except requests.RequestException:
            # Before the first deployment there need not be a server.
            return
        if found.ok and not found.is_redirect and not is_own_page(found.content):
            raise StateError(
                f"service.base_url: {address} has a page that Winnow did not make, and Winnow's site would replace it. "
                "Give Winnow a repository of its own"
            )

    def _local(self, key: str) -> Path:
        if self.settings.config_file is None:
            raise StateError(f"there is no {CONFIG_NAME} in this folder. `winnow init` writes one")
        place: StorePath = getattr(self.settings, key)
        folder = local_path(place)
        if folder is None:
            raise StateError(
                f"service.{key}: {place} is in a bucket. Use a folder, such as `{EXAMPLES[key]}`: the branch keeps "
                "folders only"
            )
        return folder

    def _empty_folder(self, key: str) -> Path:
        folder = self._local(key)
        if folder.exists() and (found := next(folder.iterdir(), None)):
            raise StateError(
                f"service.{key}: {folder} has files already, such as {found.name}. Restore into a fresh checkout, and "
                "use a folder that the repository does not have"
            )
        return folder

    def _folder(self) -> Path:
        git_folder = run_git(self.settings.folder, "rev-parse", "--absolute-git-dir")
        return Path(git_folder) / STATE_FOLDER

    def _origin(self) -> str:
        return run_git(self.settings.folder, "remote", "get-url", "origin")


def _data_files(folder: Path) -> Iterator[str]:
    for file in _files(folder):
        if KEPT.fullmatch(file.partition("/")[0]):
            yield file


def _site_files(folder: Path) -> Iterator[str]:
    yield from _files(folder)
    if (folder / NO_JEKYLL).exists():
        yield NO_JEKYLL


def _files(folder: Path) -> Iterator[str]:
    """Yield the paths of the files below a folder. Skips hidden ones, which are locks and staged files, and links."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = os.path.join(place, name)  # noqa: PTH118 - many files
            if not name.startswith(".") and not os.path.islink(path):  # noqa: PTH114
                yield os.path.relpath(path, folder)
