"""A ClickHouse server for tests: the real engine, chdb, behind HTTP, with the faults of ClickPy's public server.

The engine allows one session per process. Each replica of the server is a table of it.
"""

from __future__ import annotations

import importlib
import json
import re
import threading
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

COLUMNS: Final = """
    date Date,
    country_code LowCardinality(String),
    project String,
    type LowCardinality(String),
    installer LowCardinality(String),
    python_minor LowCardinality(String),
    system LowCardinality(String),
    version String,
    ci Enum8('false' = 0, 'true' = 1, 'unknown' = 2) DEFAULT 'unknown',
    libc Tuple(lib LowCardinality(String), version LowCardinality(String)),
    filename String"""
"""The schema of ClickPy's table."""

LIMITS_OF_DEMO: Final = {
    "max_result_rows": "10000",
    "max_result_bytes": "10000000",
    "max_execution_time": "60",
    "max_rows_to_read": "1000000000",
    "max_bytes_to_read": "50000000000",
    "read_overflow_mode": "break",
    "result_overflow_mode": "break",
    "timeout_overflow_mode": "break",
}
TRANSPORT = frozenset(
    {"database", "query_id", "wait_end_of_query", "client_protocol_version", "enable_http_compression", "compress"}
)
FORBIDDEN = "Cannot modify '{}' setting in readonly mode. (READONLY)"
CONSTRAINED = "Setting {} should not be changed. (SETTING_CONSTRAINT_VIOLATION)"


@dataclass(frozen=True)
class Refusal:
    """An answer that is an error."""

    status: int
    code: int | None
    text: str


QUOTA = Refusal(500, 201, "Quota for user `demo` for 3600s has been exceeded: queries = 61/60. (QUOTA_EXCEEDED)")
BUSY = Refusal(429, None, "Too Many Requests")


@dataclass
class Engine:
    """The engine, with one table for each replica."""

    session: Any
    lock: threading.RLock = field(default_factory=threading.RLock)

    def create(self, replica: str = "pypi") -> None:
        """Create an empty table, or empty the existing one."""
        with self.lock:
            self.session.query("CREATE DATABASE IF NOT EXISTS pypi")
            self.session.query(f"DROP TABLE IF EXISTS pypi.{replica}")
            self.session.query(
                f"CREATE TABLE pypi.{replica} ({COLUMNS}) ENGINE = MergeTree "
                "ORDER BY (project, date, version, country_code, python_minor, system)"
            )

    def insert(
        self,
        days: date | Sequence[date],
        project: str,
        times: int = 1,
        *,
        replica: str = "pypi",
        libc: str = "",
        **values: str,
    ) -> None:
        """Insert a row several times on each day."""
        dates = ", ".join(f"'{day}'" for day in ([days] if isinstance(days, date) else days))
        values = {"installer": "pip", "system": "Linux", "ci": "false", **values, "project": project}
        columns, texts = ", ".join(values), ", ".join(f"'{value}'" for value in values.values())
        with self.lock:
            self.session.query(
                f"INSERT INTO pypi.{replica} (date, libc, {columns}) "
                f"SELECT toDate(arrayJoin([{dates}])), ('{libc}', ''), {texts} FROM numbers({times})"
            )


@contextmanager
def engine() -> Iterator[Engine]:
    """Yield the engine of this process."""
    with TemporaryDirectory() as folder:
        # An extra has it. Without the import statement, mypy needs it neither there nor absent.
        session = importlib.import_module("chdb.session").Session(folder)
        try:
            yield Engine(session)
        finally:
            session.close()


