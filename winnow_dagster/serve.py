"""Serving the web directory: static files, and nothing that is not published."""

from __future__ import annotations

import mimetypes
import socket
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from uvicorn.protocols.http.h11_impl import H11Protocol

from winnow_dagster.site.template import POLICY

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from starlette.responses import Response
    from starlette.types import Scope

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


def make_app(folder: Path) -> Starlette:
    """Return the application that serves a web directory."""
    return Starlette(
        routes=[Mount("/", PublishedFiles(directory=folder, html=True))], middleware=[Middleware(GZipMiddleware)]
    )


class ImpatientProtocol(H11Protocol):
    """HTTP for clients that say what they want, and take it, within a time; on others it hangs up."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the library has it
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._is_answering = False
        self._end = self.loop.call_later(SECONDS_TO_ASK, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Take what has come of a request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._end.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Start the clock anew between asking and answering, not with each byte that comes."""
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if is_answering is not self._is_answering:
            self._is_answering = is_answering
            self._end.cancel()
            seconds = SECONDS_TO_TAKE if is_answering else SECONDS_TO_ASK
            self._end = self.loop.call_later(seconds, self.transport.abort)


def run(folder: Path, host: str, port: int) -> None:
    """Serve `folder` until interrupted. Raises OSError where the address is not there to be used."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        shown = f"[{host}]" if ":" in host else host
        print(f"Badges at http://{shown}:{listener.getsockname()[1]}/ (stop with Ctrl-C)", flush=True)  # noqa: T201
        config = uvicorn.Config(make_app(folder), log_level="warning", http=ImpatientProtocol, ws="none")
        server = uvicorn.Server(config)
        server.run(sockets=[listener])
