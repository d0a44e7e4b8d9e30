"""Standard output that may be closed or full.

A collect then loses its output, and publishes all the same. A command that only prints fails: see cli/errors.py.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import TextIO

from winnow_dagster.core.escaping import for_terminal


class _Lines(logging.Formatter):
    """Escapes control codes in warnings, which may quote a file name or a service's message."""

    def format(self, record: logging.LogRecord) -> str:
        return for_terminal(super().format(record))


def open_streams() -> None:
    """Open closed standard streams, and escape control codes in warnings."""
    open_closed_streams()
    if logging.lastResort:
        logging.lastResort.setFormatter(_Lines())


def open_closed_streams() -> None:
    """Open the null device in place of each closed standard stream.

    Otherwise the next file that Python opens, such as a database, gets the stream's number and receives the output.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until the process ends


class Output:
    """Standard output for text. After the first failed write, it discards all text."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_lost = False

    @property
    def encoding(self) -> str:
        """The encoding of the stream."""
        return self._stream.encoding or "utf-8"

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return not self._stream.closed and self._stream.isatty()

    def fileno(self) -> int:
        """Return the number of the stream."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write text, or discard it."""
        if not self._is_lost:
            try:
                return self._stream.write(text)
            except (OSError, ValueError):
                self._lose()
        return len(text)

    def flush(self) -> None:
        """Write buffered text, or discard it."""
        if not self._is_lost:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._lose()

    def _lose(self) -> None:
        self._is_lost = True
        discard(self._stream)


def discard(stream: TextIO) -> None:
    """Discard what a stream still holds and what is written to it from now on.

    At exit Python flushes again. If that fails, it changes the exit code.
    """
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
