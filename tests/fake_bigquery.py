"""A pretended BigQuery REST service (and Google token service) that answers what a test scripts.

For what an emulator never does: refuse, throttle, break down, hang up, hang. Each operation answers its script first,
one answer per call; after that, as a healthy service does.

    with fake() as service:
        service.script("insert", refused(503, "backendError"), reset())
        client = service.client()
"""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal
from urllib.parse import parse_qs, unquote, urlsplit

import polars as pl
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from winnow_dagster.core.categories import RAW_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date

Json = dict[str, Any]
Operation = Literal["insert", "get", "results", "query", "cancel", "table", "token"]

ROUTES: Final[tuple[tuple[str, re.Pattern[str], Operation], ...]] = (
    ("POST", re.compile(r"/bigquery/v2/projects/(?P<project>[^/]+)/jobs"), "insert"),
    ("GET", re.compile(r"/bigquery/v2/projects/(?P<project>[^/]+)/jobs/(?P<job>[^/]+)"), "get"),
    ("GET", re.compile(r"/bigquery/v2/projects/(?P<project>[^/]+)/queries/(?P<job>[^/]+)"), "results"),
    ("POST", re.compile(r"/bigquery/v2/projects/(?P<project>[^/]+)/queries"), "query"),
    ("POST", re.compile(r"/bigquery/v2/projects/(?P<project>[^/]+)/jobs/(?P<job>[^/]+)/cancel"), "cancel"),
    ("GET", re.compile(r"/bigquery/v2/projects/(?P<project>[^/]+)/datasets/[^/]+/tables/(?P<table>[^/]+)"), "table"),
    ("POST", re.compile(r"/token"), "token"),
)

TYPES: Final = {pl.Date: "DATE", pl.String: "STRING", pl.Boolean: "BOOLEAN", pl.Int64: "INTEGER"}

COLUMNS: Final[Mapping[str, str]] = {name: TYPES[type(kind)] for name, kind in RAW_SCHEMA.items()}
"""The columns of an answer to a count query, and their types."""

Cells = Mapping[str, object]
"""One row of an answer, by column name; a column without a cell is NULL."""


@dataclass(frozen=True)
class Call:
    """One request that the service got."""

    operation: Operation
    project: str
    job: str
    query: dict[str, list[str]]
    body: Json
    table: str = ""


@dataclass(frozen=True)
class Answer:
    """What to do with one request. With `cut`, hang up instead of answering; with `wait`, first wait for release().

    With `done`, do what was asked for before hanging up.
    """

    status: int = 200
    body: Json | str | None = None
    cut: bool = False
    wait: bool = False
    done: bool = False


def healthy() -> Answer:
    """Answer as if nothing were scripted."""
    return Answer()


def refused(status: int, reason: str, message: str = "scripted") -> Answer:
    """Answer with an HTTP error as BigQuery words them."""
    errors = [{"reason": reason, "message": message, "domain": "global"}]
    return Answer(status, {"error": {"code": status, "message": message, "errors": errors, "status": "SCRIPTED"}})


def plain(status: int, text: str) -> Answer:
    """Answer with text instead of JSON, as proxies and front ends do."""
    return Answer(status, text)


def reset() -> Answer:
    """Reset the connection."""
    return Answer(cut=True)


def lost() -> Answer:
    """Do what was asked for, then reset the connection: the answer is lost on its way."""
    return Answer(cut=True, done=True)


def hang() -> Answer:
    """Answer only once release() is called; then as if nothing were scripted."""
    return Answer(wait=True)


def job(state: Literal["PENDING", "RUNNING", "DONE"] = "DONE", reason: str = "", message: str = "scripted") -> Answer:
    """Answer insert, get or cancel with a job in this state; with a reason, one that failed for it."""
    status: Json = {"state": state}
    if reason:
        error = {"reason": reason, "message": message}
        status |= {"errorResult": error, "errors": [error]}
    return Answer(body={"status": status})


def incomplete() -> Answer:
    """Answer results with: the job is not done."""
    return Answer(body={"jobComplete": False})


