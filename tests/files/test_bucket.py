"""In a bucket everything holds that holds on a disk, over HTTP, against an emulator."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.bucket_service import Service
from tests.buckets import (
    A_FEW,
    DATA,
    PUBLIC,
    SCHEME,
    MakeInBuckets,
    on_every_store,
    on_every_store_in_seconds,
    on_one_store,
    place,
    without_times,
)
from tests.conftest import DAY
from tests.rows import row, to_frame
from winnow_dagster.cli import main
from winnow_dagster.core.billing import Entry
from winnow_dagster.core.categories import RAW_SCHEMA
from winnow_dagster.core.coverage import Coverage
from winnow_dagster.core.names import Selector
from winnow_dagster.files import disk, paths
from winnow_dagster.files.bucket import PROBE
from winnow_dagster.files.errors import StorageError
from winnow_dagster.files.operations import read_if_there
from winnow_dagster.store.days import DayStore
from winnow_dagster.store.ledger import ledger_of

CONFIG = f"""
service: {{output_dir: gs://{PUBLIC}/badges, data_dir: gs://{DATA}/winnow}}
packages: [{{name: sample-oat}}, {{name: Sample_Rye, window_days: [7, 30]}}]
groups: [{{name: cereals, packages: [sample-oat, sample-rye]}}]
"""


def write_config(folder: Path, text: str = CONFIG) -> Path:
    path = folder / "winnow.yaml"
    path.write_text(text.replace("gs://", f"{os.environ[SCHEME]}://"))
    return path


def start(config: Path, service: Service) -> subprocess.Popen[str]:
    """Start `winnow collect` as a process."""
    command = [sys.executable, "-m", "winnow_dagster.cli", "collect", "--config", str(config)]
    env = {**os.environ, **service.environment, "DAGSTER_DISABLE_TELEMETRY": "1"}
    return subprocess.Popen(
        command, cwd=config.parent, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def winnow(config: Path, command: str, *options: str, code: int = 0) -> str:
    """Run a command in this process, and return its output."""
    result = CliRunner().invoke(main, [command, "--config", str(config), *options], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def published(service: Service) -> dict[str, bytes]:
    return without_times({n.removeprefix("badges/"): c for n, c in service.content(PUBLIC).items()})


def on_a_disk(folder: Path, config: str) -> dict[str, bytes]:
    """Return what is published on a disk."""
    folder.mkdir()
    winnow(write_config(folder, config), "collect")
    paths = [path for path in (folder / "public").rglob("*") if path.is_file()]
    return without_times({str(path.relative_to(folder / "public")): path.read_bytes() for path in paths})


@pytest.mark.slow(13)
@on_one_store("s3")
def test_what_is_published_in_a_bucket_is_what_is_published_on_a_disk(service: Service, tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    config = write_config(tmp_path / "bucket")
    winnow(config, "collect")
    without_service = "packages" + CONFIG.split("packages", 1)[1]
    assert published(service) == on_a_disk(tmp_path / "disk", without_service)
    headers = {name: service.headers(PUBLIC, name) for name in service.objects(PUBLIC)}
    kinds = {name.rpartition(".")[2]: found["Content-Type"] for name, found in headers.items()}
    assert kinds["html"] == "text/html; charset=utf-8"
    assert kinds["svg"] == "image/svg+xml; charset=utf-8"
    assert kinds["json"] == "application/json; charset=utf-8"
    cached = {found["Cache-Control"] for name, found in headers.items() if not name.endswith("_site.json")}
    assert cached == {"public, max-age=300"}

    service.forget()
    winnow(config, "collect")
    written = {name for name in service.written() if not name.endswith((".lease", PROBE, "/hashes.json"))}
    assert written == {"badges/_health.json"}
    # All that is published is listed at once, by each publication and by those who read meanwhile.
    assert {each.name for each in service.asked if each.what == "list" and each.name.startswith("badges")} == {
        "badges/"
    }
    # Nothing of a worker's own is needed but its config.
    assert not (tmp_path / "bucket/public").exists()

    winnow(write_config(tmp_path / "bucket", CONFIG.replace("sample-oat", "sample-barley")), "prune", "-y")
    assert not [name for name in service.objects(PUBLIC) if name.startswith("badges/sample-oat/")]
    said = winnow(config, "serve", code=2)
    assert f"{service.scheme}://public-bucket/badges: the bucket's service serves it" in said


@pytest.mark.slow(13)
@on_one_store("gs")
def test_all_packages_are_published_in_a_bucket_as_on_a_disk(service: Service, tmp_path: Path) -> None:
    packages = 'packages: [{name: "*"}, {name: sample-oat}]'
    (tmp_path / "bucket").mkdir()
    config = write_config(tmp_path / "bucket", CONFIG.split("packages", 1)[0] + packages)
    winnow(config, "collect")
    assert published(service) == on_a_disk(tmp_path / "disk", packages)
    service.forget()
    winnow(config, "collect")
    written = {name for name in service.written() if not name.endswith((".lease", PROBE, "/hashes.json"))}
    assert written == {"badges/_health.json"}
    # `*` leaves the config, and what it published goes.
    winnow(write_config(tmp_path / "bucket", config.read_text().replace('{name: "*"}, ', "")), "prune", "-y")
    left = {name.split("/")[1] for name in service.objects(PUBLIC)}
    assert "sample-rye" not in left
    assert "_packages" not in left
    assert "sample-oat" in left


def headline(service: Service, package: str) -> str:
    name = f"badges/{package}/downloads-1d-non-ci.json"
    return str(json.loads(service.content(PUBLIC)[name])["message"])


@on_every_store_in_seconds
def test_uploads_go_side_by_side_and_are_bounded(service: Service, house_of: MakeInBuckets) -> None:
    house = house_of([(f"package-{n}", n + 1) for n in range(6)])
    house.count(DAY, DAY)
    service.forget()
    # Longer than the service takes by itself, so that uploads overlap.
    service.seconds = 0.03
    house.publish()
    assert paths.AT_ONCE // 2 < service.most_at_once <= paths.AT_ONCE + 1


@on_every_store_in_seconds
def test_a_failed_upload_leaves_the_old_object_and_the_next_run_finishes(
    service: Service, house_of: MakeInBuckets
) -> None:
    house = house_of(A_FEW)
    house.store(DAY, DAY)
    house.show()
    before = service.content(PUBLIC)
    more = house_of([(name, downloads + 1000) for name, downloads in A_FEW])
    more.store(DAY, DAY, refetch=True)
    service.refuse("badges/b/downloads-1d-non-ci.json", 400)
    assert not more.run("badges").success
    assert headline(service, "a") == headline(service, "c") == "1k"
    assert headline(service, "b") == "20"
    after = service.content(PUBLIC)
    broken = [n for n in before if n.startswith("badges/b/") and after[n] == before[n]]
    assert "badges/b/downloads-1d-non-ci.json" in broken
    # The record is written first.
    assert "badges/b/counts.json" not in broken
    service.refusals.clear()
    assert more.run("badges").success
    assert headline(service, "b") == "1k"


def test_what_fails_in_passing_is_tried_again(service: Service, house_of: MakeInBuckets) -> None:
    house = house_of(A_FEW)
    service.refuse("badges/b/downloads-1d-non-ci.json", 503, times=2)
    service.refuse("winnow/parquet/raw_downloads/2025-06-30.parquet", 429, times=1)
    house.store(DAY, DAY)
    house.show()
    assert headline(service, "b") == "20"


@pytest.mark.parametrize(
    ("status", "fix"),
    [(403, "Give this account the role Storage Object User on the bucket"), (401, "Check the credentials")],
)
def test_a_bucket_that_refuses_is_named_once_and_the_rest_is_left(
    service: Service, house_of: MakeInBuckets, status: int, fix: str
) -> None:
    house = house_of([(f"package-{n}", n + 1) for n in range(40)])
    house.store(DAY, DAY)
    for n in range(40):
        service.refuse(f"badges/package-{n}/counts.json", status)
    service.forget()
    result = house.run("badges")
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert fix in str(failure.step_failure_data.error)
    assert len([each for each in service.asked if each.status == status]) <= paths.AT_ONCE


@on_every_store
def test_there_is_no_such_bucket(service: Service, tmp_path: Path) -> None:
    config = write_config(tmp_path, CONFIG.replace(DATA, "no-such-bucket"))
    said = winnow(config, "collect", code=1)
    assert "://no-such-bucket/winnow: " in said
    assert "There is no such bucket. Create it, or choose another" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("command", [["check"], ["estimate"], ["prune", "--yes"]])
def test_every_command_ends_with_a_line_on_what_is_wrong_with_a_bucket(
    service: Service, tmp_path: Path, command: list[str]
) -> None:
    text = (
        CONFIG.replace(PUBLIC, "no-such-bucket").replace(DATA, "no-such-bucket-either") + "source: {kind: bigquery}\n"
    )
    config = write_config(tmp_path, text)
    said = CliRunner().invoke(main, [*command, "--config", str(config)], catch_exceptions=False)
    assert said.exit_code == 2
    assert said.stderr.startswith("winnow: gs://no-such-bucket")
    assert "There is no such bucket" in said.stderr


@on_every_store_in_seconds
def test_what_somebody_removed_or_changed_is_put_right(service: Service, house_of: MakeInBuckets) -> None:
    house = house_of(A_FEW)
    house.store(DAY, DAY)
    house.show()
    before = published(service)
    service.remove(PUBLIC, "badges/a/downloads-1d-non-ci.json")
    service.put(PUBLIC, "badges/b/counts.json", b"{}")
    house.show()
    assert published(service) == before


@pytest.mark.slow(13)
@on_one_store("s3")
def test_a_collect_that_is_killed_at_any_stage_is_finished_by_the_next(service: Service, tmp_path: Path) -> None:
    # Each collect is a process that takes seconds to start.
    config = write_config(tmp_path, CONFIG.split("packages", 1)[0] + "packages: [{name: sample-oat, window_days: 7}]")
    for stage in ("raw_downloads/", "honest_downloads/", "badges/sample-oat/"):
        service.forget()
        process = start(config, service)
        while process.poll() is None and not any(stage in name for name in service.written()):
            service.on_write.wait(1)
            service.on_write.clear()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    winnow(config, "collect")
    found = published(service)
    for item in service.objects(PUBLIC), service.objects(DATA):
        for name in item:
            service.remove(PUBLIC if name.startswith("badges/") else DATA, name)
    winnow(config, "collect")
    assert found == published(service)


COUNTS = to_frame([row(DAY, "a", downloads=5)])
READ = Coverage(read={Selector("a"): datetime(2025, 7, 1, 4, tzinfo=UTC)})


def day_store() -> DayStore:
    return DayStore(place() / "raw_downloads", RAW_SCHEMA)


@on_every_store
def test_a_day_that_another_has_written_since_is_not_lost(service: Service) -> None:
    slow, quick = day_store(), day_store()
    slow.write(DAY, COUNTS, READ)
    assert quick.coverage(DAY) == slow.coverage(DAY) == READ
    quick.write(DAY, COUNTS, Coverage(read={**READ.read, Selector("b"): datetime(2025, 7, 1, 5, tzinfo=UTC)}))
    with pytest.raises(StorageError, match="another process has changed it meanwhile"):
        slow.write(DAY, COUNTS, READ)
    found = day_store().coverage(DAY)
    assert found is not None
    assert Selector("b") in found.read


@on_every_store
def test_a_damaged_day_in_a_bucket_is_set_aside(service: Service) -> None:
    day_store().write(DAY, COUNTS, READ)
    name = f"winnow/raw_downloads/{DAY}.parquet"
    service.put(DATA, name, service.content(DATA)[name][:-7])
    assert day_store().coverage(DAY) is None
    day_store().clean_up()
    assert list(service.objects(DATA)) == [f"{name}.corrupt"]
    assert "was set aside" in next(iter(day_store().damaged().values()))


@on_every_store
def test_half_a_local_copy_is_never_taken_for_the_object(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    day_store().write(DAY, COUNTS, READ)
    store = day_store()

    def full(path: str, content: bytes) -> None:
        Path(path).write_bytes(content[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    with monkeypatch.context() as patched:
        patched.setattr(disk, "_create", full)
        with pytest.raises(StorageError, match="No space left on device"):
            store.coverage(DAY)
    store.clean_up()
    assert store.coverage(DAY) == READ
    assert list(service.objects(DATA)) == [f"winnow/raw_downloads/{DAY}.parquet"]


@on_every_store
def test_what_is_set_aside_is_what_was_found_damaged(service: Service) -> None:
    day_store().write(DAY, COUNTS, READ)
    name = f"winnow/raw_downloads/{DAY}.parquet"
    whole = service.content(DATA)[name]
    service.put(DATA, name, whole[:-7])
    store = day_store()
    assert store.coverage(DAY) is None
    service.put(DATA, name, whole)
    with pytest.raises(StorageError, match="another process has changed it meanwhile"):
        store.clean_up()
    assert service.content(DATA) == {name: whole}


@on_every_store
def test_a_day_that_goes_between_the_listing_and_the_reading_is_not_there(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    day_store().write(DAY, COUNTS, READ)
    store = day_store()
    assert store.stored_days() == [DAY]
    service.remove(DATA, f"winnow/raw_downloads/{DAY}.parquet")
    assert store.coverage(DAY) is None
    assert "damaged" not in caplog.text


def test_what_is_damaged_on_its_way_is_no_answer(service: Service) -> None:
    service.put(DATA, "winnow/a", b"content")
    service.garbled.add("winnow/a")
    with pytest.raises(StorageError, match="gs://data-bucket/winnow/a: it was damaged on its way"):
        read_if_there(place() / "a")


def entry(job: str, at: datetime, selectors: list[str], billed: int | None = None) -> Entry:
    return Entry(job, at, date(2025, 6, 1), date(2025, 6, 30), selectors, "batched", 1e9, billed)


def test_the_ledger_in_a_bucket_tells_each_query_once_oldest_first(service: Service) -> None:
    ledger = ledger_of(place())
    early, late = datetime(2025, 6, 30, 23, tzinfo=UTC), datetime(2025, 7, 1, 4, tzinfo=UTC)
    many = [f"a-package-with-a-long-name-{n}" for n in range(1000)]
    ledger.enter(entry("two", late, many))
    ledger.enter(entry("one", early, ["a"]))
    ledger.enter(entry("two", late, many, billed=7))
    service.forget()
    found = ledger_of(place()).entries()
    assert [(each.job_id, each.billed, len(each.selectors)) for each in found] == [("one", None, 1), ("two", 7, 1000)]
    # One listing; only what does not fit into it is read.
    assert [each.what for each in service.asked if each.what != "bucket"] == ["list", "read"]
