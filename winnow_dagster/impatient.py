"""HTTP within bounds: how long a client may take, how much it may say, and how many of its requests may wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

SECONDS_TO_ASK, SECONDS_TO_TAKE = 10, 60
"""How long a client may take to say what it wants, and to take it."""

LONGEST_REQUEST = 64 * 1024
"""How many bytes a client may say before it is clear what it wants."""

MOST_WAITING = 64
"""How many requests of a client may wait for answers to those before them."""


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
