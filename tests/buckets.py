"""What tests of buckets share: two empty ones over HTTP, and an installation with both directories in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.bucket_service import Service, bucket_service
from tests.conftest import DAY, House, MakeHouse
from tests.object_services import azure_service, azurite, s3_service
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
def azure_backend() -> Iterator[tuple[str, int]]:
    with azurite() as found:
        yield found


on_every_store = pytest.mark.parametrize("service", ["gs", "s3", "az"], indirect=True)
"""For tests of what holds in a bucket of every service."""


@pytest.fixture
def service(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    kind = getattr(request, "param", "gs")
    with ExitStack() as stack:
        if kind == "gs":
            found = stack.enter_context(bucket_service())
        elif kind == "s3":
            found = stack.enter_context(s3_service())
        else:
            found = stack.enter_context(azure_service(request.getfixturevalue("azure_backend")))
        monkeypatch.setenv(SCHEME, found.scheme)
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        yield found


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
        return House(winnow, house.instance)

    return make
