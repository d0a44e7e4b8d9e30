"""The state branch: what is in it, who may write it, and that no failure takes anything back."""

from __future__ import annotations

import http.server
import json
import threading
from pathlib import Path
from typing import ClassVar

import pytest
from click.testing import CliRunner

from tests.github_pages.conftest import BRANCH, CONFIG, Remote, fill, git, state_in
from winnow_dagster.github_pages import state as state_module
from winnow_dagster.github_pages.__main__ import main
from winnow_dagster.github_pages.git import GitError, Repository
from winnow_dagster.github_pages.state import StateError


def contents(checkout: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(checkout)): path.read_bytes()
        for folder in ("data", "public")
        for path in (checkout / folder).rglob("*")
        if path.is_file()
    }


def test_a_restored_checkout_has_every_byte_that_was_saved(remote: Remote) -> None:
    checkout = remote.check_out()
    assert state_in(checkout).restore() == ""
    fill(checkout)
    saved = state_in(checkout).save()
    before = contents(checkout)
    fresh = remote.check_out()
    assert contents(fresh) == {}
    assert state_in(fresh).restore() == saved == remote.tip()
    assert contents(fresh) == before
    assert "public/.nojekyll" in before


def test_the_branch_has_a_single_commit_however_often_the_state_is_saved(remote: Remote) -> None:
    for day in ("2026-11-20", "2026-11-21"):
        checkout = remote.check_out()
        state_in(checkout).restore()
        fill(checkout, day)
        state_in(checkout).save()
    assert git(remote.origin, "rev-list", "--count", BRANCH) == "1"
    assert {f"data/sample/raw_downloads/2026-11-{day}.parquet" for day in (20, 21)} <= remote.files().keys()
    assert git(remote.origin, "rev-list", "--count", "main") == "1"
    assert git(checkout, "status", "--porcelain", "--", ".gitattributes", "winnow.yaml") == ""


def test_a_state_may_be_saved_twice_in_a_run(remote: Remote) -> None:
    checkout = remote.check_out()
    state_in(checkout).restore()
    fill(checkout)
    first = state_in(checkout).save()
    fill(checkout, "2026-11-21")
    assert state_in(checkout).save() == remote.tip() != first


def test_keys_locks_links_and_the_history_of_runs_stay_on_the_runner(remote: Remote) -> None:
    checkout = remote.check_out()
    state_in(checkout).restore()
    fill(checkout)
    for name in (
        "data/gcp.json", "data/gha-creds-0123.json", "data/dagster/history/runs.db", "data/dagster/.telemetry/id",
        "data/.publishing.lock", "data/sample/.fetching.lock", "public/.winnow-1-aa",
    ):  # fmt: skip
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("private")
    (checkout / "public" / "key.json").symlink_to(checkout / "data" / "gcp.json")
    state_in(checkout).save()
    kept = remote.files()
    assert not [name for name in kept if any(x in name for x in ("gcp", "creds", "dagster", "lock", "winnow-1", "key"))]
    assert len(kept) == 9 + len({".nojekyll", "winnow.json"})


def test_without_a_restore_nothing_is_saved(remote: Remote) -> None:
    checkout = remote.check_out()
    fill(checkout)
    with pytest.raises(StateError, match="`restore` has not finished in this checkout"):
        state_in(checkout).save()
    assert remote.tip() == ""


def test_a_failed_restore_leaves_no_right_to_save(remote: Remote) -> None:
    checkout = remote.check_out()
    state_in(checkout).restore()
    fill(checkout)
    with pytest.raises(StateError, match="data has files already, such as "):
        state_in(checkout).restore()
    state_in(checkout).save()
    fresh = remote.check_out()
    git(fresh, "remote", "set-url", "origin", (remote.origin / "gone").as_uri())
    with pytest.raises(GitError, match="git ls-remote: "):
        state_in(fresh).restore()
    git(fresh, "remote", "set-url", "origin", remote.origin.as_uri())
    fill(fresh)
    with pytest.raises(StateError, match="`restore` has not finished"):
        state_in(fresh).save()


def test_nothing_is_saved_before_there_is_anything(remote: Remote) -> None:
    checkout = remote.check_out()
    state_in(checkout).restore()
    assert state_in(checkout).save() == ""
    assert remote.tip() == ""


