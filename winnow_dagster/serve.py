"""Serve the web directory with granian, to try it out. In production a web server such as Caddy serves it.

Starlette finds the files, and granian speaks HTTP. This module only adds headers, and limits for clients.
"""

from __future__ import annotations

import mimetypes
import os
import resource
import socket
import sys
import threading
import time
import webbrowser
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from winnow_dagster.output import Output
from winnow_dagster.site.template import CONTENT_POLICY

if TYPE_CHECKING:
    from starlette.types import Scope

HEADERS = {
    # shields.io asks no more often than that.
    "Cache-Control": "public, max-age=300",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
PAGE_POLICY = f"{CONTENT_POLICY}; frame-ancestors 'none'"
FILE_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"
"""The Content-Security-Policy of all files except pages. A picture that a browser opens as a page runs no script.

Inline style colours `chart.svg`. It can load nothing.
"""

PAGE = "text/html"
SHARED = {"application/json", "image/svg+xml", "text/csv"}
"""The content types that scripts of other sites may read."""

MAX_READ_AT_ONCE = 256 * 1024
"""Up to this size, the server reads a file in one piece. It streams larger files."""

HEADER_SECONDS = 10
"""How long a client may take to send the headers of a request, and to begin the next request."""

STOP_SECONDS = 2
"""How long granian waits for unfinished responses when it is stopped."""

START_SECONDS, POLL_SECONDS = 30, 0.05
"""How long to wait for the server before Winnow opens no browser, and how often it tries to connect."""

MAX_BUFFER = 64 * 1024
"""The size of granian's buffer for a connection. granian refuses longer headers."""

MAX_CONNECTIONS = 1024
FILES_PER_CONNECTION = 2
"""Each connection has a socket, and at most one open file."""

OTHER_FILES = 64
"""How many files the process itself may have open."""


class PublishedFiles(StaticFiles):
    """Published files with the headers that browsers and caches need. Hides files whose names start with a dot."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with a file, with a redirect to a folder's page, or with 404."""
        if any(part.startswith(".") and part != "." for part in path.split("/")):
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        if isinstance(response, FileResponse) and response.status_code == HTTPStatus.NOT_FOUND:
            return _format_missing(Path(response.path))
        if isinstance(response, RedirectResponse):
            # Starlette's redirect repeats the Host header, which the client chooses.
            response.headers["Location"] = f"./{quote(path.rpartition('/')[2])}/"
        return response

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Answer with a file. Its own name decides its type, since a folder may be called `discord.py`."""
        response = self._whole_file(full_path, stat_result, scope, status_code)
        response.headers.update(HEADERS)
        kind = mimetypes.guess_type(full_path)[0]
        response.headers["Content-Security-Policy"] = PAGE_POLICY if kind == PAGE else FILE_POLICY
        if kind in SHARED:
            response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    def _whole_file(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int
    ) -> Response:
        """Read a small file in one piece. Otherwise a run may replace it after the length was sent."""
        if stat_result.st_size > MAX_READ_AT_ONCE or "range" in Headers(scope=scope):
            return super().file_response(full_path, stat_result, scope, status_code)
        with Path(full_path).open("rb") as file:
            response = super().file_response(full_path, os.fstat(file.fileno()), scope, status_code)
            return Response(file.read(), headers=response.headers) if isinstance(response, FileResponse) else response


def _format_missing(page: Path) -> Response:
    """Return the answer for a missing file. The file may be published within a minute, so no cache keeps the answer."""
    headers = {**HEADERS, "Cache-Control": "no-cache", "Content-Security-Policy": PAGE_POLICY}
    return Response(page.read_bytes(), HTTPStatus.NOT_FOUND, headers, PAGE)


def make_app(folder: Path, path: str = "") -> Starlette:
    """Return the application that serves a web directory.

    `path`: the path of the site's address. The directory is there too, since the links of 404.html begin with it.
    """
    files = PublishedFiles(directory=folder, html=True)
    is_free = path and not (folder / path.strip("/").split("/")[0]).exists()
    return Starlette(routes=[*([Mount(path, files)] if is_free else []), Mount("/", files)])


def run(folder: Path, host: str, port: int, *, path: str = "", opens_browser: bool = False) -> None:
    """Serve `folder` until interrupted, and open it in the user's browser if asked to.

    `path`: the path of the site's address. Raises OSError if it cannot listen at that address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # granian takes no host names, does not report the port that it chose, and shares a port with other listeners.
    with socket.create_server((host, port), family=family) as free:
        address, port = free.getsockname()[:2]
    server = Granian(
        "winnow",
        address=address,
        port=port,
        interface=Interfaces.ASGINL,
        # In its default mode granian has no deadlines.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_SECONDS * 1000, max_buffer_size=MAX_BUFFER),
        backpressure=max_connections(),
        websockets=False,
        log_level=LogLevels.error,
        workers_kill_timeout=STOP_SECONDS,
    )
    shown = f"[{host}]" if ":" in host else host
    line = f"Badges at http://{shown}:{port}/ (stop with Ctrl-C)"
    server.on_startup(lambda: print(line, file=Output(sys.stdout), flush=True))
    if opens_browser:
        # Nothing answers at 0.0.0.0 and ::, which stand for all addresses.
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - listens nowhere
        server.on_startup(lambda: _open_browser(reachable, port))
    server.serve(target_loader=partial(make_app, folder, path), wrap_loader=False)


def _open_browser(host: str, port: int) -> None:
    """Open the page in the user's browser once the server accepts connections. granian does not report when."""

    def wait_and_open() -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            try:
                socket.create_connection((host, port), timeout=1).close()
            except OSError:
                time.sleep(POLL_SECONDS)
            else:
                webbrowser.open(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
                return

    threading.Thread(target=wait_and_open, daemon=True).start()


def max_connections() -> int:
    """Return how many connections fit into the process's limit of open files."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, (files - OTHER_FILES) // FILES_PER_CONNECTION))
