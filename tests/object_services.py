"""Buckets of S3 and Azure over HTTP: moto's server and Azurite, behind the same service as the one of Google's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import obstore
import pytest
from obstore.store import AzureStore, S3Store

from tests.bucket_service import BUCKETS, Handler, Service, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own, which everybody knows."""


class S3Service(Service):
    """A service with the API of S3."""

    scheme: ClassVar[str] = "s3"

    @property
    def environment(self) -> dict[str, str]:
        keys = {"AWS_ACCESS_KEY_ID": "winnow", "AWS_SECRET_ACCESS_KEY": "winnow", "AWS_REGION": "us-east-1"}
        return {"AWS_ENDPOINT_URL": self.url, **keys}

    def _client(self, bucket: str) -> S3Store | AzureStore:
        return S3Store(
            bucket,
            endpoint="http://{}:{}".format(*self.backend),
            access_key_id="winnow",
            secret_access_key="winnow",
            region="us-east-1",
            config={"disable_bulk_delete": True},
            client_options={"allow_http": True},
        )

    def objects(self, bucket: str) -> dict[str, dict[str, Any]]:
        found = obstore.list(self._client(bucket), chunk_size=1000)
        with self.lock:
            return {each["path"]: dict(each) for chunk in found for each in chunk}

    def content(self, bucket: str) -> dict[str, bytes]:
        with self.lock:
            return {name: bytes(obstore.get(self._client(bucket), name).bytes()) for name in self.objects(bucket)}

    def read(self, bucket: str, name: str) -> bytes | None:
        """Return the content of one object; None where there is none."""
        with suppress(FileNotFoundError):
            return bytes(obstore.get(self._client(bucket), name).bytes())
        return None

    def headers(self, bucket: str, name: str) -> dict[str, Any]:
        return dict(obstore.get(self._client(bucket), name).attributes)

    def make(self, bucket: str) -> None:
        self.ask("PUT", f"/{bucket}")

    def put(self, bucket: str, name: str, content: bytes) -> None:
        with self.lock:
            obstore.put(self._client(bucket), name, content, use_multipart=False)

    def remove(self, bucket: str, name: str) -> None:
        with self.lock:
            obstore.delete(self._client(bucket), name)

    def generation(self, bucket: str, name: str) -> int:
        raise NotImplementedError


class S3Handler(Handler):
    """Tells what a request to S3 is."""

    def _what(self, body: bytes) -> tuple[str, str, str]:  # noqa: ARG002 - Azure's needs it
        url = urlsplit(self.path)
        bucket, _, name = unquote(url.path).lstrip("/").partition("/")
        if not name:
            return "list", bucket, parse_qs(url.query).get("prefix", [""])[0]
        return {"PUT": "write", "DELETE": "remove", "HEAD": "look"}.get(self.command, "read"), bucket, name

    def _check(self, bucket: str, name: str) -> None:
        """Leave preconditions to the backend."""

    def _error(self, status: int, reason: str, message: str = "") -> tuple[int, dict[str, str], bytes]:
        said = f"<Error><Code>{reason}</Code><Message>{message}</Message></Error>"
        return status, {"Content-Type": "application/xml"}, said.encode()


@contextmanager
def moto() -> Iterator[tuple[str, int]]:
    """Run moto's server of S3; yield its address."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - it takes seconds, and not every test needs it

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        yield server.get_host_and_port()
    finally:
        server.stop()


@contextmanager
def s3_service(backend: tuple[str, int]) -> Iterator[S3Service]:
    """Empty moto's server, and serve its buckets until the end."""
    service = S3Service()
    service.backend = backend
    service.ask("POST", "/moto-api/reset")
    for name in BUCKETS:
        service.make(name)
    with serving(service, S3Handler):
        yield service


class AzureService(S3Service):
    """A service with the API of Azure's blobs."""

    scheme: ClassVar[str] = "az"

    @property
    def environment(self) -> dict[str, str]:
        keys = {"AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": KEY}
        return {"AZURE_ENDPOINT": f"{self.url}/{ACCOUNT}", **keys}

    def _client(self, bucket: str) -> S3Store | AzureStore:
        return AzureStore(
            bucket,
            endpoint="http://{}:{}/{}".format(*self.backend, ACCOUNT),
            account_name=ACCOUNT,
            account_key=KEY,
            client_options={"allow_http": True},
        )

    def make(self, bucket: str) -> None:
        date = formatdate(usegmt=True)
        headers = {"x-ms-date": date, "x-ms-version": "2021-08-06"}
        signed = [f"{key}:{value}" for key, value in headers.items()]
        text = "\n".join(["PUT", *[""] * 11, *signed, f"/{ACCOUNT}/{ACCOUNT}/{bucket}", "restype:container"])
        digest = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
        url = "http://{}:{}/{}/{}?restype=container".format(*self.backend, ACCOUNT, bucket)
        # Azurite runs for as long as the tests.
        with suppress(urllib.error.HTTPError):
            urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers)).close()
        for name in self.objects(bucket):
            self.remove(bucket, name)


class AzureHandler(S3Handler):
    """Tells what a request to Azure is."""

    @property
    def dropped(self) -> set[str]:
        # A request is signed with its date.
        return super().dropped - {"date"}

    def _what(self, body: bytes) -> tuple[str, str, str]:
        url = urlsplit(self.path)
        bucket, _, name = unquote(url.path).lstrip("/").removeprefix(f"{ACCOUNT}/").partition("/")
        query = parse_qs(url.query)
        if query.get("comp") == ["batch"]:
            found = re.search(rf"DELETE /(?:{ACCOUNT}/)*{bucket}/(\S+)".encode(), body)
            return "remove", bucket, unquote(found[1].decode()) if found else ""
        if not name:
            return "list", bucket, query.get("prefix", [""])[0]
        return {"PUT": "write", "HEAD": "look"}.get(self.command, "read"), bucket, name


@contextmanager
def azurite() -> Iterator[tuple[str, int]]:
    """Run Azurite, which comes from npm; skip the test if it is not installed."""
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("Azurite is not installed: npm install --global azurite")
    options = ["--blobPort", "0", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    with (
        tempfile.NamedTemporaryFile() as log,
        subprocess.Popen([program, *options], stdout=log) as process,
    ):
        try:
            said = None
            while said is None and process.poll() is None:
                said = re.search(r"listens on http://(.*):(\d+)", Path(log.name).read_text())
                time.sleep(0.05)
            assert said, Path(log.name).read_text()
            yield said[1], int(said[2])
        finally:
            process.terminate()


@contextmanager
def azure_service(backend: tuple[str, int]) -> Iterator[AzureService]:
    """Serve empty containers of Azure until the end."""
    service = AzureService()
    service.backend = backend
    for name in BUCKETS:
        service.make(name)
    with serving(service, AzureHandler):
        yield service
