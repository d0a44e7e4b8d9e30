"""Serving the web directory: static files, and nothing that is not published."""

from __future__ import annotations

import mimetypes
import os
import socket
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

from winnow_dagster.impatient import ImpatientProtocol
from winnow_dagster.recent_answers import RecentAnswers
from winnow_dagster.site.template import POLICY

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Scope

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

SMALL = 256 * 1024
"""The bytes of a file up to which it is read at once, as it is at that moment."""

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


def make_app(folder: Path) -> ASGIApp:
    """Return the application that serves a web directory."""
    files = PublishedFiles(directory=folder, html=True)
    return RecentAnswers(Starlette(routes=[Mount("/", files)], middleware=[Middleware(GZipMiddleware)]), folder)


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
