"""Object storage: directories in buckets of Google Cloud Storage.

An object is replaced as a whole or not at all. Every write names the generation that it replaces, so that whoever was
overtaken while it slept changes nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import mimetypes
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.auth.credentials import AnonymousCredentials, Credentials
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from winnow_dagster.files.disk import replace_file
from winnow_dagster.files.errors import PreconditionFailedError, translating_os_errors
from winnow_dagster.files.gcs_errors import translating_gcs_errors
from winnow_dagster.files.held import MAX_REQUEST_SECONDS, now
from winnow_dagster.files.paths import AT_ONCE, ObjectPath, ObjectVersion
from winnow_dagster.files.processes import is_dead, this_process
from winnow_dagster.google_access import FIRST_SECONDS, Session, load_credentials

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


RETRY = DEFAULT_RETRY.with_timeout(60)
"""How an operation that fails in passing is tried again; each is safe to repeat, since it names what it replaces."""

REQUEST_SECONDS = 60.0
"""How long one request may take."""

PROBE = ".winnow-probe"
"""An object that Winnow writes and removes to test its rights. Web servers do not serve dotfiles."""

FRESH_SECONDS = 2
"""For how long a listing is taken for true. What is written on the strength of an older one is refused."""

CACHE_CONTROL = "public, max-age=300"
"""Of what is published: as `winnow serve` says."""

LISTED_FIELDS = "items(name,md5Hash,generation),nextPageToken"
COPIES_PREFIX = "winnow-copies-"
OWNER_NAME = "process"
"""The file in a folder of copies that names its process."""

TAG = "winnow"
MAX_TAG_LENGTH = 4000
"""In characters: Google takes 8 KiB of tags."""

EMULATOR_VARIABLE = "STORAGE_EMULATOR_HOST"
SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
PROJECT = "winnow"
"""No request names a project, but Google's client wants one."""


@cache
def open_bucket(name: str, key_file: Path | None) -> Bucket:
    """Return a bucket; one for all who ask in this process."""
    return Bucket(name, key_file)


