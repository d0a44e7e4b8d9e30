"""Leases: locks in a bucket, for processes that share no disk.

Whoever holds one renews it; a lease that is not renewed for a while is anybody's again, and so is, at once, one whose
process was on this machine and has died. A holder that slept through the end of its lease finds out before it writes
over what another has written.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
from typing import TYPE_CHECKING

from winnow_dagster.files.errors import PreconditionFailedError, StorageError
from winnow_dagster.files.file_lock import MAX_WAIT_SECONDS
from winnow_dagster.files.held import held, now
from winnow_dagster.files.opening import bucket_of
from winnow_dagster.files.processes import is_dead, this_process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from winnow_dagster.files.paths import ObjectPath, ObjectVersion

logger = logging.getLogger(__name__)

RENEW_SECONDS = 10.0
END_SECONDS = 60.0
"""How long a lease holds that is not renewed."""

SURE_SHARE = 0.9
"""The share of END_SECONDS for which the holder relies on the lease."""

ASK_SECONDS = 1.0
"""How often those ask who wait; a bucket tells nobody by itself."""


class Lease:
    """One lock, as this process sees it."""

    def __init__(self, place: ObjectPath) -> None:
        """Use an object that is there while somebody holds the lease."""
        self._place = place
        self._bucket = bucket_of(place)
        # Told apart from what another thread of this process writes, and from what it wrote itself before.
        self._text = f"{this_process()} {secrets.token_hex(4)}"
        self._generation = 0
        self._good_until = 0.0
        self.was_left = False
        self._is_over = threading.Event()
        self._renewing = threading.Thread(target=self._renew, daemon=True)

    @property
    def place(self) -> ObjectPath:
        """Where the lease is."""
        return self._place

    @property
    def seconds_left(self) -> float:
        """How long no other process can take it: others wait for END_SECONDS after they see it renewed."""
        return self._good_until - now()

    def acquire(self, what: str) -> None:
        """Take it; wait, and say for whom, while another holds it. Raises StorageError."""
        _in_use.add(self._text)
        seen, since, said, began = None, 0.0, False, now()
        while not self._take():
            known, holder = self._look()
            if known is None:
                continue
            if known != seen:
                seen, since = known, now()
            if is_dead(holder) or self._is_left(holder) or now() - since > END_SECONDS:
                logger.warning("process %s, which was %s, has died or given up", holder, what)
                # In one write: a process between two writes would not learn that the lease was left.
                self._generation = known.generation
                if self._take():
                    self.was_left = True
                    break
                # Another process was faster.
                self._generation = 0
                continue
            if now() - began > MAX_WAIT_SECONDS:
                raise StorageError(
                    f"{self._place}: process {holder}, which is {what}, does not finish. End it, and run again"
                )
            if not said:
                logger.warning("waiting for process %s, which is %s", holder, what)
                said = True
            self._is_over.wait(ASK_SECONDS)
        # Whoever held it before may have written since.
        self._bucket.forget()
        self._renewing.start()

    def end(self, *, give_back: bool) -> None:
        """Renew it no more, and let others have it at once, or not before they find that it has ended."""
        self._is_over.set()
        self._renewing.join()
        if give_back:
            # One that cannot be given back ends by itself.
            with contextlib.suppress(StorageError):
                self._bucket.remove(self._place, self._generation)
        _in_use.discard(self._text)

    def _take(self) -> bool:
        asked = now()
        try:
            self._generation = self._bucket.write(self.place, self._text.encode(), self._generation)
        except PreconditionFailedError:
            # It may be what this process wrote, when the answer was lost on the way.
            known, holder = self._look()
            if known is None or holder != self._text:
                return False
            self._generation = known.generation
        # Other processes start to count later, and a clock may be a little slow.
        self._good_until = asked + END_SECONDS * SURE_SHARE
        return True

    def _is_left(self, holder: str) -> bool:
        """Tell whether this process held it, and did not give it back."""
        return holder.startswith(f"{this_process()} ") and holder not in _in_use

    def _look(self) -> tuple[ObjectVersion | None, str]:
        known = self._bucket.look_closely(self.place)
        return known, (self._bucket.read(self.place) or b"unknown").decode(errors="replace")

    def _renew(self) -> None:
        while not self._is_over.wait(RENEW_SECONDS):
            try:
                if not self._take():
                    self._good_until = 0.0
                    return
            except StorageError as error:
                # In passing, it may be: the lease holds for a while yet.
                logger.warning("%s", error)


_in_use: set[str] = set()
"""What the leases of this process say of their holder."""


@contextlib.contextmanager
def leased(place: ObjectPath, what: str) -> Iterator[bool]:
    """Hold a lease; wait while another process does. Raises StorageError.

    Yields whether the last who held it gave it back. It is not given back after an exception, be it Ctrl-C, for whoever
    comes next to know.
    """
    lease = Lease(place)
    lease.acquire(what)
    held.add(lease)
    is_whole = False
    try:
        yield not lease.was_left
        is_whole = True
    finally:
        held.remove(lease)
        lease.end(give_back=is_whole)