def test_a_state_that_was_removed_since_the_restore_is_not_saved_as_empty(remote: Remote) -> None:
    checkout = remote.check_out()
    state_in(checkout).restore()
    fill(checkout)
    saved = state_in(checkout).save()
    git(checkout, "clean", "--quiet", "-fdx", "data")
    with pytest.raises(StateError, match="the files of data are gone since `restore`"):
        state_in(checkout).save()
    assert remote.tip() == saved


@pytest.mark.parametrize("exists", [False, True], ids=["no branch yet", "a branch"])
def test_a_branch_that_changed_since_the_restore_is_not_overwritten(remote: Remote, *, exists: bool) -> None:
    if exists:
        checkout = remote.check_out()
        state_in(checkout).restore()
        fill(checkout, "2026-11-19")
        state_in(checkout).save()
    checkout = remote.check_out()
    state_in(checkout).restore()
    fill(checkout)
    other = remote.origin.parent / "other"
    git(remote.origin.parent, "clone", "--quiet", remote.origin.as_uri(), str(other))
    state_in(other).restore()
    fill(other, "2026-11-21")
    theirs = state_in(other).save()
    with pytest.raises(StateError, match=f"the branch {BRANCH} has changed since this run read it"):
        state_in(checkout).save()
    assert remote.tip() == theirs


@pytest.mark.parametrize(
    "files",
    [
        {"README.md": "mine"},
        {"winnow.json": "[]"},
        {"winnow.json": "not JSON"},
        {"winnow.json": '{"made_by": "me", "format": 1}'},
    ],
    ids=str,
)
def test_a_branch_that_winnow_did_not_make_is_refused_and_stays(remote: Remote, files: dict[str, str]) -> None:
    remote.push(files, BRANCH)
    before = remote.tip()
    checkout = remote.check_out()
    with pytest.raises(StateError, match=f"Winnow did not make the branch {BRANCH}, and does not touch it"):
        state_in(checkout).restore()
    with pytest.raises(StateError, match="`restore` has not finished"):
        state_in(checkout).save()
    assert remote.tip() == before
    assert state_in(checkout, "another").restore() == ""


def test_a_branch_with_links_is_refused(remote: Remote, tmp_path: Path) -> None:
    work = tmp_path / "links"
    git(tmp_path, "init", "--quiet", f"--initial-branch={BRANCH}", str(work))
    (work / "winnow.json").write_text('{"made_by": "winnow", "format": 1}')
    (work / "public").symlink_to("/")
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message=links")
    git(work, "push", "--quiet", remote.origin.as_uri(), BRANCH)
    with pytest.raises(StateError, match="Winnow did not make the branch"):
        state_in(remote.check_out()).restore()


def test_a_branch_of_a_newer_winnow_is_refused(remote: Remote) -> None:
    remote.push({"winnow.json": json.dumps({"made_by": "winnow", "format": 2})}, BRANCH)
    with pytest.raises(StateError, match="a newer Winnow wrote the branch"):
        state_in(remote.check_out()).restore()


def hook(remote: Remote, text: str) -> Path:
    """Make the server run this whenever something is pushed."""
    path = remote.origin / "hooks" / "pre-receive"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_protected_branch_is_reported_in_the_servers_words(remote: Remote) -> None:
    checkout = remote.check_out()
    state_in(checkout).restore()
    fill(checkout)
    calls = remote.origin / "calls"
    hook(remote, f"echo x >>{calls}; echo protected >&2; exit 1")
    with pytest.raises(GitError, match=r"remote: protected .*pre-receive hook declined"):
        state_in(checkout).save()
    assert remote.tip() == ""
    assert calls.read_text() == "x\n"


