"""A bucket over HTTP: an emulator of Google Cloud Storage, behind a service that adds what the emulator lacks.

The emulator takes no notice of preconditions (`ifGenerationMatch`), so the service checks them before it passes a
request on. It remembers each request, and can refuse some, take its time, or say nothing more.

    with gcs_emulator() as emulator, bucket_service(emulator) as service:
        service.refuse("a/history.json", 503, times=2)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", service.url)
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

import google_crc32c
from gcp_storage_emulator.server import Server, create_server

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKETS = ("public-bucket", "data-bucket")
OBJECT = re.compile(
    r"(?:/upload|/download)?/storage/v1/b/(?P<bucket>[^/]+)/o(?:/(?P<name>[^/?]+))?(?P<copy>/copyTo/.*|/rewriteTo/.*)?"
)
JSON = {"Content-Type": "application/json"}
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}


@dataclass(frozen=True)
class Asked:
    """A request that the service got, and what it answered."""

    what: str
    """`write`, `read`, `look`, `list`, `copy` or `remove`."""

    name: str
    status: int


@dataclass
class Service:
    """What a test may ask of the service."""

    scheme: ClassVar[str] = "gs"
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    most_at_once: int = 0
    seconds: float = 0.0
    """How long each request takes."""

    refusals: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    words: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    """The reason and the message of a refused request, as Google words them."""

    obeyed: set[str] = field(default_factory=set)
    """Objects of which a refused request is carried out all the same: its answer was lost on the way."""

    garbled: set[str] = field(default_factory=set)
    """Objects whose content is damaged on the way to who reads it."""

    ignores_preconditions: bool = False
    """Whether it takes every write, as some services with the API of another do."""

    backend: tuple[str, int] = ("", 0)
    under_way: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)
    on_write: threading.Event = field(default_factory=threading.Event)

    def refuse(
        self, name: str, status: int, times: int = 1000, what: str = "write", words: tuple[str, str] | None = None
    ) -> None:
        """Answer that many requests of a kind for an object with a status, a reason and a message."""
        self.refusals[what, name] = [status] * times
        if words:
            self.words[what, name] = words

    def written(self) -> list[str]:
        """The objects that were written, in order."""
        return [each.name for each in self.asked if each.what == "write" and 200 <= each.status < 300]

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a client finds the service."""
        return {"STORAGE_EMULATOR_HOST": self.url}

    def forget(self) -> None:
        self.asked.clear()
        self.most_at_once = 0

    def objects(self, bucket: str) -> dict[str, dict[str, Any]]:
        """What is in a bucket, by name, as the emulator has it."""
        _, _, content = self.ask("GET", f"/storage/v1/b/{bucket}/o?maxResults=100000")
        return {item["name"]: item for item in json.loads(content).get("items", ())}

    def headers(self, bucket: str, name: str) -> dict[str, Any]:
        """The headers that an object was written with."""
        found = self.objects(bucket)[name]
        return {"Content-Type": found["contentType"], "Cache-Control": found.get("cacheControl")}

    def content(self, bucket: str) -> dict[str, bytes]:
        """The content of each object of a bucket."""
        return {
            name: self.ask("GET", f"/download/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media")[2]
            for name in self.objects(bucket)
        }

    def make(self, bucket: str) -> None:
        """Make an empty bucket."""
        self.ask("POST", "/storage/v1/b?project=winnow", json.dumps({"name": bucket}).encode(), JSON)

    def put(self, bucket: str, name: str, content: bytes) -> None:
        """Write an object, as somebody else would."""
        path = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(name, safe='')}"
        self.ask("POST", path, content, {"Content-Type": "application/octet-stream"})

    def remove(self, bucket: str, name: str) -> None:
        """Remove an object, as somebody else would."""
        self.ask("DELETE", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}")

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Pass a request on to the emulator, one at a time."""
        with self.lock:
            connection = HTTPConnection(*self.backend, timeout=30)
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            return answer.status, dict(answer.getheaders()), content

    def generation(self, bucket: str, name: str) -> int:
        """The generation of an object; 0 where there is none."""
        status, _, content = self.ask("GET", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}")
        return int(json.loads(content)["generation"]) if status == 200 else 0


@contextmanager
def gcs_emulator() -> Iterator[Server]:
    """Run the emulator of Google Cloud Storage."""
    with create_server("127.0.0.1", 0, in_memory=True) as emulator:
        yield emulator


@contextmanager
def bucket_service(emulator: Server) -> Iterator[Service]:
    """Empty the emulator, and serve its buckets until the end."""
    emulator.wipe()
    service = Service()
    service.backend = emulator._api._httpd.server_address  # noqa: SLF001 - it tells its port nowhere else
    for name in BUCKETS:
        service.make(name)
    with serving(service, Handler):
        yield service


@contextmanager
def serving(service: Service, handler: type[Handler]) -> Iterator[None]:
    """Pass requests on to a service's backend until the end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (handler,), {"behind": service}))
    # Until the next poll, shutdown() waits: half a second by default.
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Handler(BaseHTTPRequestHandler):
    """Answers requests: remembers them, refuses some, and passes the others on."""

    behind: Service
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def dropped(self) -> set[str]:
        """The headers that are not passed on."""
        return HOP | ({"if-match", "if-none-match"} if self.behind.ignores_preconditions else set())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the library has it
        pass

    def _answer(self) -> None:
        service = self.behind
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with service.lock:
            service.under_way += 1
            service.most_at_once = max(service.most_at_once, service.under_way)
        if service.seconds:
            time.sleep(service.seconds)
        what, bucket, name = self._what(body)
        with service.lock:
            refused = self._refusal(what, bucket, name)
            if not refused or name in service.obeyed:
                headers = {k: v for k, v in self.headers.items() if k.lower() not in self.dropped}
                answered = service.ask(self.command, self.path, body, headers)
            status, headers, content = refused or answered
            if what == "read" and name in service.garbled:
                checksum = google_crc32c.value(content).to_bytes(4, "big")
                headers["X-Goog-Hash"] = f"crc32c={base64.b64encode(checksum).decode()}"
                content = content[::-1]
            service.asked.append(Asked(what, name, status))
            service.under_way -= 1
        self.send_response(status)
        for key, value in headers.items():
            if key.lower() not in HOP:
                self.send_header(key, value)
        size = next((v for k, v in headers.items() if k.lower() == "content-length"), "0")
        self.send_header("Content-Length", size if self.command == "HEAD" else str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        if what == "write":
            service.on_write.set()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - as the library has it

    def _what(self, body: bytes) -> tuple[str, str, str]:
        url = urlsplit(self.path)
        found = OBJECT.fullmatch(url.path)
        if not found:
            # Google's client looks at a bucket by itself.
            return "bucket", "", url.path
        name = unquote(found["name"] or "")
        if self.command == "DELETE":
            return "remove", found["bucket"], name
        if found["copy"]:
            return "copy", found["bucket"], name
        if self.command in {"POST", "PUT"}:
            described = re.search(rb'"name": ?("(?:[^"\\]|\\.)*")', body)
            assert described, body[:200]
            return "write", found["bucket"], json.loads(described[1])
        if not name:
            return "list", found["bucket"], parse_qs(url.query).get("prefix", [""])[0]
        is_content = url.path.startswith("/download") or "alt=media" in url.query
        return "read" if is_content else "look", found["bucket"], name

    def _refusal(self, what: str, bucket: str, name: str) -> tuple[int, dict[str, str], bytes] | None:
        left = self.behind.refusals.get((what, name))
        if left:
            reason, message = self.behind.words.get((what, name), ("refused by the test",) * 2)
            return self._error(left.pop(), reason, message)
        return self._check(bucket, name)

    def _check(self, bucket: str, name: str) -> tuple[int, dict[str, str], bytes] | None:
        """Refuse what names a generation that is not there."""
        asked = parse_qs(urlsplit(self.path).query)
        wanted = asked.get("ifGenerationMatch") or asked.get("ifSourceGenerationMatch")
        if wanted and not self.behind.ignores_preconditions and int(wanted[0]) != self.behind.generation(bucket, name):
            return self._error(412, "conditionNotMet")
        return None

    def _error(self, status: int, reason: str, message: str = "") -> tuple[int, dict[str, str], bytes]:
        errors = [{"message": message or reason, "domain": "global", "reason": reason}]
        error = {"error": {"code": status, "message": message or reason, "errors": errors}}
        return status, JSON, json.dumps(error).encode()
