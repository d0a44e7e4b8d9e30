"""Serving clients that are slow, endless or eager: each within bounds, and never at the cost of others."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.serving import resident, serving
from winnow_dagster.impatient import LONGEST_REQUEST, MOST_WAITING
from winnow_dagster.serve import make_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    (tmp_path / "public" / "a").mkdir(parents=True)
    (tmp_path / "public" / "index.html").write_text("<h1>Badges</h1>")
    (tmp_path / "public" / "a" / "badge.json").write_text("{}")
    with serving(tmp_path) as (_, port), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        yield client


ASK_FOR_ALL = b"GET /a/large.csv HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X-A: a\r\n" * 1000),
        # What is large is still being sent.
        (ASK_FOR_ALL + b"\r\n" + ASK_FOR_ALL, b"X-A: a\r\n" * 1000),
        (b"", (ASK_FOR_ALL + b"\r\n") * 100),
    ],
)
def test_a_client_that_goes_on_and_on_is_hung_up_on(
    client: httpx.Client, tmp_path: Path, begun: bytes, more: bytes
) -> None:
    (tmp_path / "public" / "a" / "large.csv").write_bytes(bytes(20_000_000))
    most = 200 * LONGEST_REQUEST
    with socket.create_connection(("127.0.0.1", int(client.base_url.port or 0)), timeout=30) as endless:
        sent = 0
        try:
            endless.sendall(begun)
            while sent < most:
                sent += endless.send(more)
        except (ConnectionError, TimeoutError):
            pass
    assert sent < most, "it is still listened to"
    assert client.get("/").status_code == 200


@pytest.mark.parametrize(("requests", "answers"), [(10, 10), (MOST_WAITING + 10, 0)])
def test_some_requests_may_wait_for_those_before_them_and_not_any_number(
    client: httpx.Client, requests: int, answers: int
) -> None:
    ask = b"GET /a/badge.json HTTP/1.1\r\nHost: a\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(client.base_url.port or 0)), timeout=30) as eager:
        eager.sendall(ask * (requests - 1) + ask.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        found = b""
        with contextlib.suppress(ConnectionError):
            while more := eager.recv(65536):
                found += more
    assert found.count(b"HTTP/1.1 200") == answers


def test_a_post_is_refused_however_much_comes_with_it(client: httpx.Client) -> None:
    assert client.post("/a/badge.json", content=bytes(10 * LONGEST_REQUEST)).status_code == 405


def test_what_clients_do_not_take_is_not_held_for_them(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "large.csv").write_bytes(bytes(30_000_000))
    with contextlib.ExitStack() as stack:
        server, port = stack.enter_context(serving(tmp_path))
        assert len(httpx.get(f"http://127.0.0.1:{port}/large.csv").content) == 30_000_000
        before = resident(server.pid)
        for _ in range(4):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            slow.sendall(b"GET /large.csv HTTP/1.1\r\nHost: a\r\n\r\n")
            # All but the last of it.
            left = 29_000_000
            while left > 0:
                left -= len(slow.recv(1_000_000))
        assert resident(server.pid) < before + 20


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: "])
def test_a_client_that_does_not_say_what_it_wants_is_hung_up_on(client: httpx.Client, begun: bytes) -> None:
    with socket.create_connection(("127.0.0.1", int(client.base_url.port or 0)), timeout=30) as slow:
        slow.sendall(begun)
        slow.settimeout(0.5)
        # A byte now and then does not help it.
        for _ in range(60):
            try:
                assert slow.recv(1000) == b""
                break
            except TimeoutError:
                slow.sendall(b"a" if begun else b"")
            except ConnectionError:
                break
        else:
            pytest.fail("it is still listened to after 30 seconds")
    assert client.get("/").status_code == 200


def test_requests_that_are_none_leave_no_line_each(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    with serving(tmp_path) as (server, port):
        assert server.stderr is not None
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(b"nothing at all\r\n\r\n")
                assert connection.recv(100).startswith(b"HTTP/1.1 400")
        server.terminate()
        assert server.stderr.read() == ""


def test_a_client_that_takes_its_time_gets_all_of_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("winnow_dagster.impatient.SECONDS_TO_ASK", 1)
    page = b"a" * 250_000
    (tmp_path / "page.html").write_bytes(page)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as slow:
        # As a slow line has it: little is under way.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server = make_server(tmp_path)
        serving = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        serving.start()
        try:
            slow.connect(listener.getsockname())
            slow.sendall(b"GET /page.html HTTP/1.1\r\nHost: a\r\n\r\n")
            answer, end = b"", time.monotonic() + 3
            while not answer.endswith(page):
                # The most of it only when the time to ask is long over.
                is_slow = time.monotonic() < end
                more = slow.recv(1024 if is_slow else 65536)
                assert more, f"hung up on after {len(answer)} bytes"
                answer += more
                if is_slow:
                    time.sleep(0.05)
        finally:
            server.should_exit = True
            slow.close()
            serving.join()
