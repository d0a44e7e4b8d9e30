"""What tests of buckets share: two empty ones over HTTP, and an installation with both directories in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from tests.bucket_service import Service, bucket_service
from tests.conftest import DAY, House, MakeHouse
from tests.rows import row
from winnow_dagster.defs.resources import Installation
from winnow_dagster.files import gcs
from winnow_dagster.files.paths import ObjectPath

MakeInBuckets = Callable[[Sequence[tuple[str, int]]], House]

PUBLIC, DATA = "public-bucket", "data-bucket"
A_FEW = [("a", 10), ("b", 20), ("c", 30)]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with bucket_service() as found:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", found.url)
        gcs.open_bucket.cache_clear()
        yield found
    gcs.open_bucket.cache_clear()


def place(name: str = DATA, key: str = "winnow") -> ObjectPath:
    return ObjectPath(name, key)


def public_folder() -> ObjectPath:
    """The directory that is published, which a manifest lists."""
    return place(PUBLIC, "badges").listed_in(place() / "manifest")


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
