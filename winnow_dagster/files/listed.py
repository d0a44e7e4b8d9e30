"""A directory of a bucket with its listing. Winnow writes only objects that differ from it.

The whole directory is listed once. If `*` fills it with a million folders, it is listed in parts: the folders that are
published in full, whose names are in a note, and the others as they come.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

from winnow_dagster.files.errors import PreconditionFailedError, StorageError
from winnow_dagster.files.hashes import Hashes, Note, md5_of
from winnow_dagster.files.listing import Listing
from winnow_dagster.files.no_folders import NoFolders
from winnow_dagster.files.paths import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from winnow_dagster.files.bucket import BucketStore
    from winnow_dagster.files.held import Lock
    from winnow_dagster.files.paths import StorePath
    from winnow_dagster.files.store import ObjectVersion, Version

FRESH_SECONDS = 5
"""Readers use a listing for this long."""

MAX_LISTED = 100_000
"""From how many objects on a directory is listed in parts."""

MAX_PARTS = 64
"""How many parts of `*` are in memory at the same time; each lists the files of some 700 packages."""

MAX_KEPT_BYTES = 64_000_000
"""The maximum size of the contents that are kept for later reads."""

FOLDERS = "folders"
"""The key of the names of folders in their note."""


class ListedStore(NoFolders):
    """A store whose keys below `root` were listed. With a lease, this process alone writes there meanwhile."""

    def __init__(self, store: BucketStore, root: str, notes: StorePath, lease: Lock | None = None) -> None:
        """List with the first question. `notes`: a folder beside the data."""
        self.store, self.root, self.lease, self._notes = store, root, lease, notes
        self.address = store.address
        self._prefix = f"{root}/" if root else ""
        self._of = f"{store.address}/{root}"
        self._lock = threading.Lock()
        self._clear()

    def _clear(self) -> None:
        self._began = 0.0
        self._is_whole = False
        self._folders: list[str] | None = None
        self._noted: set[str] = set()
        self._parts: dict[str, Listing] = {}
        self._shards: dict[str, None] = {}
        self._hashes: dict[str, Hashes] = {}
        self._contents: dict[str, bytes] = {}
        self._kept_bytes = 0
        self._doubted: set[str] = set()

    def forget(self) -> None:
        """Drop the listing, so that the next question lists again."""
        with self._lock:
            self._clear()

    def _listing(self, key: str) -> tuple[str, Listing]:
        """Return the part that lists a key, and its name. Raises StorageError."""
        with self._lock:
            self._ensure_begun()
            part = self._part_of(key)
            if part not in self._parts:
                prefix = self._prefix + part
                if part in self._shards or part.endswith("/"):
                    self._parts[part] = Listing(self.store.scan(prefix))
                else:
                    found = self.store.head(prefix)
                    self._parts[part] = Listing([found] if found else ())
            return part, self._parts[part]

    def _ensure_begun(self) -> None:
        if self.lease is None and time.monotonic() - self._began > FRESH_SECONDS:
            self._clear()
        if not self._began:
            self._begin()
            self._began = time.monotonic()

    def _begin(self) -> None:
        folders = Note(self._notes / "folders.json", self._of).load().get(FOLDERS)
        if folders is None:
            found = list(islice(self.store.scan(self._prefix), MAX_LISTED + 1))
            if len(found) <= MAX_LISTED:
                self._is_whole, self._parts[""] = True, Listing(found)
        else:
            self._noted = set(folders)
            with ThreadPoolExecutor(AT_ONCE) as pool:
                listings = pool.map(lambda name: Listing(self.store.scan(f"{self._prefix}{name}/")), folders)
                self._parts.update((f"{name}/", listing) for name, listing in zip(folders, listings, strict=True))
            self._folders = [name for name in folders if self._parts[f"{name}/"].objects]

    def _part_of(self, key: str) -> str:
        if self._is_whole:
            return ""
        top, slash, _ = key.removeprefix(self._prefix).partition("/")
        own = top + slash
        if own in self._parts or not slash or not self.store.lists_any_prefix:
            return own
        return self._shard_of(top) or own

    def _shard_of(self, top: str) -> str:
        """Return the beginning of a folder of `*` by which it was announced; '' for another folder."""
        is_named = self._is_whole or top in self._noted
        return "" if is_named else next((shard for shard in self._shards if top.startswith(shard)), "")

    def list_ahead(self, prefix: str) -> None:
        """Announce that many folders that begin so will be looked at."""
        with self._lock:
            self._shards[prefix.removeprefix(self._prefix)] = None

    @property
    def parts_in_hand(self) -> int:
        """How many parts of `*` are in memory."""
        return 0 if self._is_whole else len(self._shards)

    def release(self) -> None:
        """Save the hashes of the parts of `*`, and drop the parts: all of them would fill the memory."""
        with self._lock:
            parts = [part for part in self._parts if self._shard_of(part.rstrip("/"))]
            released = {part: self._parts.pop(part) for part in parts}
            for shard in [shard for shard in self._hashes if shard]:
                self._hashes.pop(shard).save(lambda key: self._is_gone(key, released))
            self._shards.clear()

    def end(self) -> None:
        """Save the hashes for the next publication. Raises LeaseLostError."""
        if self.lease:
            self.lease.ensure_held()
        self.release()
        for hashes in self._hashes.values():
            hashes.save(lambda key: self._is_gone(key, self._parts))

    def _is_gone(self, key: str, parts: Mapping[str, Listing]) -> bool:
        """Return whether one of these parts would list an object, and does not."""
        top = key.removeprefix(self._prefix).partition("/")[0]
        shards = [shard for shard in self._shards if top.startswith(shard)]
        found = next((parts[part] for part in ("", f"{top}/", top, *shards) if part in parts), None)
        return found is not None and key not in found.objects

    def remember_folders(self, find: Callable[[], Collection[str]]) -> None:
        """Note the folders that are published in full, if the directory is listed in parts. Raises StorageError."""
        with self._lock:
            self._ensure_begun()
        if not self._is_whole and (names := set(find())) != self._noted:
            Note(self._notes / "folders.json", self._of).save({FOLDERS: sorted(names)})
            self._noted = names

    def read(self, key: str, version: Version | None = None) -> bytes | None:
        """Return the content of an object; None if there is none."""
        _, listing = self._listing(key)
        if version is None and listing.get(key) is None:
            return None
        # One look: another thread may let go of all contents at any moment.
        content = self._contents.get(key) if version is None else None
        if content is not None:
            return content
        content = self.store.read(key, version)
        if content is None:
            # Somebody has removed it, who holds no lease.
            listing.drop(key)
        elif version is None:
            self._keep(key, content)
        return content

    def _keep(self, key: str, content: bytes) -> None:
        self._kept_bytes += len(content)
        if self._kept_bytes > MAX_KEPT_BYTES:
            self._contents.clear()
            self._kept_bytes = len(content)
        self._contents[key] = content

    def read_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the content of each object, read side by side."""
        self.read_ahead(keys)
        return [self.read(key) for key in keys]

    def read_ahead(self, keys: Iterable[str]) -> None:
        """Read objects side by side for the next who reads them."""
        wanted = [key for key in keys if self._listing(key)[1].get(key) and key not in self._contents]
        if wanted:
            for key, content in zip(wanted, self.store.read_many(wanted), strict=True):
                if content is not None:
                    self._keep(key, content)

    def version_of(self, key: str) -> Version | None:
        """Return the version of an object; None if there is none."""
        known = self._listing(key)[1].get(key)
        return known.version if known else None

    def exists(self, key: str) -> bool:
        """Return whether there is such an object."""
        return self.version_of(key) is not None

    def names(self, folder: str) -> list[str]:
        """Return the names of what is directly in a folder; of `root`, perhaps only those published in full."""
        if folder != self.root:
            return self._listing(f"{folder}/")[1].names(folder)
        with self._lock:
            self._ensure_begun()
            if self._is_whole:
                return self._parts[""].names(folder)
            if self._folders is None:
                self._folders = self.store.names(folder)
            return [*self._folders]

    def changed(self, folder: str, files: Mapping[str, bytes]) -> list[tuple[str, bytes]]:
        """Return those of `files` (name -> content) that a folder does not have yet, by their keys."""
        found = []
        for name, content in files.items():
            key = f"{folder}/{name}".lstrip("/")
            part, listing = self._listing(key)
            known = listing.get(key)
            if known is None or not self._is_same(part, known, content):
                found.append((key, content))
        return found

    def _is_same(self, part: str, known: ObjectVersion, content: bytes) -> bool:
        if known.key in self._doubted:
            return False
        md5 = md5_of(content)
        return known.md5 == md5 or self._hashes_of(part).get(known.key, known.version) == md5

    def _hashes_of(self, part: str) -> Hashes:
        shard = self._shard_of(part.rstrip("/"))
        with self._lock:
            if shard not in self._hashes:
                name = f"hashes-{shard}.json" if shard else "hashes.json"
                self._hashes[shard] = Hashes(Note(self._notes / name, self._of))
            return self._hashes[shard]

    def put(self, objects: Sequence[tuple[str, bytes]]) -> None:
        """Write objects one after the other. Raises StorageError; those before it are there then."""
        for key, content in objects:
            part, listing = self._listing(key)
            known = listing.get(key)
            # Check the lease before each write: one with an unchanged version succeeds even after the lease is lost.
            self._seconds()
            self._contents.pop(key, None)
            try:
                made = self._put(key, content, known.version if known else None)
            except StorageError:
                # It may be there all the same, if only the answer was lost: the next content is written.
                self._doubted.add(key)
                raise
            self._doubted.discard(key)
            listing.set(made)
            if made.md5 != (md5 := md5_of(content)):
                self._hashes_of(part).set(key, made.version, md5)
            self._keep(key, content)

    def _put(self, key: str, content: bytes, version: Version | None) -> ObjectVersion:
        try:
            return self.store.put(key, content, version, is_public=True, seconds=self._seconds())
        except PreconditionFailedError:
            # Somebody wrote it who holds no lease, or a process that died.
            now = self.store.head(key)
            version = now.version if now else None
            return self.store.put(key, content, version, is_public=True, seconds=self._seconds())

    def _seconds(self) -> float:
        if self.lease is None:
            raise RuntimeError(f"{self._of}: only a publication may write there")
        return self.lease.seconds_for_request(self.store.min_seconds)

    def write(self, key: str, content: bytes, replaces: Version | None = None) -> Version:  # noqa: ARG002 - it knows
        """Replace an object, whatever version is listed."""
        self.put([(key, content)])
        return self._listing(key)[1].objects[key].version

    def overwrite(self, key: str, content: bytes) -> Version:
        """Replace an object; return the new version."""
        return self.write(key, content)

    def create(self, key: str, content: bytes) -> None:
        """Create an object unless there is one."""
        self.store.create(key, content)

    def replace_changed(self, folder: str, files: Mapping[str, bytes]) -> int:
        """Put each of `files` into a folder unless it is there already; return how many changed."""
        found = self.changed(folder, files)
        self.put(found)
        return len(found)

    def delete(self, key: str, version: Version | None = None) -> None:
        """Remove an object, if there is one."""
        _, listing = self._listing(key)
        known = listing.get(key)
        try:
            if known is not None:
                self.store.delete(key, version or known.version, seconds=self._seconds())
        except PreconditionFailedError:
            # Somebody has replaced it who holds no lease.
            self.store.delete(key, seconds=self._seconds())
        listing.drop(key)
        self._contents.pop(key, None)

    def scan(self, prefix: str) -> Iterator[ObjectVersion]:
        """Yield all objects whose keys begin with `prefix`, in the order of the keys."""
        return self.store.scan(prefix)

    def rename(self, key: str, name: str, version: Version | None) -> None:
        """Give an object another name in its folder."""
        self.store.rename(key, name, version)

    def copy_ahead(self, keys: Iterable[str]) -> None:
        """Copy objects side by side for the next who asks for copies."""
        self.store.copy_ahead(keys)

    def copies(self, keys: Sequence[str]) -> list[Path]:
        """Return local copies of these objects."""
        return self.store.copies(keys)

    def make_writable(self, folder: str) -> None:
        """Raise StorageError unless Winnow can create and replace objects of a folder."""
        self.store.make_writable(folder)

    def lock(self, folder: str, what: str) -> AbstractContextManager[Lock]:
        """Hold a lease. Wait for another holder, and log which process it is."""
        return self.store.lock(folder, what)
