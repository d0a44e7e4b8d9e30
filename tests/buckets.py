"""What tests of buckets share: two empty ones over HTTP, and an installation with both directories in them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest
from gcp_storage_emulator.server import Server

from tests.bucket_service import Service, bucket_service, gcs_emulator
from tests.conftest import DAY, House, MakeHouse
from tests.object_services import azure_service, azurite, moto, s3_service
from tests.rows import row
from winnow_dagster.defs.resources import Installation
from winnow_dagster.files.opening import open_path
from winnow_dagster.files.paths import ObjectPath

MakeInBuckets = Callable[[Sequence[tuple[str, int]]], House]

PUBLIC, DATA = "public-bucket", "data-bucket"
SCHEME = "WINNOW_TESTS_BUCKETS"
"""The variable that says which service the buckets of a test are of."""

A_FEW = [("a", 10), ("b", 20), ("c", 30)]


@pytest.fixture(scope="session")
def gcs_backend() -> Iterator[Server]:
    with gcs_emulator() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def s3_backend() -> Iterator[tuple[str, int]]:
    with moto() as found:
        yield found


@pytest.fixture(scope="session")
def azure_backend() -> Iterator[tuple[str, int]]:
    with azurite() as found:
        yield found


SERVICES: dict[str, tuple[Callable[..., AbstractContextManager[Service]], str]] = {
    "gs": (bucket_service, "gcs_backend"),
    "s3": (s3_service, "s3_backend"),
    "az": (azure_service, "azure_backend"),
}
"""What serves empty buckets of a kind, and the fixture of the server behind it, which runs as long as the tests."""


def in_azure(*values: object) -> pytest.ParameterSet:
    """Return the parameters of a case that needs Azurite, after the service itself."""
    return pytest.param("az", *values, marks=pytest.mark.npm)


on_every_store = pytest.mark.parametrize("service", ["gs", "s3", in_azure()], indirect=True)
"""For tests of what holds in a bucket of every service."""

on_every_store_in_seconds = pytest.mark.parametrize(
    "service", ["gs", pytest.param("s3", marks=pytest.mark.slow), in_azure()], indirect=True
)
"""For those that take seconds per service."""


def on_one_store(kind: str) -> pytest.MarkDecorator:
    """For those that play whole collects: on one service for each change, on the others for a release."""
    others = [pytest.param(each, marks=pytest.mark.release) for each in ("gs", "s3") if each != kind]
    return pytest.mark.parametrize("service", [kind, *others, in_azure()], indirect=True)


@pytest.fixture
def service(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    serve, backend = SERVICES[getattr(request, "param", "gs")]
    with serve(request.getfixturevalue(backend)) as found:
        monkeypatch.setenv(SCHEME, found.scheme)
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        yield found


VARYING = {"_health.json", "_site.json"}


def without_times(published: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return published files by name, but for when the days were read, and by which config."""
    found = {name: content for name, content in published.items() if name not in VARYING}
    return found | {
        name: re.sub(rb'"read_until": "[^"]+"', b'"read_until": null', content)
        for name, content in found.items()
        if name.endswith("/breakdowns.json")
    }


def place(name: str = DATA, key: str = "winnow") -> ObjectPath:
    return open_path(f"{os.environ[SCHEME]}://{name}/{key}")


def public_folder() -> ObjectPath:
    """The directory that is published."""
    return place(PUBLIC, "badges")


@pytest.fixture
def house_of(service: Service, make_house: MakeHouse) -> MakeInBuckets:
    """Make a house of packages and their downloads on DAY, both directories of which are in buckets."""

    def make(counts: Sequence[tuple[str, int]]) -> House:
        make_house.source.rows = [row(DAY, name, downloads=downloads) for name, downloads in counts]
        house = make_house({name: (1,) for name, _ in counts})
        public = public_folder()
        settings = replace(house.winnow.settings, output_dir=public, data_dir=place())
        winnow = Installation(settings, house.winnow.clock, given_source=make_house.source)
        return House(winnow, house.opened)

    return make
