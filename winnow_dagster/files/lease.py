"""Leases: locks in a bucket, for processes that share no disk.

The holder renews its lease. Another process takes a lease that is not renewed for a while, and at once one that was
given back or whose process was on this machine and has died. A holder that slept through the end of its lease finds out
before it writes over what another has written.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import secrets
import threading
from typing import TYPE_CHECKING

from winnow_dagster.files.errors import PreconditionFailedError, StorageError
from winnow_dagster.files.file_lock import MAX_WAIT_SECONDS
from winnow_dagster.files.held import Lock, now
from winnow_dagster.files.processes import is_dead, this_process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from winnow_dagster.files.bucket import BucketStore
    from winnow_dagster.files.store import Version

logger = logging.getLogger(__name__)

RENEW_SECONDS = 10.0
END_SECONDS = 60.0
"""How long a lease holds that is not renewed."""

REQUEST_SECONDS = 20.0
"""How long a renewal may take: one that gets no answer must not use up the lease."""

SURE_SHARE = 0.9
"""The share of END_SECONDS for which the holder relies on the lease."""

ASK_SECONDS = 1.0
"""How often a waiting process asks. A bucket sends no notice."""

FREE = b"free"
"""The content of a lease that was given back. It is not removed: not every client can remove only its own version."""


class Lease(Lock):
    """One lock, as this process sees it."""

    def __init__(self, store: BucketStore, key: str) -> None:
        """Use the object with this key."""
        super().__init__(f"{store.address}/{key}")
        self._store, self._key = store, key
        # Each thread of this process needs a name of its own.
        self._name = f"{this_process()} {secrets.token_hex(4)}"
        # If versions are hashes, a renewed lease needs another content.
        self._renewals = itertools.count()
        self._version: Version | None = None
        self._good_until = 0.0
        self._is_over = threading.Event()
        self._renewing = threading.Thread(target=self._renew, daemon=True)

    @property
    def seconds_left(self) -> float:
        """How long no other process can take it: others wait for END_SECONDS after they see it renewed."""
        return self._good_until - now()

    def acquire(self, what: str) -> None:
        """Take it; wait, and log for which process, while another holds it. Raises StorageError."""
        seen, since, said, began = None, 0.0, False, now()
        while True:
            known = self._store.head(self._key)
            content = self._store.read(self._key) if known else None
            if known and content is None:
                continue
            holder = (content or FREE).decode(errors="replace")
            if known and known.version != seen:
                seen, since = known.version, now()
            has_ended = is_dead(holder) or now() - since > END_SECONDS
            if holder == FREE.decode() or has_ended:
                if known and has_ended and content != FREE:
                    logger.warning("process %s, which was %s, has died or given up", holder, what)
                self._version = known.version if known else None
                if self._take():
                    break
                # Another process was faster.
                continue
            if now() - began > MAX_WAIT_SECONDS:
                raise StorageError(
                    f"{self.place}: process {holder}, which is {what}, does not finish. End it, and run again"
                )
            if not said:
                logger.warning("waiting for process %s, which is %s", holder, what)
                said = True
            self._is_over.wait(ASK_SECONDS)
        # The previous holder may have written since.
        self._store.forget()
        self._renewing.start()

    def end(self) -> None:
        """Renew it no more, and give it back."""
        self._is_over.set()
        self._renewing.join()
        # One that cannot be given back ends by itself; one that another process has is not this one's to give.
        with contextlib.suppress(StorageError):
            self._store.write(self._key, FREE, self._version)

    def _take(self) -> bool:
        asked = now()
        try:
            self._write()
        except PreconditionFailedError:
            # It may be what this process wrote, when the answer was lost on the way.
            known = self._store.head(self._key)
            if known is None or not (self._store.read(self._key) or b"").startswith(f"{self._name} ".encode()):
                return False
            self._version = known.version
            try:
                self._write()
            except PreconditionFailedError:
                return False
        # Other processes start to count later, and a clock may be a little slow.
        self._good_until = asked + END_SECONDS * SURE_SHARE
        return True

    def _write(self) -> None:
        content = f"{self._name} {next(self._renewals)}".encode()
        self._version = self._store.put(self._key, content, self._version, seconds=REQUEST_SECONDS).version

    def _renew(self) -> None:
        while not self._is_over.wait(RENEW_SECONDS):
            try:
                if not self._take():
                    self._good_until = 0.0
                    return
            except StorageError as error:
                # It may be transient: the lease holds for a while yet.
                logger.warning("%s", error)


@contextlib.contextmanager
def leased(store: BucketStore, key: str, what: str) -> Iterator[Lease]:
    """Hold a lease; wait while another process does. Raises StorageError."""
    lease = Lease(store, key)
    lease.acquire(what)
    try:
        yield lease
    finally:
        lease.end()
