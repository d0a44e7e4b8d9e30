"""The stores in buckets of S3, of services with its API (R2, MinIO), and of Azure, through obstore.

Endpoints and credentials come from the services' own environment variables, such as AWS_ENDPOINT_URL and
AZURE_STORAGE_ACCOUNT_KEY. Versions are entity tags.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar, cast

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, S3Store

from winnow_dagster.files.bucket import BucketStore
from winnow_dagster.files.errors import PreconditionFailedError, StorageError, UnreachableError
from winnow_dagster.files.held import now
from winnow_dagster.files.obstore_errors import is_transient, translating_obstore_errors
from winnow_dagster.files.store import ObjectVersion, Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from obstore import Attributes, GetOptions, ObjectMeta, PutMode, PutResult
    from obstore.store import ClientConfig, RetryConfig, S3Config

    from winnow_dagster.files.bucket import Upload

T = TypeVar("T")

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_ENDPOINT", "AZURE_STORAGE_ENDPOINT")
QUICK_SECONDS = 10
"""How long one request of a write under a lease may take, and for how long Winnow repeats it."""

FIRST_PAUSE = 0.1
"""How many seconds to wait before the first repetition; then twice as long each time."""

SLOW_SECONDS = 120
"""The same for other requests: days of `*` are large."""


class ObstoreStore(BucketStore):
    """One bucket of S3, or one container of Azure."""

    min_seconds = 2.0 * QUICK_SECONDS
    probe_seconds = 2.0 * QUICK_SECONDS

    def __init__(self, scheme: str, name: str) -> None:
        """Connect with the first request. `scheme`: `s3` or `az`."""
        super().__init__(f"{scheme}://{name}")
        self._scheme, self._name = scheme, name
        # Azure's client filters what it lists by itself.
        self.lists_any_prefix = scheme == "s3"

    @cached_property
    def _slow(self) -> S3Store | AzureStore:
        return self._client(SLOW_SECONDS, {"retry_timeout": timedelta(seconds=min(SLOW_SECONDS, 60))})

    @cached_property
    def _quick(self) -> S3Store | AzureStore:
        return self._client(QUICK_SECONDS, {"max_retries": 0})

    def _client(self, seconds: int, retry: RetryConfig) -> S3Store | AzureStore:
        for name in ENDPOINTS:
            # The client panics if it is no URL.
            is_used = name in os.environ and name.startswith("AWS" if self._scheme == "s3" else "AZURE")
            if is_used and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", os.environ[name]):
                raise UnreachableError(
                    f"{self.address}: {name} is not the address of a service. Write it as https://minio.example.com"
                )
        is_http = any(os.environ.get(name, "").startswith("http://") for name in ENDPOINTS)
        client: ClientConfig = {"timeout": timedelta(seconds=seconds), "allow_http": is_http}
        with translating_obstore_errors(self.address, self._scheme):
            if self._scheme == "az":
                return AzureStore(self._name, client_options=client, retry_config=retry)
            # Not every service with the API of S3 has bulk deletes.
            config: S3Config = {"disable_bulk_delete": True}
            return S3Store(self._name, config=config, client_options=client, retry_config=retry)

    def read(self, key: str, version: Version | None = None) -> bytes | None:
        """Return the content of an object; None if there is none. See Store."""
        with translating_obstore_errors(self._place(key), self._scheme):
            try:
                options: GetOptions = {} if version is None else {"if_match": f'"{version}"'}
                return bytes(obstore.get(self._slow, key, options=options).bytes())
            except FileNotFoundError as error:
                if "ucketNotFound" in str(error) or "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
                    raise
                return None

    def head(self, key: str) -> ObjectVersion | None:
        """Return the present version of an object, without a listing; None if there is none. Raises StorageError."""
        with translating_obstore_errors(self._place(key), self._scheme):
            try:
                return _known(obstore.head(self._slow, key))
            except FileNotFoundError:
                return None

    def scan(self, prefix: str) -> Iterator[ObjectVersion]:
        """Yield all objects whose keys begin with `prefix`, in the order of the keys."""
        # The client lists folders, from any key on.
        folder, _, rest = prefix.rpartition("/")
        offset = prefix[:-1] + chr(ord(prefix[-1]) - 1) + "~" if rest and self.lists_any_prefix else None
        with translating_obstore_errors(self._place(prefix), self._scheme):
            for chunk in obstore.list(self._slow, folder or None, offset=offset, chunk_size=1000):
                for found in chunk:
                    if found["path"].startswith(prefix):
                        yield _known(found)
                    elif rest and found["path"] > prefix:
                        return

    def list_folder(self, folder: str) -> tuple[Sequence[ObjectVersion], Sequence[str]]:
        """Return the objects that are directly in a folder, and the keys of the folders in it."""
        with translating_obstore_errors(self._place(folder), self._scheme):
            found = obstore.list_with_delimiter(self._slow, folder or None)
        # A folder that a console made is marked by an object, of which the client cuts the slash off.
        objects = [_known(each) for each in found["objects"] if each["path"] != folder]
        return objects, found["common_prefixes"]

    def _put(self, key: str, upload: Upload, replaces: Version | None, seconds: float) -> ObjectVersion:
        mode = cast("PutMode", "create" if replaces is None else {"e_tag": f'"{replaces}"'})
        attributes = cast("Attributes", upload.headers)

        def put(client: S3Store | AzureStore) -> PutResult:
            return obstore.put(client, key, upload.content, mode=mode, attributes=attributes, use_multipart=False)

        made = self._send(key, put, seconds)
        return _known({"path": key, "e_tag": made["e_tag"]})

    def _remove(self, key: str, version: Version, seconds: float) -> None:
        # The client has no conditional delete.
        asked = now()
        found = self.head(key)
        if found is None:
            return
        if found.version != version:
            raise PreconditionFailedError(f"{self._place(key)}: another process has changed it meanwhile. Run again")
        seconds -= now() - asked
        if seconds < QUICK_SECONDS:
            raise StorageError(f"{self._place(key)}: the bucket answers too slowly to remove it. Run again")

        def delete(client: S3Store | AzureStore) -> None:
            with contextlib.suppress(FileNotFoundError):
                obstore.delete(client, key)

        self._send(key, delete, min(seconds, QUICK_SECONDS * 2))

    def _send(self, key: str, request: Callable[[S3Store | AzureStore], T], seconds: float) -> T:
        """Send a write, which lands within `seconds` or not at all; repeat it after a transient error."""
        with translating_obstore_errors(self._place(key), self._scheme):
            if seconds >= SLOW_SECONDS:
                return request(self._slow)
            # The client's own retries go by a clock that stops while the machine sleeps.
            end, pause = now() + min(seconds - QUICK_SECONDS, QUICK_SECONDS), FIRST_PAUSE
            while True:
                try:
                    return request(self._quick)
                except BaseError as error:
                    if now() + pause > end or not is_transient(error, self._scheme):
                        raise
                time.sleep(pause)
                if now() > end:
                    raise StorageError(f"{self._place(key)}: the bucket answers too slowly. Run again")
                pause *= 2


def _known(found: ObjectMeta | Mapping[str, str | None]) -> ObjectVersion:
    # Azure's listings have no quotes. S3's tags are MD5s, unless an object is encrypted with a key of KMS.
    tag = str(found["e_tag"] or "").strip('"')
    return ObjectVersion(str(found["path"]), Version(tag), tag)