@dataclass
class Service:
    """A server, what it was asked, and its faults."""

    engine: Engine
    port: int = 0
    user: str = "demo"
    password: str = ""
    settings: dict[str, str] = field(default_factory=lambda: dict(LIMITS_OF_DEMO))
    fixed: Sequence[str] = ()
    """The settings that `system.settings` marks as readonly, and that the server does not accept."""

    constrained: Sequence[str] = ()
    """The settings that the server does not accept, although `system.settings` does not say so."""

    refusals: list[Refusal] = field(default_factory=list)
    """What the next queries of the table get instead of an answer."""

    refused_packages: dict[str, Refusal] = field(default_factory=dict)
    """What each query for these packages gets instead of an answer."""

    exceptions: list[str] = field(default_factory=list)
    """The exceptions with which the next answers end, after status 200 and whole blocks."""

    hangs_up: bool = False
    """Whether the server hangs up after the last block of each answer, before the end of the response."""

    cuts_off: bool = False
    """Whether each response ends in the middle of a block."""

    replicas: list[str] = field(default_factory=lambda: ["pypi"])
    """The tables that answer the next queries. The last one answers all later queries too."""

    has_summary: bool = True
    asked: list[Mapping[str, str]] = field(default_factory=list)
    """The parameters and settings of each query of the table."""

    def replica(self) -> str:
        """Return the table that answers now."""
        return self.replicas.pop(0) if len(self.replicas) > 1 else self.replicas[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    service: Service

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        given = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        user, _, password = (
            b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode().partition(":")
        )
        if (user, password) != (self.service.user, self.service.password):
            self._refuse(Refusal(403, 516, f"{user}: Authentication failed. (AUTHENTICATION_FAILED)"))
        elif "`pypi`" in text:
            self._answer_count(text, given)
        else:
            fixed = ", ".join(f"'{name}'" for name in ("", *self.service.fixed))
            told = ", ".join([f"'{name}', '{value}'" for name, value in self.service.settings.items()])
            self._answer(
                re.sub(
                    r"\bsystem\.settings\b",
                    f"(SELECT * REPLACE(if(name IN ({fixed}), 1, readonly) AS readonly, "
                    f"if(mapContains(map({told}), name), map({told})[name], value) AS value) FROM system.settings)",
                    text,
                ),
                {},
            )

    def _answer_count(self, text: str, given: Mapping[str, str]) -> None:
        service = self.service
        service.asked.append(given)
        settings = {name: value for name, value in given.items() if not name.startswith("param_")}
        for name in settings.keys() - TRANSPORT:
            for refused, code, why in ((service.fixed, 164, FORBIDDEN), (service.constrained, 452, CONSTRAINED)):
                if name in refused:
                    self._refuse(Refusal(500, code, why.format(name)))
                    return
        refusal = service.refusals.pop(0) if service.refusals else None
        refusal = refusal or service.refused_packages.get(given.get("param_package", ""))
        if refusal:
            self._refuse(refusal)
            return
        own = {name: value for name, value in settings.items() if name not in TRANSPORT}
        parameters = {name: value for name, value in given.items() if name.startswith("param_")}
        self._answer(
            text.replace("`pypi`.`pypi`", f"pypi.{service.replica()}"), {**service.settings, **own, **parameters}
        )

    def _answer(self, text: str, settings: Mapping[str, str]) -> None:
        engine = self.service.engine
        with engine.lock:
            for name, value in settings.items():
                engine.session.query(f"SET {name} = '{value}'")
            try:
                result = engine.session.query(text, "TabSeparated")
                body = bytes(result.bytes())
                summary = {"read_rows": str(result.storage_rows_read()), "read_bytes": str(result.storage_bytes_read())}
            except RuntimeError as error:
                code = re.match(r"Code: (\d+)", str(error))
                self._refuse(Refusal(500, int(code[1]) if code else None, str(error)))
                return
            finally:
                for name in settings.keys() & LIMITS_OF_DEMO.keys():
                    engine.session.query(f"SET {name} = DEFAULT")
        if settings and self.service.exceptions:
            body += self.service.exceptions.pop(0).encode()
        if settings and self.service.cuts_off:
            body = body[: len(body) // 2]
        headers = {"X-ClickHouse-Summary": json.dumps(summary)} if self.service.has_summary else {}
        if settings and self.service.hangs_up:
            headers["Content-Length"] = str(len(body) + 1)
            self.close_connection = True
        self._send(200, body, headers)

    def _refuse(self, refusal: Refusal) -> None:
        headers = {} if refusal.code is None else {"X-ClickHouse-Exception-Code": str(refusal.code)}
        text = refusal.text
        if refusal.code is not None and not text.startswith("Code:"):
            text = f"Code: {refusal.code}. DB::Exception: {text} (version 26.5.1.1)"
        self._send(refusal.status, text.encode(), headers)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serve(engine: Engine, **changes: Any) -> Iterator[Service]:
    """Yield a server over the engine."""
    service = Service(engine, **changes)
    handler = type("Handler", (_Handler,), {"service": service})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        service.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
