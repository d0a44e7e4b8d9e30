"""Serving: published files with what browsers and caches need, on loopback, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from winnow_dagster.serve import (
    FILE_POLICY,
    LARGEST_KEPT,
    LONGEST_REQUEST,
    MOST_KEPT,
    MOST_WAITING,
    PAGE_POLICY,
    RecentAnswers,
    make_app,
    make_server,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SVG = "<svg xmlns='http://www.w3.org/2000/svg'/>"
SERVE = [sys.executable, "-m", "winnow_dagster.cli", "serve", "--port", "0"]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    public = tmp_path / "public"
    (public / "a").mkdir(parents=True)
    (public / "empty").mkdir()
    (public / "index.html").write_text("<h1>Badges</h1>")
    (public / "a" / "index.html").write_text("<p>a</p>" * 200)
    (public / "a" / "badge.json").write_text("{}")
    (public / "a" / "badge.svg").write_text(SVG)
    (public / "a" / "history.csv").write_text("date\r\n")
    (public / "a" / ".winnow-1-aa").write_text("staged")
    (tmp_path / "secret.txt").write_text("secret")
    (public / "a" / "out").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "winnow.yaml").write_text("packages: [{name: a}]")
    with subprocess.Popen(SERVE, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
        assert found
        with httpx.Client(base_url=found[0]) as client:
            yield client
        server.terminate()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/a/", "text/html; charset=utf-8"),
        ("/a/badge.json", "application/json"),
        ("/a/badge.svg", "image/svg+xml"),
        ("/a/history.csv", "text/csv; charset=utf-8"),
    ],
)
def test_files_are_served_with_their_types_and_for_five_minutes(client: httpx.Client, path: str, kind: str) -> None:
    found = client.get(path)
    assert (found.status_code, found.headers["content-type"]) == (200, kind)
    assert found.headers["cache-control"] == "public, max-age=300"
    assert found.headers["x-content-type-options"] == "nosniff"
    is_page = kind.startswith("text/html")
    assert found.headers["content-security-policy"] == (PAGE_POLICY if is_page else FILE_POLICY)
    assert found.headers.get("access-control-allow-origin") == (None if is_page else "*")


def test_what_has_not_changed_is_not_sent_again(client: httpx.Client) -> None:
    first = client.get("/a/")
    again = client.get("/a/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    # A browser takes these in place of those that it kept.
    for name in ("cache-control", "content-security-policy", "x-content-type-options"):
        assert again.headers[name] == first.headers[name]
    assert client.get("/a/", headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_file_that_is_replaced_is_served_as_it_is_now(client: httpx.Client, tmp_path: Path) -> None:
    badge = tmp_path / "public" / "a" / "badge.json"
    for n in range(20):
        staged = tmp_path / "staged"
        staged.write_text(f'{{"n":{n}}}')
        staged.replace(badge)
        # The second time it is the answer that was kept.
        assert [client.get("/a/badge.json").json() for _ in range(2)] == [{"n": n}] * 2


def test_an_answer_that_was_kept_is_for_those_only_who_ask_the_same(client: httpx.Client) -> None:
    plain, packed = ({"Accept-Encoding": "identity"}, {"Accept-Encoding": "gzip"})
    for _ in range(2):
        first = client.get("/a/", headers=plain)
        assert "content-encoding" not in first.headers
        assert client.get("/a/", headers=packed).headers["content-encoding"] == "gzip"
        assert client.get("/a/", headers=plain | {"If-None-Match": first.headers["etag"]}).status_code == 304
        part = client.get("/a/", headers=plain | {"Range": "bytes=1-3"})
        assert (part.status_code, part.text) == (206, first.text[1:4])
        assert client.head("/a/", headers=plain).content == b""
        assert client.post("/a/").status_code == 405


def test_what_was_kept_goes_with_its_file(client: httpx.Client, tmp_path: Path) -> None:
    folder = tmp_path / "public" / "a"
    for name in ("badge.json", "badge.svg"):
        assert [client.get(f"/a/{name}").status_code for _ in range(2)] == [200, 200]
    (folder / "badge.json").unlink()
    (folder / "badge.svg").unlink()
    (folder / "badge.svg").symlink_to(tmp_path / "secret.txt")
    assert [client.get(f"/a/{name}").status_code for name in ("badge.json", "badge.svg")] == [404, 404]


def test_no_more_answers_are_kept_than_fit(tmp_path: Path) -> None:
    for n in range(MOST_KEPT + 10):
        (tmp_path / f"{n}.json").write_text("{}")
    (tmp_path / "large.json").write_bytes(bytes(LARGEST_KEPT + 1))
    app = make_app(tmp_path)
    assert isinstance(app, RecentAnswers)

    async def ask_for_all() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a") as client:
            for path in ("large", *range(MOST_KEPT + 10)):
                assert (await client.get(f"/{path}.json")).status_code == 200

    asyncio.run(ask_for_all())
    assert len(app.kept) == MOST_KEPT
    assert not any("large" in path for path, _ in app.kept)


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
        server = stack.enter_context(subprocess.Popen(SERVE, cwd=tmp_path, stdout=subprocess.PIPE, text=True))
        stack.callback(server.terminate)
        assert server.stdout is not None
        port = re.search(r":(\d+)/", server.stdout.readline())
        assert port
        url = f"http://127.0.0.1:{port[1]}/large.csv"
        assert len(httpx.get(url).content) == 30_000_000
        before = resident(server.pid)
        for _ in range(4):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", int(port[1]))))
            slow.sendall(b"GET /large.csv HTTP/1.1\r\nHost: a\r\n\r\n")
            # All but the last of it.
            left = 29_000_000
            while left > 0:
                left -= len(slow.recv(1_000_000))
        assert resident(server.pid) < before + 20


def resident(pid: int) -> int:
    """Return the memory of a process, in MB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) // 1000


