"""The store in a bucket of Google Cloud Storage. Versions are generations."""

from __future__ import annotations

import base64
import contextlib
import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials, Credentials
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from winnow_dagster.files.bucket import BucketStore
from winnow_dagster.files.gcs_errors import translating_gcs_errors
from winnow_dagster.files.held import now
from winnow_dagster.files.paths import AT_ONCE
from winnow_dagster.files.store import ObjectVersion, Version
from winnow_dagster.google_access import FIRST_SECONDS, Session, load_credentials

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from winnow_dagster.files.bucket import Upload

RETRY = DEFAULT_RETRY.with_timeout(60)
"""How a transient error is retried; each request is safe to repeat, since it names what it replaces."""

REQUEST_SECONDS = 60.0
"""How long one request may take."""

LISTED_FIELDS = "items(name,md5Hash,generation,metadata),prefixes,nextPageToken"
TAG = "winnow"
MAX_TAG_LENGTH = 4000
"""In characters: Google takes 8 KiB of tags."""

EMULATOR_VARIABLE = "STORAGE_EMULATOR_HOST"
SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
PROJECT = "winnow"
"""No request names a project, but Google's client wants one."""


class GcsStore(BucketStore):
    """One bucket of Google Cloud Storage."""

    probe_seconds = 2.0 * FIRST_SECONDS

    def __init__(self, name: str, key_file: Path | None) -> None:
        """Connect with the first request, with a service account's key or the credentials of the environment."""
        super().__init__(f"gs://{name}")
        self._name = name
        self._key_file = key_file

    @cached_property
    def _bucket(self) -> storage.Bucket:
        with translating_gcs_errors(self.address):
            credentials = self._credentials()
        return storage.Client(PROJECT, credentials, _http=Session(credentials, AT_ONCE)).bucket(self._name)

    def _credentials(self) -> Credentials:
        if os.environ.get(EMULATOR_VARIABLE):
            return AnonymousCredentials()  # type: ignore[no-untyped-call]
        return load_credentials(self._key_file, [SCOPE])[0]

    def read(self, key: str, version: Version | None = None) -> bytes | None:
        """Return the content of an object; None if there is none. See Store."""
        blob = self._bucket.blob(key)
        wanted = None if version is None else int(version)
        with translating_gcs_errors(self._place(key)):
            try:
                return bytes(blob.download_as_bytes(retry=RETRY, if_generation_match=wanted))
            except NotFound:
                return None

    def head(self, key: str) -> ObjectVersion | None:
        """Return the present version of an object, without a listing; None if there is none. Raises StorageError."""
        blob = self._bucket.blob(key)
        with translating_gcs_errors(self._place(key)):
            try:
                blob.reload(retry=RETRY)
            except NotFound:
                return None
        return _known(blob)

    def scan(self, prefix: str) -> Iterator[ObjectVersion]:
        """Yield all objects whose keys begin with `prefix`, in the order of the keys."""
        with translating_gcs_errors(self._place(prefix)):
            for blob in self._bucket.list_blobs(prefix=prefix, fields=LISTED_FIELDS, retry=RETRY):
                if not blob.name.endswith("/"):
                    yield _known(blob)

    def list_folder(self, folder: str) -> tuple[Sequence[ObjectVersion], Sequence[str]]:
        """Return the objects that are directly in a folder, and the keys of the folders in it."""
        prefix = f"{folder}/" if folder else ""
        with translating_gcs_errors(self._place(folder)):
            pages = self._bucket.list_blobs(prefix=prefix, delimiter="/", fields=LISTED_FIELDS, retry=RETRY)
            # Google's console marks a new folder with an object whose key ends so.
            return [_known(blob) for blob in pages if not blob.name.endswith("/")], list(pages.prefixes)

    def _put(self, key: str, upload: Upload, replaces: Version | None, seconds: float) -> ObjectVersion:
        blob = self._bucket.blob(key)
        blob.metadata = {TAG: upload.tag} if 0 < len(upload.tag) < MAX_TAG_LENGTH else None
        blob.content_type = upload.headers["Content-Type"]
        blob.cache_control = upload.headers.get("Cache-Control")
        wanted = 0 if replaces is None else int(replaces)
        with translating_gcs_errors(self._place(key)):
            blob.upload_from_string(upload.content, blob.content_type, if_generation_match=wanted, **_within(seconds))
        return _known(blob)

    def _remove(self, key: str, version: Version, seconds: float) -> None:
        with translating_gcs_errors(self._place(key)), contextlib.suppress(NotFound):
            self._bucket.blob(key).delete(if_generation_match=int(version), **_within(seconds))


def _within(seconds: float) -> dict[str, Any]:
    """Return the retry policy with which a request lands within `seconds`: half for retries, half for the last one."""
    longest = min(seconds / 2, REQUEST_SECONDS)
    end = now() + longest
    # By a clock that runs while the machine sleeps. The retry's own clock stops.
    may_again = RETRY._predicate  # noqa: SLF001 - it has no public name
    retry = RETRY.with_timeout(longest).with_predicate(lambda error: now() < end and may_again(error))
    return {"retry": retry, "timeout": longest}


def _known(blob: storage.Blob) -> ObjectVersion:
    # A composite object has no MD5.
    md5 = base64.b64decode(blob.md5_hash).hex() if blob.md5_hash else ""
    return ObjectVersion(str(blob.name), Version(str(blob.generation)), md5, (blob.metadata or {}).get(TAG))
