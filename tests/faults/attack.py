"""Attacks on what is served, by `winnow serve` and by Caddy with deploy/Caddyfile.

Ways out of the directory, requests that are odd, long or slow, and as many as wrk can send.

Nothing but published files comes out, nothing crashes, and memory stays flat. Needs caddy and wrk.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import shutil
import socket
import string
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from tests.serving import resident, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOY = Path(__file__).parents[2] / "deploy"
SECRET = b"nobody-may-see-this"
SLOW = 200
WRK_SECONDS = 20


@dataclass(frozen=True)
class Server:
    """A server at work: what it is called, where it listens, and its process."""

    name: str
    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def memory(self) -> float:
        """Return the resident memory, in MB."""
        return resident(self.pid)


@contextmanager
def winnow_serve(folder: Path) -> Iterator[Server]:
    with serving(folder) as (process, port):
        yield Server("winnow serve", port, process.pid)
        assert process.poll() is None, "winnow serve has ended"


@contextmanager
def caddy(folder: Path) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = (DEPLOY / "Caddyfile").read_text().replace("\tservers {", "\tadmin off\n\tservers {", 1)
    (folder / "Caddyfile").write_text(text)
    environment = {
        "WINNOW_SITE": f"http://127.0.0.1:{port}",
        "WINNOW_PUBLIC": str(folder / "public"),
        "HOME": str(folder),
    }
    command = ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    with subprocess.Popen(command, env=environment | {"PATH": os.environ["PATH"]}, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert any(b"serving initial configuration" in line for line in process.stderr)
        # Its log goes on.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            yield Server("caddy", port, process.pid)
            assert process.poll() is None, "caddy has ended"
        finally:
            process.terminate()


def targets(chance: random.Random, times: int) -> Iterator[bytes]:
    """Yield request targets that lead outside, to dotfiles, or nowhere."""
    ups = [b"../", b"..%2f", b"%2e%2e/", b"%2e%2e%2f", b"%252e%252e%252f", b"..%5c", b"..\\", b"....//", b"..;/"]
    ups += [b"%c0%ae%c0%ae/", b".%00./", b"//", b"/./"]
    ends = [b"secret.txt", b"winnow.yaml", b"etc/passwd", b".winnow-1-aa", b"%2ewinnow-1-aa", b"data/ledger.jsonl"]
    ends += [b"a/out", b"a%00", b"a/.winnow-1-aa", b"index.html%00.svg", b"?x=../secret.txt"]
    ends += [b"#", b"%", b"%zz", b"a" * 9000, b"a/" * 3000]
    for up, end, deep in itertools.product(ups, ends, (1, 2, 8)):
        yield b"/" + up * deep + end
        yield b"/a/" + up * deep + end
    for _ in range(times):
        parts = [chance.choice((*ups, *ends[:11], chance.randbytes(5), b"a/")) for _ in range(chance.randrange(1, 9))]
        yield b"/" + b"".join(parts).replace(b"\n", b"").replace(b"\r", b"")


def odd_requests(chance: random.Random, times: int) -> Iterator[bytes]:
    """Yield requests that are none, or that nobody sends."""
    yield b"\r\n\r\n"
    yield b"GET\r\n\r\n"
    yield b"GET / HTTP/9.9\r\nHost: a\r\n\r\n"
    yield b"GET / HTTP/1.1\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 100_000 + b"\r\n"
    yield b"GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0,-1,5-2,0-99999999999999999999\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=" + b"0-1," * 10_000 + b"\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: " + b'"a",' * 10_000 + b"\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: a\r\n\r\n"
    yield b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield b"\x16\x03\x01" + bytes(200)
    for _ in range(times):
        yield chance.randbytes(chance.randrange(1, 400)) + b"\r\n\r\n"


def ask(server: Server, request: bytes) -> bytes:
    """Send bytes on a connection of their own; return all that comes back before it is closed, or for a second."""
    found = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=1) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while more := connection.recv(65536):
                found += more
        except OSError:
            return found
    return found


def hold(server: Server, seconds: float) -> tuple[int, float]:
    """Open connections that never ask in full; return how many still stand after a while, and the memory in MB."""
    slow = []
    for n in range(SLOW):
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " if n % 2 else b"")
        slow.append(connection)
    assert httpx.get(server.url, timeout=10).status_code == 200, "nobody else is answered"
    memory, end = server.memory(), time.monotonic() + seconds
    standing = len(slow)
    while standing and time.monotonic() < end:
        time.sleep(0.5)
        standing = sum(is_open(connection) for connection in slow)
    for connection in slow:
        connection.close()
    return standing, memory


def is_open(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def hammer(server: Server, path: str) -> str:
    """Send as many requests as wrk can for a while; return what it tells."""
    command = ["wrk", "-t2", "-c100", f"-d{WRK_SECONDS}s", server.url + path]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in told, told
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    assert rate
    errors = re.search(r"Socket errors: (.*)", told)
    return f"{float(rate[1]):,.0f} requests a second" + (f" ({errors[1]})" if errors else "")


def run(times: int, seed: int) -> Iterator[str]:
    """Attack both servers, with `times` random targets and requests each; yield what came of it."""
    for tool in ("caddy", "wrk"):
        if not shutil.which(tool):
            raise SystemExit(f"{tool} is not installed")
    with tempfile.TemporaryDirectory(prefix="winnow-attack-") as name:
        folder = Path(name)
        (folder / "public" / "a").mkdir(parents=True)
        (folder / "data").mkdir()
        for path in ("secret.txt", "data/ledger.jsonl", "public/.winnow-1-aa", "public/a/.winnow-1-aa"):
            (folder / path).write_bytes(SECRET)
        (folder / "winnow.yaml").write_text(f"packages: [{{name: a}}]  # {SECRET.decode()}")
        (folder / "public/a/out").symlink_to(folder / "secret.txt")
        (folder / "public/index.html").write_text("<h1>Badges</h1>" + string.ascii_letters * 100)
        (folder / "public/a/badge.json").write_text('{"schemaVersion": 1}')
        for start in (winnow_serve, caddy):
            with start(folder) as server:
                yield from attack(server, times, seed)


def attack(server: Server, times: int, seed: int) -> Iterator[str]:
    chance = random.Random(seed)
    tried = 0
    for target in targets(chance, times):
        found = ask(server, b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        # A link that somebody put into the directory is theirs to follow; caddy does.
        assert SECRET not in found or (server.name == "caddy" and b"a/out" in target), (server.name, target)
        assert b"root:" not in found, (server.name, target)
        assert not found.startswith((b"HTTP/1.1 500", b"HTTP/1.0 500")), (server.name, target)
        tried += 1
    for request in odd_requests(chance, times):
        found = ask(server, request)
        assert SECRET not in found, (server.name, request[:80])
        assert not found.startswith((b"HTTP/1.1 500", b"HTTP/1.0 500")), (server.name, request[:80])
        tried += 1
    assert httpx.get(server.url).status_code == 200
    yield f"{server.name}: {tried:,} requests, none led outside, none ended it"
    standing, memory = hold(server, 40)
    yield f"{server.name}: of {SLOW} slow clients {standing} are still listened to after 40 s; {memory:.0f} MB"
    assert standing == 0
    first = hammer(server, "/a/badge.json")
    before = server.memory()
    second = hammer(server, "/a/badge.json")
    after = server.memory()
    yield f"{server.name}: {first}, {second}; {before:.0f} MB, then {after:.0f} MB"
    assert after < before * 1.2 + 5, "memory grows"
