"""`winnow serve` limits slow, endless and eager clients, so that they do not slow others down."""

from __future__ import annotations

import contextlib
import resource
import socket
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.serving import resident, serving
from winnow_dagster.serve import MAX_BUFFER, MAX_CONNECTIONS, max_connections

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ONE_SECOND = "from winnow_dagster import cli, serve; serve.HEADER_SECONDS = 1; cli.main(['serve', '--port', '0'])"
"""`winnow serve` with a deadline of one second."""

HALF = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: "
ASK_FOR_ALL = b"GET /a/large.csv HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    publish(tmp_path)
    with serving(tmp_path) as (_, port), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        yield client


def publish(folder: Path) -> None:
    (folder / "public" / "a").mkdir(parents=True)
    (folder / "public" / "index.html").write_text("<h1>Badges</h1>")
    (folder / "public" / "a" / "badge.json").write_text("{}")
    (folder / "public" / "a" / "large.csv").write_bytes(bytes(20_000_000))


def connect(client: httpx.Client) -> socket.socket:
    return socket.create_connection(("127.0.0.1", client.base_url.port or 0), timeout=30)


def test_unfinished_requests_do_not_block_others_and_log_nothing(tmp_path: Path) -> None:
    publish(tmp_path)
    with contextlib.ExitStack() as stack:
        server, port = stack.enter_context(serving(tmp_path))
        for _ in range(128):
            half = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            half.sendall(HALF)
        assert httpx.get(f"http://127.0.0.1:{port}/", timeout=5).status_code == 200
        server.terminate()
        assert server.communicate(timeout=30) == ("", "")


def test_clients_beyond_the_limit_of_open_files_wait(tmp_path: Path) -> None:
    publish(tmp_path)
    with contextlib.ExitStack() as stack:
        command = ["prlimit", "--nofile=128:128", sys.executable, "-c", ONE_SECOND]
        server, port = stack.enter_context(serving(tmp_path, command))
        for _ in range(128):
            half = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            half.sendall(HALF)
        assert httpx.get(f"http://127.0.0.1:{port}/", timeout=30).status_code == 200
        server.terminate()
        assert server.communicate(timeout=30) == ("", "")


@pytest.mark.parametrize(
    ("files", "connections"), [(resource.RLIM_INFINITY, MAX_CONNECTIONS), (10**6, MAX_CONNECTIONS), (1024, 480), (1, 1)]
)
def test_the_limit_of_connections_follows_from_the_limit_of_open_files(
    monkeypatch: pytest.MonkeyPatch, files: int, connections: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert max_connections() == connections


@pytest.mark.parametrize("begun", [b"", HALF, ASK_FOR_ALL + b"\r\n" + ASK_FOR_ALL])
def test_a_client_that_sends_no_request_is_disconnected(tmp_path: Path, begun: bytes) -> None:
    publish(tmp_path)
    command = [sys.executable, "-c", ONE_SECOND]
    with serving(tmp_path, command) as (_, port), socket.create_connection(("127.0.0.1", port), timeout=0.3) as slow:
        slow.sendall(begun)
        # A byte now and then does not help it.
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                if not slow.recv(1_000_000):
                    break
            except TimeoutError:
                slow.sendall(b"a" if begun else b"")
            except ConnectionError:
                break
        else:
            pytest.fail("it is still listened to after 30 seconds")
        assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 200


@pytest.mark.parametrize("begun", [b"GET / HTTP/1.1\r\nHost: a\r\n", ASK_FOR_ALL + b"\r\n" + ASK_FOR_ALL])
def test_endless_headers_are_refused(client: httpx.Client, begun: bytes) -> None:
    with connect(client) as endless:
        endless.settimeout(1)
        sent = 0
        with contextlib.suppress(ConnectionError, TimeoutError):
            endless.sendall(begun)
            while sent < 200 * MAX_BUFFER:
                sent += endless.send(b"X-A: a\r\n" * 1000)
    assert sent < 200 * MAX_BUFFER
    assert client.get("/").status_code == 200


def test_pipelined_requests_are_answered_in_order(client: httpx.Client) -> None:
    ask = b"GET /a/badge.json HTTP/1.1\r\nHost: a\r\n\r\n"
    with connect(client) as eager:
        eager.sendall(ask * 9 + ask.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        found = b"".join(iter(lambda: eager.recv(65536), b""))
    assert found.count(b"HTTP/1.1 200") == 10


def test_a_client_that_reads_no_response_is_disconnected(client: httpx.Client) -> None:
    with connect(client) as eager:
        eager.settimeout(1)
        sent = 0
        with contextlib.suppress(ConnectionError, TimeoutError):
            while sent < 200 * MAX_BUFFER:
                sent += eager.send((ASK_FOR_ALL + b"\r\n") * 100)
    assert sent < 200 * MAX_BUFFER
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("length", [b"100", b"100000000"])
def test_the_body_of_a_request_is_ignored(client: httpx.Client, length: bytes) -> None:
    for method, status in ((b"POST", b"405"), (b"GET", b"200")):
        with connect(client) as half:
            half.sendall(method + b" /a/badge.json HTTP/1.1\r\nHost: a\r\nContent-Length: " + length + b"\r\n\r\nabc")
            assert half.recv(1000).split(b" ")[1] == status
            with contextlib.suppress(ConnectionError):
                while half.recv(1000):
                    pass


def test_unread_responses_take_little_memory(tmp_path: Path) -> None:
    publish(tmp_path)
    with contextlib.ExitStack() as stack:
        server, port = stack.enter_context(serving(tmp_path))
        assert len(httpx.get(f"http://127.0.0.1:{port}/a/large.csv").content) == 20_000_000
        before = resident(server.pid)
        for _ in range(6):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            slow.sendall(ASK_FOR_ALL + b"\r\n")
            # All but the last of it.
            left = 19_000_000
            while left > 0:
                left -= len(slow.recv(1_000_000))
        assert resident(server.pid) < before + 20


def test_a_slow_client_gets_the_whole_file(tmp_path: Path) -> None:
    publish(tmp_path)
    command = [sys.executable, "-c", ONE_SECOND]
    with serving(tmp_path, command) as (_, port), socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
        slow.sendall(ASK_FOR_ALL.replace(b"Host", b"Connection: close\r\nHost") + b"\r\n")
        found = len(slow.recv(1000))
        # Longer than a client has for headers.
        slow.settimeout(2)
        with socket.create_connection(("127.0.0.1", port), timeout=30) as other:
            assert other.recv(1) == b""
        while more := slow.recv(1_000_000):
            found += len(more)
    assert found > 20_000_000


def test_malformed_requests_do_not_fill_the_log(tmp_path: Path) -> None:
    publish(tmp_path)
    with serving(tmp_path) as (server, port):
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(b"nothing at all\r\n\r\n")
                assert connection.recv(100).startswith(b"HTTP/1.1 400")
        server.terminate()
        assert server.communicate(timeout=30) == ("", "")
