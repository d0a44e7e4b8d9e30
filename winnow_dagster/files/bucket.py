"""The part of a store in a bucket that all services share: everything except the requests.

An object is replaced as a whole or not at all. Every write names the version that it replaces, so a process that was
overtaken while it slept changes nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import mimetypes
import secrets
import shutil
import tempfile
import time
import weakref
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from winnow_dagster.core.causes import BUCKETS
from winnow_dagster.files.disk import replace_file
from winnow_dagster.files.errors import PreconditionFailedError, UnreachableError, translating_os_errors
from winnow_dagster.files.held import MAX_REQUEST_SECONDS, MIN_REQUEST_SECONDS
from winnow_dagster.files.lease import leased
from winnow_dagster.files.no_folders import NoFolders
from winnow_dagster.files.paths import AT_ONCE
from winnow_dagster.files.processes import is_dead, this_process

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from winnow_dagster.files.held import Lock
    from winnow_dagster.files.store import ObjectVersion, Version

PROBE = ".winnow-probe"
"""An object that Winnow writes and removes to test its rights. Web servers do not serve dotfiles."""

PROBES = 3
"""How often an endpoint may seem to ignore preconditions: another process may have removed the object meanwhile."""

FRESH_SECONDS = 2
"""For how long a listing of a folder is used again."""

CACHE_CONTROL = "public, max-age=300"
"""The header of published objects, the same as that of `winnow serve`."""

COPIES_PREFIX = "winnow-copies-"
OWNER_NAME = "process"
"""The file in a folder of copies that names its process."""


class Upload(NamedTuple):
    """The content of a write, with its headers."""

    content: bytes
    headers: Mapping[str, str]
    tag: str = ""


class BucketStore(NoFolders, ABC):
    """One bucket, as one account sees it."""

    min_seconds = MIN_REQUEST_SECONDS
    """How much time a lease must have left for a write to begin."""

    lists_any_prefix = True
    """Whether the service lists the keys that begin with any text, and not only those of a folder."""

    def __init__(self, address: str) -> None:
        """Connect with the first request."""
        self.address = address
        self._listings: dict[str, tuple[float, dict[str, ObjectVersion | None]]] = {}
        self._writes = 0

    @abstractmethod
    def read(self, key: str, version: Version | None = None) -> bytes | None:
        """Return the content of an object; None if there is none. See Store."""

    @abstractmethod
    def head(self, key: str) -> ObjectVersion | None:
        """Return the present version of an object, without a listing; None if there is none. Raises StorageError."""

    @abstractmethod
    def scan(self, prefix: str) -> Iterator[ObjectVersion]:
        """Yield all objects whose keys begin with `prefix`, in the order of the keys."""

    @abstractmethod
    def list_folder(self, folder: str) -> tuple[Sequence[ObjectVersion], Sequence[str]]:
        """Return the objects that are directly in a folder, and the keys of the folders in it."""

    @abstractmethod
    def _put(self, key: str, upload: Upload, replaces: Version | None, seconds: float) -> ObjectVersion:
        """Send one conditional write, which lands within `seconds` or not at all."""

    @abstractmethod
    def _remove(self, key: str, version: Version, seconds: float) -> None:
        """Send one delete, which lands within `seconds` or not at all."""

    def read_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the content of each object, read side by side."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(self.read, keys))

    def version_of(self, key: str) -> Version | None:
        """Return the version of an object; None if there is none."""
        folder, _, name = key.rpartition("/")
        known = self.listing(folder).get(name)
        return known.version if known else None

    def exists(self, key: str) -> bool:
        """Return whether there is such an object."""
        return self.version_of(key) is not None

    def names(self, folder: str) -> list[str]:
        """Return the names of what is directly in a folder."""
        return [*self.listing(folder)]

    def listing(self, folder: str) -> dict[str, ObjectVersion | None]:
        """Return what the bucket says is directly in a folder: folders in it are None. Raises StorageError."""
        at, found = self._listings.get(folder, (0.0, {}))
        if time.monotonic() - at > FRESH_SECONDS:
            writes = self._writes
            objects, folders = self.list_folder(folder)
            found = {known.key.rpartition("/")[2]: known for known in objects}
            found.update((key.rstrip("/").rpartition("/")[2], None) for key in folders)
            # The listing may lack what another thread has written meanwhile.
            if writes == self._writes:
                self._listings[folder] = time.monotonic(), found
        return found

    def forget(self) -> None:
        """Drop all listings, so that the next question lists again."""
        self._listings.clear()

    def write(self, key: str, content: bytes, replaces: Version | None = None) -> Version:
        """Replace this version of an object (None: there is none); return the new version. See Store."""
        return self.put(key, content, replaces).version

    def put(  # noqa: PLR0913 - a write has that many sides
        self,
        key: str,
        content: bytes,
        replaces: Version | None,
        *,
        tag: str = "",
        is_public: bool = False,
        seconds: float = MAX_REQUEST_SECONDS,
    ) -> ObjectVersion:
        """Replace this version of an object, within `seconds` or not at all. Raises StorageError.

        `tag`: a text that a listing tells, if the store has tags. `is_public`: whether caches may keep the object.
        """
        kind = mimetypes.guess_type(key)[0] or "application/octet-stream"
        is_text = kind.startswith("text/") or kind in {"application/json", "image/svg+xml"}
        headers = {"Content-Type": f"{kind}; charset=utf-8" if is_text else kind}
        if is_public:
            headers["Cache-Control"] = CACHE_CONTROL
        try:
            made = self._put(key, Upload(content, headers, tag), replaces, seconds)
        except PreconditionFailedError:
            # If the first answer was lost and the client retried, this write has left the object itself.
            found = self.head(key)
            if found is None or found.version == replaces or self.read(key) != content:
                self._note(key, found)
                raise
            made = found
        self._note(key, made)
        return made

    def overwrite(self, key: str, content: bytes, *, tag: str = "") -> Version:
        """Replace the present version of an object; return the new version."""
        there = self.head(key)
        return self.put(key, content, there.version if there else None, tag=tag).version

    def create(self, key: str, content: bytes) -> None:
        """Create an object unless there is one. Of two processes, one succeeds."""
        with contextlib.suppress(PreconditionFailedError):
            self.write(key, content)

    def delete(self, key: str, version: Version | None = None, *, seconds: float = MAX_REQUEST_SECONDS) -> None:
        """Remove this version of an object (None: the present one), if there is such an object. See Store."""
        if version is None:
            found = self.head(key)
            version = found.version if found else None
        if version is not None:
            self._remove(key, version, seconds)
        self._note(key, None)

    def rename(self, key: str, name: str, version: Version | None) -> None:
        """Rename this version of an object within its folder. Replaces an object of that name."""
        content = None if version is None else self.read(key, version)
        if content is not None:
            target = f"{key.rpartition('/')[0]}/{name}".lstrip("/")
            there = self.head(target)
            self.write(target, content, there.version if there else None)
            self.delete(key, version)

    def replace_changed(self, folder: str, files: Mapping[str, bytes]) -> int:
        """Refuse: a publication writes many files, and holds a lease."""
        raise RuntimeError(f"{self.address}/{folder}: {len(files)} files, and no publication that holds a lease")

    def copies(self, keys: Sequence[str]) -> list[Path]:
        """Return local copies of these objects, read side by side. A removed object has no copy."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(self._copy, keys))

    def copy_ahead(self, keys: Iterable[str]) -> None:
        """Copy objects side by side, before `copies` asks for them."""
        self.copies(list(keys))

    def _copy(self, key: str) -> Path:
        version = self.version_of(key)
        if not self._copies.exists():
            # The system removes old temporary files.
            self.__dict__.pop("_copies", None)
        path = self._copies / f"{_digest(key)}-{_digest(version or '')}"
        if version and not path.exists():
            try:
                content = self.read(key, version)
            except PreconditionFailedError:
                content = None
            if content is None:
                # It was replaced or removed since it was listed.
                self._listings.pop(key.rpartition("/")[0], None)
                return self._copy(key)
            with translating_os_errors(path):
                for old in self._copies.glob(f"{_digest(key)}-*"):
                    old.unlink(missing_ok=True)
            # A partial copy would look like a damaged object.
            replace_file(path, content)
        return path

    @cached_property
    def _copies(self) -> Path:
        """The folder of local copies. It goes with this store, or with the next one if the process is killed."""
        for left in Path(tempfile.gettempdir()).glob(f"{COPIES_PREFIX}*"):
            # A container that shares the folder has other processes.
            with contextlib.suppress(OSError):
                if is_dead((left / OWNER_NAME).read_text()):
                    shutil.rmtree(left, ignore_errors=True)
        with translating_os_errors(Path(tempfile.gettempdir())):
            folder = Path(tempfile.mkdtemp(prefix=COPIES_PREFIX))
            (folder / OWNER_NAME).write_text(this_process())
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def make_writable(self, folder: str) -> None:
        """Raise UnreachableError unless this account can write, replace and remove objects of a folder.

        Also raises it for an endpoint that ignores preconditions.
        """
        key = f"{folder}/{PROBE}".lstrip("/")
        if not any(self._refuses_stale_writes(key) for _ in range(PROBES)):
            cause = BUCKETS["no_preconditions"]
            raise UnreachableError(
                f"{self.address}/{folder}: the endpoint ignores the preconditions of writes. {cause.fix}"
            )

    def _refuses_stale_writes(self, key: str) -> bool:
        """Write, replace and remove an object, and try to write it with outdated versions."""
        contents = [secrets.token_hex(8).encode() for _ in range(4)]
        try:
            old = self._probe_again(key, contents[0])
            new = self._probe(key, contents[1], old)
        except PreconditionFailedError:
            # Another process probes at the same time, and its object was not replaced.
            return True
        refused = 0
        for content, stale in ((contents[2], None), (contents[3], old)):
            try:
                new = self._probe(key, content, stale)
            except PreconditionFailedError:
                refused += 1
        with contextlib.suppress(PreconditionFailedError):
            self.delete(key, new)
        return refused == 2  # noqa: PLR2004 - both

    def _probe_again(self, key: str, content: bytes) -> Version:
        try:
            return self._probe(key, content, None)
        except PreconditionFailedError:
            # A process that was killed left it.
            there = self.head(key)
            return self._probe(key, content, there.version if there else None)

    def _probe(self, key: str, content: bytes, replaces: Version | None) -> Version:
        upload = Upload(content, {"Content-Type": "text/plain"})
        return self._put(key, upload, replaces, self.probe_seconds).version

    probe_seconds = MAX_REQUEST_SECONDS
    """How long a probe may take. The first request of all notices a missing network."""

    def lock(self, folder: str, what: str) -> AbstractContextManager[Lock]:
        """Hold a lease. Wait for another holder, and log which process it is."""
        return leased(self, f"{folder}/.{what}.lease".lstrip("/"), f"{what} in {self.address}/{folder}".rstrip("/"))

    def _place(self, key: str) -> str:
        """Return what an error names: an object, or the folder that is probed."""
        return f"{self.address}/{key.removesuffix(PROBE)}".rstrip("/")

    def _note(self, key: str, known: ObjectVersion | None) -> None:
        folder, _, name = key.rpartition("/")
        self._writes += 1
        if folder in self._listings:
            if known is None:
                self._listings[folder][1].pop(name, None)
            else:
                self._listings[folder][1][name] = known


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