def test_of_two_lists_of_encodings_only_the_first_is_heard_and_nothing_is_kept(client: httpx.Client) -> None:
    for _ in range(2):
        twice = client.get("/a/", headers=[("Accept-Encoding", "identity"), ("Accept-Encoding", "gzip")])
        assert twice.status_code == 200
        assert client.get("/a/", headers={"Accept-Encoding": "gzip"}).headers["content-encoding"] == "gzip"


def test_text_is_compressed_for_those_who_take_it(client: httpx.Client) -> None:
    packed = client.get("/a/", headers={"Accept-Encoding": "gzip"})
    plain = client.get("/a/", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert "Accept-Encoding" in packed.headers["vary"]


def test_a_head_is_answered_as_a_get_without_its_body(client: httpx.Client) -> None:
    found = client.head("/a/badge.json")
    assert (found.status_code, found.content) == (200, b"")
    assert found.headers["content-length"] == "2"


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
    with subprocess.Popen(SERVE, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        port = re.search(r":(\d+)/", server.stdout.readline())
        assert port
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", int(port[1]))) as connection:
                connection.sendall(b"nothing at all\r\n\r\n")
                assert connection.recv(100).startswith(b"HTTP/1.1 400")
        server.terminate()
        assert server.stderr.read() == ""


def test_a_client_that_takes_its_time_gets_all_of_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("winnow_dagster.serve.SECONDS_TO_ASK", 1)
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


def test_nobody_can_write(client: httpx.Client) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert client.request(method, "/a/badge.json").status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/a/.winnow-1-aa",
        "/a/%2ewinnow-1-aa",
        "/empty/",
        "/nothing",
        "/a/out",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/a/%2e%2e/%2e%2e/secret.txt",
        "/%252e%252e/secret.txt",
        "/a/..%5c..%5csecret.txt",
        "/a%00/badge.json",
    ],
)
def test_nothing_that_is_not_published_is_served(client: httpx.Client, path: str) -> None:
    # Raw: a client would tidy the path before it is sent.
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split(b" ")[1] == b"404"
    assert b"secret" not in answer
    assert b"staged" not in answer


def test_it_listens_on_loopback_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    for options, address in (([], "http://127.0.0.1:"), (["--host", "0.0.0.0"], "http://0.0.0.0:")):
        with subprocess.Popen([*SERVE, *options], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            assert address in server.stdout.readline()
            server.terminate()


def test_an_address_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    done = subprocess.run([*SERVE, "--host", "192.0.2.1"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "192.0.2.1, port 0: Cannot assign requested address. Choose another address with --host" in done.stderr


def test_without_anything_published_it_says_what_to_do_first(tmp_path: Path) -> None:
    done = subprocess.run(SERVE, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nothing is published yet. Run `winnow collect` first" in done.stderr
