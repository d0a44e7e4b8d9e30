"""The latest answers of a server of files, kept in memory, each for as long as its file is the same."""

from __future__ import annotations

import os
import re
import stat
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_KEPT, LARGEST_KEPT = 256, 64 * 1024
"""How many answers are kept, and of how many bytes each may be."""

PLAIN_PATH = re.compile(r"(/[\w-][\w.-]*)*/?", re.ASCII)
"""A path that names a file as it stands: nothing to decode, no dotfile, no way up."""


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
