"""Serving the web directory on this machine: static files, and nothing that is not published."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.responses import Response
    from starlette.types import Scope

LOOPBACK = "127.0.0.1"


class PublishedFiles(StaticFiles):
    """Published files: as files, but for those whose names start with a dot."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with a file, or with 404."""
        if any(part.startswith(".") and part != "." for part in path.split("/")):
            raise HTTPException(404)
        return await super().get_response(path, scope)


def make_app(folder: Path) -> Starlette:
    """Return the application that serves a web directory."""
    return Starlette(routes=[Mount("/", PublishedFiles(directory=folder, html=True))])


def run(folder: Path, port: int) -> None:
    """Serve `folder` on loopback until interrupted. Raises OSError where the port is taken."""
    with socket.create_server((LOOPBACK, port)) as listener:
        print(f"Badges at http://{LOOPBACK}:{listener.getsockname()[1]}/ (stop with Ctrl-C)", flush=True)  # noqa: T201
        server = uvicorn.Server(uvicorn.Config(make_app(folder), log_level="warning"))
        server.run(sockets=[listener])
