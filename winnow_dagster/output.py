"""Standard output that may be closed or full: a collect publishes all the same, and what it would print is lost."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import TextIO

from winnow_dagster.core.escaping import for_terminal


class _Lines(logging.Formatter):
    """Warnings without escape codes: they may quote a file's name, or the words of a service."""

    def format(self, record: logging.LogRecord) -> str:
        return for_terminal(super().format(record))


def open_streams() -> None:
    """Open standard streams that are closed, and print warnings without escape codes."""
    open_closed_streams()
    if logging.lastResort:
        logging.lastResort.setFormatter(_Lines())


def open_closed_streams() -> None:
    """Open the null device in place of standard streams that are closed: the next file would take their number.

    What is printed would go into that file, such as a database.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until the process ends


class Output:
    """Standard output for text, until it cannot be written; from then on it takes all, and keeps nothing."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._is_lost = False

    @property
    def encoding(self) -> str:
        """The encoding of the stream."""
        return self._stream.encoding or "utf-8"

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        return not self._stream.closed and self._stream.isatty()

    def fileno(self) -> int:
        """Return the number of the stream."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write text, or lose it."""
        if not self._is_lost:
            try:
                return self._stream.write(text)
            except (OSError, ValueError):
                self._lose()
        return len(text)

    def flush(self) -> None:
        """Write what waits, or lose it."""
        if not self._is_lost:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._lose()

    def _lose(self) -> None:
        self._is_lost = True
        # Python writes what waits once more when it ends, and exits with another code if that fails.
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