@dataclass
class Service:
    """The running service: what it was asked, and what it is told to answer."""

    url: str = ""
    rows: Sequence[Cells] = ()
    rows_for: Callable[[dict[str, str]], Sequence[Cells]] | None = None
    """What a query returns, from its parameters, where it is not `rows`."""
    seconds: float = 0
    """How long each query takes."""
    page: int = 1000
    columns: Mapping[str, str] = field(default_factory=lambda: COLUMNS)
    modified: str = "4102444800000"
    """When the table was last written to, in milliseconds: in 2100."""
    partitions: Mapping[date, int] | None = None
    """The rows of the table's partitions; None: the table has none, as a view."""
    tells_partitions: bool = True
    """Whether `tables.get` on a partition tells the partition's rows; else it tells those of the whole table."""
    calls: list[Call] = field(default_factory=list)
    _scripts: dict[str, deque[Answer]] = field(default_factory=lambda: defaultdict(deque))
    _jobs: dict[str, Json] = field(default_factory=dict)
    _released: threading.Event = field(default_factory=threading.Event)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def script(self, operation: Operation, *answers: Answer) -> None:
        """Append answers to an operation's script."""
        self._scripts[operation].extend(answers)

    def heal(self) -> None:
        """Forget what is still scripted: be healthy from now on."""
        self._scripts.clear()

    def operations(self) -> list[str]:
        """Return the operations called, in order."""
        return [call.operation for call in self.calls]

    def wait_until(self, holds: Callable[[list[str]], bool], seconds: float = 20) -> None:
        """Wait until the operations called so far are such; TimeoutError if they are not in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: holds(self.operations()), seconds):
                raise TimeoutError(self.operations())

    def release(self) -> None:
        """Let go all that hangs."""
        self._released.set()

    def client(self, project: str = "winnow-test") -> bigquery.Client:
        """Return a client of the service. It needs no credentials."""
        return bigquery.Client(
            project=project,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": self.url},
        )

    def key(self, project: str = "winnow-test", **changes: str) -> Json:
        """Return a service account's key, made up, whose tokens this service gives out."""
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "project_id": project,
            "private_key_id": "made-up",
            "private_key": pem.decode(),
            "client_email": f"winnow@{project}.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": f"{self.url}/token",
            **changes,
        }

    def answer(self, call: Call) -> Answer:
        """Decide on the answer to a call."""
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()
            script = self._scripts[call.operation]
            scripted = script.popleft() if script else Answer()
        if scripted.wait:
            self._released.wait()
        if (scripted.cut and not scripted.done) or scripted.status >= 400 or isinstance(scripted.body, str):
            return scripted
        if call.job and call.job not in self._jobs:
            return refused(404, "notFound", f"Not found: Job {call.project}:{call.job}")
        if call.operation == "insert" and (again := self._refuse_repeated(call)):
            return again
        handlers: dict[Operation, Callable[[Call], Json]] = {
            "insert": self._insert,
            "get": self._job,
            "cancel": lambda call: {"kind": "bigquery#jobCancelResponse", "job": self._job(call)},
            "results": self._results,
            "query": self._query,
            "table": self._table,
            "token": lambda _: {"access_token": "made-up", "expires_in": 3600, "token_type": "Bearer"},
        }
        if call.operation == "table" and "$" in call.table and not self._has_partition(call.table):
            return refused(404, "notFound", f"Not found: Table {call.project}:pypi.{call.table}")
        body = handlers[call.operation](call)
        if scripted.cut:
            return scripted
        if scripted.body is not None:
            target = body["job"] if call.operation == "cancel" else body
            target.update(scripted.body)
            if scripted.body.get("jobComplete") is False:
                body = {k: v for k, v in body.items() if k in {"kind", "jobReference", "jobComplete"}}
        return Answer(scripted.status, body)

    def _refuse_repeated(self, call: Call) -> Answer | None:
        """Refuse a job id that was used before, as BigQuery does: a job never runs twice."""
        name = call.body["jobReference"]["jobId"]
        if name not in self._jobs:
            return None
        message = f"Already Exists: Job {call.project}:US.{name}"
        errors = [{"reason": "duplicate", "message": message, "domain": "global"}]
        return Answer(409, {"error": {"code": 409, "message": message, "errors": errors, "status": "ALREADY_EXISTS"}})

    def _insert(self, call: Call) -> Json:
        time.sleep(self.seconds)
        reference = {"location": "US", **call.body["jobReference"]}
        self._jobs[reference["jobId"]] = {
            "kind": "bigquery#job",
            "jobReference": reference,
            "configuration": call.body["configuration"],
            "status": {"state": "DONE"},
            "statistics": {"creationTime": "1", "query": {"totalBytesProcessed": "10", "totalBytesBilled": "10485760"}},
        }
        return dict(self._jobs[reference["jobId"]])

    def _job(self, call: Call) -> Json:
        return dict(self._jobs[call.job])

    def _query(self, call: Call) -> Json:
        reference = {"projectId": call.project, "jobId": call.body["requestId"]}
        body: Json = {"jobReference": reference, "configuration": {"query": {"query": call.body["query"]}}}
        inserted = self._insert(Call("insert", call.project, "", {}, body))
        done = self._results(Call("results", call.project, inserted["jobReference"]["jobId"], {}, {}))
        return {**done, "kind": "bigquery#queryResponse"}

    def _results(self, call: Call) -> Json:
        size = min(int(call.query.get("maxResults", [str(self.page)])[0]), self.page)
        first = int(call.query.get("pageToken", ["0"])[0])
        found, columns = self._answer_to(call.job)
        rows = found[first : first + size]
        body: Json = {
            "kind": "bigquery#getQueryResultsResponse",
            "jobReference": self._jobs[call.job]["jobReference"],
            "jobComplete": True,
            "totalRows": str(len(found)),
            "schema": {"fields": [{"name": n, "type": t, "mode": "NULLABLE"} for n, t in columns.items()]},
        }
        if rows:
            body["rows"] = [{"f": [{"v": _wire(row.get(name))} for name in columns]} for row in rows]
        if 0 < size < len(found) - first:
            body["pageToken"] = str(first + size)
        return body

    def _answer_to(self, name: str) -> tuple[Sequence[Cells], Mapping[str, str]]:
        """Return the rows and columns with which a job answers."""
        query = self._jobs[name]["configuration"]["query"]
        given = {p["name"]: p["parameterValue"].get("value", "") for p in query.get("queryParameters", ())}
        if "INFORMATION_SCHEMA.PARTITIONS" in query["query"]:
            ids = {f"{day:%Y%m%d}": rows for day, rows in (self.partitions or {}).items()}
            found = [
                {"partition_id": day, "total_rows": rows}
                for day, rows in ids.items()
                if given["first"] <= day <= given["last"]
            ]
            return found, {"partition_id": "STRING", "total_rows": "INTEGER"}
        rows = self.rows_for(given) if self.rows_for else self.rows
        columns = self.columns
        if asked := re.findall(r'= 0 THEN "(\w+)"', query["query"]):
            columns = _with_breakdown(columns)
            # Scripted rows are of clients that say nothing of themselves, unless some say otherwise.
            if not any("dimension" in row for row in rows):
                rows = [*rows, *(row for name in asked for row in _unsaid(name, rows))]
        if "AS unnamed" not in query["query"]:
            return rows, columns
        # A scripted row names the file in all that it counts, unless it says otherwise.
        return [{"unnamed": 0, **row} for row in rows], {**columns, "unnamed": "INTEGER"}

    def _has_partition(self, table: str) -> bool:
        if not self.tells_partitions:
            return True
        return any(table.endswith(f"${day:%Y%m%d}") for day in self.partitions or {})

    def _table(self, call: Call) -> Json:
        name, _, partition = call.table.partition("$")
        reference = {"projectId": call.project, "datasetId": "pypi", "tableId": name}
        table = {
            "kind": "bigquery#table",
            "tableReference": reference,
            "type": "TABLE",
            "lastModifiedTime": self.modified,
        }
        if self.partitions is None:
            return table
        rows = {f"{day:%Y%m%d}": count for day, count in self.partitions.items()}
        whole = sum(rows.values())
        return table | {
            "numRows": str(rows[partition] if partition and self.tells_partitions else whole),
            "timePartitioning": {"type": "DAY", "field": "timestamp"},
        }


