"""The job's token: git gets it for GitHub only, and it is in no message and no file."""

from __future__ import annotations

import http.server
import os
import subprocess
import threading
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.github_pages.conftest import BRANCH, Remote, fill, git, state_in
from winnow_dagster.github_pages.git import GitError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Server(http.server.ThreadingHTTPServer):
    """Git's own HTTP server for the repositories in a folder. It wants the user and password of a token."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Backend)
        self.folder = folder
        self.logins: set[str] = set()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Backend(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        given = self.headers.get("Authorization", "")
        if not given.startswith("Basic "):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()
            return
        server.logins.add(b64decode(given.removeprefix("Basic ")).decode())
        path, _, query = self.path.partition("?")
        variables = {
            "GIT_PROJECT_ROOT": str(server.folder), "GIT_HTTP_EXPORT_ALL": "1", "REMOTE_USER": "someone",
            "REQUEST_METHOD": self.command, "PATH_INFO": path, "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }  # fmt: skip
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        done = subprocess.run(
            ["git", "http-backend"], input=body, capture_output=True, check=True, env={**os.environ, **variables}
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


@pytest.fixture
def server(remote: Remote) -> Iterator[Server]:
    with Server(remote.origin.parent.parent) as found:
        threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield found
        found.shutdown()


def test_the_token_opens_a_private_repository(remote: Remote, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghs_made-up")
    monkeypatch.setenv("GITHUB_SERVER_URL", server.url)
    for day in ("2026-11-20", "2026-11-21"):
        checkout = remote.check_out()
        git(checkout, "remote", "set-url", "origin", f"{server.url}/someone/badges")
        state_in(checkout).restore()
        fill(checkout, day)
        assert state_in(checkout).save() == remote.tip() != ""
    assert server.logins == {"x-access-token:ghs_made-up"}
    assert git(remote.origin, "rev-list", "--count", BRANCH) == "1"
    assert "data/sample/raw_downloads/2026-11-20.parquet" in remote.files()


def test_the_token_goes_to_the_server_of_the_environment_only(
    remote: Remote, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = remote.check_out()
    git(checkout, "remote", "set-url", "origin", f"{server.url}/someone/badges")
    monkeypatch.setenv("GITHUB_TOKEN", "ghs_made-up")
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.example.com")
    with pytest.raises(GitError, match="could not read Username"):
        state_in(checkout).restore()
    assert server.logins == set()


def test_a_refusal_does_not_quote_the_token(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = remote.check_out()
    monkeypatch.setenv("GITHUB_TOKEN", "ghs_made-up")
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://127.0.0.1:1")
    git(checkout, "remote", "set-url", "origin", "https://127.0.0.1:1/someone/badges")
    with pytest.raises(GitError) as caught:
        state_in(checkout).restore()
    assert "ghs_made-up" not in str(caught.value)
    found = subprocess.run(
        ["grep", "-rl", "ghs_made-up", str(checkout)], check=False, capture_output=True, env=dict(os.environ)
    )
    assert found.stdout == b""
