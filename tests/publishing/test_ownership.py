"""One config publishes to a web directory: the second is refused, on a disk and in a bucket, unless it adopts it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.buckets import place, public_folder
from winnow_dagster.files.errors import STAGED_PREFIX, NotOursError, StorageError
from winnow_dagster.files.operations import exists, make_folder, overwrite_file, read_if_there
from winnow_dagster.files.paths import StorePath
from winnow_dagster.publishing.ownership import ID_NAME, Ownership

PAGE = b'<link rel="stylesheet" href="_static/winnow.css?v=1">'

Make = Callable[..., Ownership]


@pytest.fixture(params=["disk", "bucket"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Return what makes the ownership of a config, by its name and its data_dir."""
    if request.param == "bucket":
        request.getfixturevalue("service")

    def make(name: str = "winnow.yaml", data: str = "data") -> Ownership:
        config = tmp_path / name
        if not config.exists():
            config.write_text(name)
        if request.param == "bucket":
            return Ownership(place() / data, public_folder(), config)
        return Ownership(tmp_path / data, tmp_path / "public", config)

    return make


def put(folder: StorePath, name: str, content: bytes) -> None:
    make_folder(folder)
    overwrite_file(folder / name, content)


def test_a_config_claims_its_directory_once_and_for_all(make: Make) -> None:
    site = make().claim()
    assert make().claim() == make().site == site
    assert len(site) == 32


@pytest.mark.parametrize(("name", "data"), [("other.yaml", "data"), ("winnow.yaml", "other"), ("other.yaml", "other")])
def test_another_config_and_another_data_dir_are_refused_until_they_adopt_it(make: Make, name: str, data: str) -> None:
    first, second = make(), make(name, data)
    first.claim()
    for act in (second.check, second.claim):
        with pytest.raises(NotOursError, match="--adopt"):
            act()
    assert second.site == ""
    assert second.claim(adopt=True) == second.claim()
    with pytest.raises(NotOursError, match="another config publishes there"):
        first.claim()


def test_a_config_that_was_renamed_keeps_its_directory(make: Make) -> None:
    first = make()
    site = first.claim()
    renamed = make("renamed.yaml")
    first.config.unlink()
    renamed.check()
    assert renamed.claim() == site
    # The old name is anybody's again.
    with pytest.raises(NotOursError):
        make().claim()


def test_the_same_config_by_another_path_is_the_same(make: Make, tmp_path: Path) -> None:
    site = make().claim()
    link = tmp_path / "link.yaml"
    link.symlink_to(tmp_path / "winnow.yaml")
    assert make("link.yaml").claim() == site


def test_workers_that_share_a_machine_have_one_site(make: Make, tmp_path: Path) -> None:
    site = make().claim()
    (tmp_path / "copy.yaml").write_bytes(make().config.read_bytes())
    assert make("copy.yaml").claim() == make().claim() == site


@pytest.mark.parametrize("other", [("other.yaml", "data"), ("winnow.yaml", "other")], ids=["config", "data_dir"])
def test_of_two_configs_that_start_at_once_one_is_refused(make: Make, other: tuple[str, str]) -> None:
    start = threading.Barrier(2)

    def claim(ownership: Ownership) -> str | None:
        start.wait()
        try:
            return ownership.claim()
        except NotOursError:
            return None

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(claim, [make(), make(*other)]))
    assert sum(site is not None for site in found) == 1


def test_a_process_that_looks_for_its_id_just_before_another_writes_it_leaves_it_there(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, late = make().claim(), make()
    seen = iter(["", site, site])
    with monkeypatch.context() as patch:
        patch.setattr(Ownership, "site", property(lambda _: next(seen)))
        assert late.claim() == site
    assert make().site == site


def test_an_id_that_another_process_is_just_writing_is_passed_over(make: Make) -> None:
    first, second = make(), make("other.yaml")
    first.claim()
    put(first.data_dir / "sites", f"{STAGED_PREFIX}1-abcd", b"")
    with pytest.raises(NotOursError, match="--adopt"):
        second.claim()


def test_two_processes_of_one_config_that_start_at_once_agree(make: Make) -> None:
    start = threading.Barrier(4)

    def claim(_: int) -> str:
        ownership = make()
        start.wait()
        return ownership.claim()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(claim, range(4)))) == 1


def test_workers_with_copies_of_one_config_that_start_at_once_have_one_site(make: Make, tmp_path: Path) -> None:
    (tmp_path / "copy.yaml").write_bytes(make().config.read_bytes())
    # Both have looked before either claims.
    start = threading.Barrier(2)

    class Waiting(Ownership):
        def _check(self, own: str, found: str) -> StorePath | None:
            former = super()._check(own, found)
            start.wait()
            return former

    def claim(name: str) -> str:
        ownership = make(name)
        return Waiting(ownership.data_dir, ownership.output_dir, ownership.config).claim()

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(claim, ["winnow.yaml", "copy.yaml"])
    assert first == second == make().site == make("copy.yaml").site


def test_a_site_without_an_id_is_taken_over_by_the_config_that_has_its_days(make: Make) -> None:
    first, second = make(), make("winnow.yaml", "other")
    put(first.output_dir, "index.html", PAGE)
    put(first.output_dir, "_packages.json", b"{}")
    put(first.data_dir / "bigquery/raw_downloads", "2025-06-30.parquet", b"")
    with pytest.raises(NotOursError, match="has no day of it"):
        second.claim()
    assert not exists(second.output_dir / ID_NAME)
    first.claim()


def test_what_the_predecessor_published_is_taken_over(make: Make) -> None:
    put(make().output_dir, "_health.json", b"{}")
    put(make().output_dir / "a", "downloads-30d-non-ci.json", b"{}")
    assert make().claim()


def test_a_page_that_is_not_winnows_is_not_replaced(make: Make) -> None:
    put(make().output_dir, "index.html", b"<h1>Welcome to nginx!</h1>")
    for adopt in (False, True):
        with pytest.raises(NotOursError, match=r"index.html: Winnow did not make this page"):
            make().claim(adopt=adopt)
    assert read_if_there(make().output_dir / "index.html") == b"<h1>Welcome to nginx!</h1>"


def test_a_damaged_id_is_named(make: Make) -> None:
    make().claim()
    put(make().output_dir, ID_NAME, b"")
    with pytest.raises(StorageError, match=rf"{ID_NAME}: is damaged"):
        make().claim()