def test_a_push_that_the_server_took_before_the_connection_broke_is_a_success(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    push = Repository.push

    def break_after(self: Repository, origin: str, commit: str, branch: str, lease: str) -> None:
        push(self, origin, commit, branch, lease)
        raise GitError("git push: fatal: the remote end hung up unexpectedly")

    checkout = remote.check_out()
    state_in(checkout).restore()
    fill(checkout)
    monkeypatch.setattr(Repository, "push", break_after)
    assert state_in(checkout).save() == remote.tip() != ""


@pytest.mark.parametrize("failures", [2, 3])
def test_a_push_without_a_connection_is_retried_and_then_reported(
    remote: Remote, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    checkout = remote.check_out()
    state_in(checkout).restore()
    fill(checkout)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == failures:
            git(checkout, "remote", "set-url", "origin", remote.origin.as_uri())

    monkeypatch.setattr("time.sleep", pause)
    git(checkout, "remote", "set-url", "origin", (remote.origin / "gone").as_uri())
    if failures < state_module.ATTEMPTS:
        assert state_in(checkout).save() == remote.tip() != ""
    else:
        with pytest.raises(GitError, match="git push: "):
            state_in(checkout).save()
        assert remote.tip() == ""
    assert len(pauses) == 2


def test_the_commands_say_what_they_did_and_name_the_folder_of_the_site(
    remote: Remote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checkout = remote.check_out()
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    (tmp_path / "output").write_text("before=1\n")
    run = CliRunner()
    assert run.invoke(main, ["restore"]).output == f"There is no branch {BRANCH} yet.\n"
    assert run.invoke(main, ["save"]).output == "There is nothing to save yet.\n"
    fill(checkout)
    assert run.invoke(main, ["save"]).output == f"Saved {remote.tip()} as {BRANCH}.\n"
    assert (tmp_path / "output").read_text() == f"before=1\nsite={checkout / 'public'}\n"
    monkeypatch.chdir(remote.check_out())
    assert run.invoke(main, ["restore"]).output == f"Restored {remote.tip()} of {BRANCH}.\n"
    refused = run.invoke(main, ["restore"])
    assert refused.exit_code == 1
    assert refused.stderr.startswith("winnow: service.data_dir: ")


IN_BUCKET = "winnow: service.{} is in a bucket. Use a folder, such as `{}`"


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (None, "winnow: there is no winnow.yaml in this folder. `winnow init` writes one"),
        ("packages: []", "winnow: "),
        (f"service: {{data_dir: gs://bucket/data}}\n{CONFIG}", IN_BUCKET.format("data_dir: gs://bucket/data", "data")),
        (
            f"service: {{data_dir: d, output_dir: gs://bucket/x}}\n{CONFIG}",
            IN_BUCKET.format("output_dir: gs://bucket/x", "public"),
        ),
    ],
    ids=["none", "invalid", "bucket of data", "bucket of the site"],
)
def test_a_config_that_has_no_folders_to_restore_is_refused(
    remote: Remote, monkeypatch: pytest.MonkeyPatch, config: str | None, problem: str
) -> None:
    checkout = remote.check_out()
    (checkout / "winnow.yaml").unlink()
    if config is not None:
        (checkout / "winnow.yaml").write_text(config)
    monkeypatch.chdir(checkout)
    refused = CliRunner().invoke(main, ["restore"])
    assert refused.exit_code == 1
    assert refused.stderr.startswith(problem)


class Pages(http.server.BaseHTTPRequestHandler):
    """A site that answers with `answer`: a status and a page."""

    answer: ClassVar[tuple[int, bytes]]

    def do_GET(self) -> None:
        assert self.path == "/badges/"
        self.send_response(self.answer[0])
        self.send_header("Location", "https://login.example.com")
        self.end_headers()
        self.wfile.write(self.answer[1])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


@pytest.mark.parametrize(
    ("answer", "is_refused"),
    [
        ((200, b"<h1>The documentation of my project</h1>"), True),
        ((200, b"<link rel=stylesheet href=_static/winnow.css>"), False),
        ((404, b"There is no GitHub Pages site here."), False),
        ((302, b"Log in"), False),
        (None, False),
    ],
    ids=["another site", "Winnow's site", "no site", "a login", "no server"],
)
def test_the_first_run_refuses_to_replace_a_site_that_winnow_did_not_make(
    remote: Remote, answer: tuple[int, bytes] | None, *, is_refused: bool
) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Pages,), {"answer": answer})) as site:
        url = f"http://127.0.0.1:{site.server_address[1]}/badges"
        if answer:
            threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        else:
            site.server_close()
        remote.push({"winnow.yaml": f"service: {{base_url: '{url}'}}\n{CONFIG}"})
        checkout = remote.check_out()
        if is_refused:
            with pytest.raises(StateError, match=f"service.base_url: {url} has a page that Winnow did not make"):
                state_in(checkout).restore()
        else:
            assert state_in(checkout).restore() == ""
        if answer:
            site.shutdown()
