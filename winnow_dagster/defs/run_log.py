"""Copy what Winnow's modules log while a run reads or publishes to the run's log, so that the run's page shows it."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import dagster as dg

LOGGER = "winnow_dagster"


@contextlib.contextmanager
def repeating(log: dg.DagsterLogManager) -> Iterator[None]:
    """Copy to a run's log what Winnow logs meanwhile: requests, answers, waits, and decisions about the budget."""
    logger, handler = logging.getLogger(LOGGER), _RunLogHandler(log)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(min(logging.INFO, logger.getEffectiveLevel()))
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
        handler.flush()


class _RunLogHandler(logging.Handler):
    """Writes records to a run's log, in the run's thread only. The records of other threads wait in a queue."""

    def __init__(self, log: dg.DagsterLogManager) -> None:
        super().__init__(logging.INFO)
        self._log = log
        self._thread = threading.get_ident()
        self._records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        # Python prints warnings by itself only if a logger has no handler. This is a handler, so it has to print them.
        if logging.lastResort and not logging.getLogger().handlers and record.levelno >= logging.lastResort.level:
            logging.lastResort.handle(record)
        self._records.put(record)
        if threading.get_ident() == self._thread:
            self.flush()

    def flush(self) -> None:
        while not self._records.empty():
            record = self._records.get()
            self._log.log(record.levelno, record.getMessage())