def _with_breakdown(columns: Mapping[str, str]) -> dict[str, str]:
    """Return the columns of an answer with breakdowns."""
    *keys, downloads = columns.items()
    return dict([*keys, ("dimension", "STRING"), ("value", "STRING"), downloads])


def _unsaid(dimension: str, rows: Sequence[Cells]) -> list[Cells]:
    """Return the rows of a breakdown in which no row of the log says its value."""
    sums: dict[tuple[object, ...], int] = defaultdict(int)
    keys = ("date", "package", "installer", "ci")
    for row in rows:
        sums[tuple(row.get(key) for key in keys)] += int(str(row["downloads"]))
    return [
        {**dict(zip(keys, found, strict=True)), "dimension": dimension, "value": "", "downloads": downloads}
        for found, downloads in sums.items()
    ]


def _wire(value: object) -> str | None:
    """Return a value as BigQuery's JSON has it: text, `true` or `false`, or null."""
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def encoded(key: Json) -> str:
    """Return a key as dagster-gcp's `gcp_credentials` wants it."""
    return base64.b64encode(json.dumps(key).encode()).decode()


@contextmanager
def fake(rows: Sequence[Cells] = (), page: int = 1000) -> Iterator[Service]:
    """Run the service on a free port; its queries return `rows` (COLUMNS), `page` at a time."""
    service = Service(rows=rows, page=page)
    handler = type("Bound", (Handler,), {"service": service})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        service.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield service
        finally:
            service.release()
            server.shutdown()
            thread.join()


class Handler(BaseHTTPRequestHandler):
    """Speak HTTP."""

    # 1.0: no connection outlives its answer, so that the server closes at once and no client keeps a socket open.
    protocol_version = "HTTP/1.0"
    service: ClassVar[Service]

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        url = urlsplit(self.path)
        for method, path, operation in ROUTES:
            found = path.fullmatch(unquote(url.path))
            if found and method == self.command:
                place = {"project": "", "job": "", "table": "", **found.groupdict()}
                body = json.loads(raw) if raw and operation != "token" else {}
                self._send(self.service.answer(Call(operation, **place, query=parse_qs(url.query), body=body)))
                return
        self._send(refused(404, "notFound", f"{self.command} {url.path} is not pretended"))

    def _send(self, answer: Answer) -> None:
        if answer.cut:
            # Lingering for 0 seconds makes the close a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        data = text.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "text/html" if isinstance(answer.body, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        with suppress(ConnectionError):  # the client of a call that hung may be gone
            self.end_headers()
            self.wfile.write(data)
