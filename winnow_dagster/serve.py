"""Serving the web directory: static files, and nothing that is not published."""

from __future__ import annotations

import mimetypes
import os
import re
import socket
import stat
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import FileResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from winnow_dagster.site.template import POLICY

if TYPE_CHECKING:
    import asyncio

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = "127.0.0.1"

HEADERS = {
    # As often as shields.io asks at most.
    "Cache-Control": "public, max-age=300",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
PAGE_POLICY = f"{POLICY}; frame-ancestors 'none'"
FILE_POLICY = "default-src 'none'; img-src data:; sandbox"
"""For what is no page: a badge that is opened by itself runs nothing."""

SECONDS_TO_ASK, SECONDS_TO_TAKE = 10, 60
"""How long a client may take to say what it wants, and to take it."""

LONGEST_REQUEST = 64 * 1024
"""How many bytes a client may say before it is clear what it wants."""

MOST_WAITING = 64
"""How many requests of a client may wait for answers to those before them."""

SMALL = 256 * 1024
"""The bytes of a file up to which it is read at once, as it is at that moment."""

MOST_KEPT, LARGEST_KEPT = 256, 64 * 1024
"""How many answers are kept, and of how many bytes each may be."""

PLAIN_PATH = re.compile(r"(/[\w-][\w.-]*)*/?", re.ASCII)
"""A path that names a file as it stands: nothing to decode, no dotfile, no way up."""

PAGE = "text/html"
SHARED = {"application/json", "image/svg+xml", "text/csv"}
"""What pages of other sites may read."""


class PublishedFiles(StaticFiles):
    """Published files, with the headers that browsers and caches need; nothing whose name starts with a dot."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with a file, or with 404."""
        if any(part.startswith(".") and part != "." for part in path.split("/")):
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        # Of the path: an answer that nothing has changed names no type, and its headers replace those kept.
        kind = mimetypes.guess_type(path)[0] or PAGE
        response.headers["Content-Security-Policy"] = PAGE_POLICY if kind == PAGE else FILE_POLICY
        if kind in SHARED:
            response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Answer with a file, and with the length of what was read: it may be replaced at any moment."""
        if stat_result.st_size > SMALL or "range" in Headers(scope=scope):
            return super().file_response(full_path, stat_result, scope, status_code)
        with Path(full_path).open("rb") as file:
            response = super().file_response(full_path, os.fstat(file.fileno()), scope, status_code)
            return Response(file.read(), headers=response.headers) if isinstance(response, FileResponse) else response


@dataclass(frozen=True)
class Kept:
    """An answer, and the version of the file that it was made from."""

    version: tuple[int, ...]
    messages: tuple[Message, Message]


@dataclass
class RecentAnswers:
    """Keeps the latest answers, each until its file is replaced: ten times as many clients can be answered so."""

    app: ASGIApp
    folder: Path
    kept: OrderedDict[tuple[str, bool], Kept] = field(default_factory=OrderedDict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with what is kept, or ask the application and keep what it answers."""
        asked = _plain_question(scope)
        version = self._version(asked[0]) if asked else None
        if asked is None or version is None:
            await self.app(scope, receive, send)
            return
        kept = self.kept.get(asked)
        if kept is None or kept.version != version:
            await self.app(scope, receive, self._keeping(asked, version, send))
            return
        self.kept.move_to_end(asked)
        for message in kept.messages:
            await send(message)

    def _version(self, path: str) -> tuple[int, ...] | None:
        """Return what tells a file from the one that replaces it; None where there is no file."""
        try:
            found = os.stat(f"{self.folder}{path}{'index.html' * path.endswith('/')}")  # noqa: PTH116 - at each request
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size) if stat.S_ISREG(found.st_mode) else None

    def _keeping(self, asked: tuple[str, bool], version: tuple[int, ...], send: Send) -> Send:
        """Return how to send an answer, and keep it if it comes in one piece that is not too large."""
        start: Message | None = None

        async def keep(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message if message["status"] == 200 else None  # noqa: PLR2004 - OK
            else:
                is_whole = not message.get("more_body", False) and len(message["body"]) <= LARGEST_KEPT
                if start and is_whole:
                    self.kept[asked] = Kept(version, (start, message))
                    if len(self.kept) > MOST_KEPT:
                        self.kept.popitem(last=False)
                # What follows a first part is no whole.
                start = None
            await send(message)

        return keep


def _plain_question(scope: Scope) -> tuple[str, bool] | None:
    """Return the path that is asked for, and whether gzip is taken; None where the answer depends on more than that."""
    if scope["type"] != "http" or scope["method"] != "GET" or not PLAIN_PATH.fullmatch(scope["path"]):
        return None
    encodings = [value for name, value in scope["headers"] if name == b"accept-encoding"]
    if len(encodings) > 1 or any(name == b"range" or name.startswith(b"if-") for name, _ in scope["headers"]):
        return None
    return scope["path"], any(b"gzip" in value for value in encodings)


def make_app(folder: Path) -> ASGIApp:
    """Return the application that serves a web directory."""
    files = PublishedFiles(directory=folder, html=True)
    return RecentAnswers(Starlette(routes=[Mount("/", files)], middleware=[Middleware(GZipMiddleware)]), folder)


class ImpatientProtocol(HttpToolsProtocol):
    """HTTP for clients that say what they want, and take it, within a time; on others it hangs up."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the library has it
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._is_answering = False
        self._asked = 0
        self._end = self.loop.call_later(SECONDS_TO_ASK, self._hang_up)

    def data_received(self, data: bytes) -> None:
        """Take what has come of requests."""
        self._asked += len(data)
        super().data_received(data)
        self._watch()
        if self._asked > LONGEST_REQUEST or len(self.pipeline) > MOST_WAITING:
            self.transport.abort()

    def on_headers_complete(self) -> None:
        """Answer a request, or let it wait until those before it are answered."""
        super().on_headers_complete()
        self._asked = 0

    def on_body(self, body: bytes) -> None:
        """Take what nobody needs."""
        super().on_body(body)
        self._asked = 0

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, or to answer it."""
        super().on_response_complete()
        self._watch(is_next=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._end.cancel()
        super().connection_lost(exc)

    def _watch(self, *, is_next: bool = False) -> None:
        """Start the clock anew between asking and answering, not with each byte that comes."""
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if is_next or is_answering is not self._is_answering:
            self._is_answering = is_answering
            self._end.cancel()
            if is_answering:
                self._end = self.loop.call_later(SECONDS_TO_TAKE, self.transport.abort)
            else:
                self._end = self.loop.call_later(SECONDS_TO_ASK, self._hang_up)

    def _hang_up(self) -> None:
        """End what asks for nothing more, unless it is still taking what it was given."""
        if self.transport.get_write_buffer_size():
            self._end = self.loop.call_later(SECONDS_TO_TAKE - SECONDS_TO_ASK, self.transport.abort)
        else:
            self.transport.abort()


def make_server(folder: Path) -> uvicorn.Server:
    """Return what serves a web directory, on sockets that are given to it."""
    # Below an error there is a line for each request that is none: whoever sends them could fill the disk.
    return uvicorn.Server(
        uvicorn.Config(make_app(folder), log_level="error", access_log=False, http=ImpatientProtocol, ws="none")
    )


def run(folder: Path, host: str, port: int) -> None:
    """Serve `folder` until interrupted. Raises OSError where the address is not there to be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        shown = f"[{host}]" if ":" in host else host
        print(f"Badges at http://{shown}:{listener.getsockname()[1]}/ (stop with Ctrl-C)", flush=True)  # noqa: T201
        make_server(folder).run(sockets=[listener])