class Bucket:
    """One bucket, as one account sees it."""

    def __init__(self, name: str, key_file: Path | None) -> None:
        """Connect with the first request."""
        self._name = name
        self._key_file = key_file
        self._listings: dict[str, tuple[float, dict[str, ObjectVersion | None]]] = {}

    @cached_property
    def _bucket(self) -> storage.Bucket:
        with translating_gcs_errors(ObjectPath(self._name)):
            credentials = self._credentials()
        return storage.Client(PROJECT, credentials, _http=Session(credentials, AT_ONCE)).bucket(self._name)

    def _credentials(self) -> Credentials:
        if os.environ.get(EMULATOR_VARIABLE):
            return AnonymousCredentials()  # type: ignore[no-untyped-call]
        return load_credentials(self._key_file, [SCOPE])[0]

    @cached_property
    def _copies(self) -> Path:
        """Where local copies are; they go with the process, or with the next one if it is killed."""
        for left in Path(tempfile.gettempdir()).glob(f"{COPIES_PREFIX}*"):
            # A container that shares the folder has other processes.
            with contextlib.suppress(OSError):
                if is_dead((left / OWNER_NAME).read_text()):
                    shutil.rmtree(left, ignore_errors=True)
        with translating_os_errors(Path(tempfile.gettempdir())):
            folder = Path(tempfile.mkdtemp(prefix=COPIES_PREFIX))
            (folder / OWNER_NAME).write_text(this_process())
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def forget(self) -> None:
        """List anew what is looked for next."""
        self._listings.clear()

    def read(self, place: ObjectPath, generation: int | None = None) -> bytes | None:
        """Return the content of an object; None where there is none. Raises StorageError.

        If it is to be one generation, raises PreconditionFailedError where there is another.
        """
        blob = self._bucket.blob(place.key)
        with translating_gcs_errors(place):
            try:
                return bytes(blob.download_as_bytes(retry=RETRY, if_generation_match=generation))
            except NotFound:
                return None

    def read_many(self, places: Sequence[ObjectPath]) -> list[bytes | None]:
        """Return the content of each of these objects, read side by side. Raises StorageError."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(self.read, places))

    def copies(self, places: Sequence[ObjectPath]) -> list[Path]:
        """Return where a local copy of each of these objects is, as it is now, got side by side. Raises StorageError.

        Of an object that is gone there is none.
        """
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(self._copy, places))

    def _copy(self, place: ObjectPath) -> Path:
        known = self.look(place)
        generation = known.generation if known else 0
        digest = hashlib.sha256(place.key.encode()).hexdigest()[:16]
        path = self._copies / f"{digest}-{generation}"
        if known and not path.exists():
            try:
                content = self.read(place, generation)
            except PreconditionFailedError:
                content = None
            if content is None:
                # It was replaced or removed since it was listed.
                self._listings.pop(place.parent.key, None)
                return self._copy(place)
            with translating_os_errors(path):
                for old in self._copies.glob(f"{digest}-*"):
                    old.unlink(missing_ok=True)
            # Whole or not at all: half a copy would be taken for the object, and that for damaged.
            replace_file(path, content)
        return path

    def look(self, place: ObjectPath) -> ObjectVersion | None:
        """Return what is known of an object; None where there is none. Raises StorageError."""
        return self.listing(place.parent).get(place.name)

    def listing(self, folder: ObjectPath) -> dict[str, ObjectVersion | None]:
        """Return what the bucket says is directly in a folder: folders in it are None. Raises StorageError."""
        at, found = self._listings.get(folder.key, (0.0, {}))
        if time.monotonic() - at > FRESH_SECONDS:
            prefix = f"{folder.key}/" if folder.key else ""
            with translating_gcs_errors(folder):
                pages = self._bucket.list_blobs(prefix=prefix, delimiter="/", retry=RETRY)
                found = {blob.name.removeprefix(prefix): _known(blob) for blob in pages}
                found.update((key.removeprefix(prefix).rstrip("/"), None) for key in pages.prefixes)
            self._listings[folder.key] = time.monotonic(), found
        return found

    def list_all(self, folder: ObjectPath, prefix: str) -> Iterator[tuple[str, ObjectVersion]]:
        """Return all objects of a folder whose keys begin so, in the order of their keys. Raises StorageError."""
        with translating_gcs_errors(folder):
            for blob in self._bucket.list_blobs(prefix=prefix, fields=LISTED_FIELDS, retry=RETRY):
                yield blob.name, _known(blob)

    def probe(self, folder: ObjectPath) -> None:
        """Raise StorageError unless this account can write, replace and remove objects of a folder."""
        place = replace(folder / PROBE, manifest=None)
        blob = self._bucket.blob(place.key)
        # The first request of all notices a missing network.
        bounds = {"retry": DEFAULT_RETRY.with_timeout(FIRST_SECONDS), "timeout": FIRST_SECONDS}
        with translating_gcs_errors(folder):
            for content in (b"1", b"2"):
                blob.upload_from_string(content, "text/plain", **bounds)
            # Another collect that probes at the same time may have replaced or removed it.
            with contextlib.suppress(PreconditionFailed, NotFound):
                blob.delete(if_generation_match=blob.generation, **bounds)

    def put_tagged(self, place: ObjectPath, text: str) -> None:
        """Write a text, whatever is there, so that a listing tells it. Raises StorageError."""
        self.write(place, text.encode(), None, {TAG: text} if len(text) < MAX_TAG_LENGTH else None)

    def read_tags(self, folder: ObjectPath) -> list[str]:
        """Return the texts that were written so below a folder, ordered by key. Raises StorageError."""
        with translating_gcs_errors(folder):
            blobs = list(self._bucket.list_blobs(prefix=f"{folder.key}/", retry=RETRY))
        texts = [(blob.metadata or {}).get(TAG) for blob in blobs]
        long = [replace(folder, key=blob.name) for blob, text in zip(blobs, texts, strict=True) if text is None]
        contents = iter([(content or b"").decode() for content in self.read_many(long)])
        return [next(contents) if text is None else text for text in texts]

    def write(
        self,
        place: ObjectPath,
        content: bytes,
        generation: int | None,
        tags: Mapping[str, str] | None = None,
        seconds: float = MAX_REQUEST_SECONDS,
    ) -> int:
        """Replace this generation of an object (0: there is none; None: any); return the new generation.

        The write lands within `seconds`, with all retries, or not at all. Raises PreconditionFailedError if the object
        has another generation, and StorageError.
        """
        blob = self._bucket.blob(place.key)
        blob.metadata = dict(tags) if tags else None
        kind = mimetypes.guess_type(place.name)[0] or "application/octet-stream"
        if place.manifest is not None:
            blob.cache_control = CACHE_CONTROL
        is_text = kind.startswith("text/") or kind in {"application/json", "image/svg+xml"}
        blob.content_type = f"{kind}; charset=utf-8" if is_text else kind
        with translating_gcs_errors(place):
            blob.upload_from_string(content, blob.content_type, if_generation_match=generation, **_within(seconds))
        known = _known(blob)
        if place.parent.key in self._listings:
            self._listings[place.parent.key][1][place.name] = known
        return known.generation

    def remove(self, place: ObjectPath, generation: int, seconds: float = MAX_REQUEST_SECONDS) -> None:
        """Remove this generation of an object, within `seconds` or not at all.

        Raises PreconditionFailedError if the object has another generation, and StorageError.
        """
        with translating_gcs_errors(place), contextlib.suppress(NotFound):
            self._bucket.blob(place.key).delete(if_generation_match=generation, **_within(seconds))
        if place.parent.key in self._listings:
            self._listings[place.parent.key][1].pop(place.name, None)

    def rename(self, place: ObjectPath, name: str, generation: int) -> None:
        """Give this generation of an object another name in its folder, in place of what is called so.

        Raises PreconditionFailedError if there is another, and StorageError.
        """
        with translating_gcs_errors(place):
            self._bucket.copy_blob(
                self._bucket.blob(place.key),
                self._bucket,
                (place.parent / name).key,
                if_source_generation_match=generation,
                retry=RETRY,
            )
        self.remove(place, generation)
        self._listings.pop(place.parent.key, None)

    def look_closely(self, place: ObjectPath) -> ObjectVersion | None:
        """Ask for an object itself, whatever was listed; None where there is none. Raises StorageError."""
        blob = self._bucket.blob(place.key)
        with translating_gcs_errors(place):
            try:
                blob.reload(retry=RETRY)
            except NotFound:
                return None
        return _known(blob)


def _within(seconds: float) -> dict[str, Any]:
    """Return the retry policy with which a request lands within `seconds`: half for retries, half for the last one."""
    longest = min(seconds / 2, REQUEST_SECONDS)
    end = now() + longest
    # By a clock that runs while the machine sleeps. The retry's own clock stops.
    may_again = RETRY._predicate  # noqa: SLF001 - it has no public name
    retry = RETRY.with_timeout(longest).with_predicate(lambda error: now() < end and may_again(error))
    return {"retry": retry, "timeout": longest}


def _known(blob: storage.Blob) -> ObjectVersion:
    return ObjectVersion(str(blob.md5_hash), int(blob.generation))
