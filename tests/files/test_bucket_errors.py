"""Errors name the bucket and the cause before Winnow asks the source. No write or delete lands after the lease."""

from __future__ import annotations

import base64
import json
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests import google_answers as google
from tests.bucket_service import Service
from tests.buckets import A_FEW, DATA, PUBLIC, MakeInBuckets, place
from tests.conftest import DAY, RowSource
from tests.fake_bigquery import fake
from winnow_dagster.cli import main
from winnow_dagster.files import bucket, gcs
from winnow_dagster.files.errors import LeaseLostError, StorageError, UnreachableError
from winnow_dagster.files.gcs import GcsStore
from winnow_dagster.files.held import Lock
from winnow_dagster.files.listed import ListedStore
from winnow_dagster.files.operations import make_writable

PROBE = f"badges/{bucket.PROBE}"
CAUSES = {
    "no right to write": (403, "write", ("forbidden", google.NO_OBJECT_RIGHT), "Storage Object User on the bucket"),
    "no right to replace": (
        403,
        "remove",
        ("forbidden", google.NO_OBJECT_RIGHT.replace("create", "delete")),
        "Storage Object User on the bucket",
    ),
    "requester pays": (400, "write", ("required", google.REQUESTER_PAYS), "--no-requester-pays"),
    "a retention policy": (403, "remove", ("retentionPolicyNotMet", google.RETENTION), "without a retention policy"),
    "a retention policy, as it was": (403, "remove", ("forbidden", google.RETENTION), "without a retention policy"),
    "a hold": (403, "remove", ("objectUnderActiveHold", google.HOLD), "without holds"),
    "no billing": (
        403,
        "write",
        ("accountDisabled", "The billing account for the owning project is disabled in state absent"),
        "Enable billing for the project of the bucket",
    ),
    "missing scopes": (
        403,
        "write",
        ("insufficientPermissions", "Provided scope(s) are not authorized"),
        "devstorage.read_write",
    ),
}

REFUSED_TOKENS = 9


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
def test_a_bucket_that_cannot_be_written_is_named_with_its_cause_and_the_source_is_not_asked(
    service: Service, house_of: MakeInBuckets, source: RowSource, cause: tuple[int, str, tuple[str, str], str]
) -> None:
    status, what, words, fix = cause
    house = house_of(A_FEW)
    service.refuse(PROBE, status, what=what, words=words)
    with pytest.raises(UnreachableError) as caught:
        list(house.winnow.fetch([DAY], (), refetch=False))
    assert words[1] in str(caught.value)
    assert fix in str(caught.value)
    assert "http" not in str(caught.value).replace("https://www.googleapis.com/auth", "")
    assert str(caught.value).startswith("gs://public-bucket/badges: ")
    assert source.asked == []


@pytest.mark.parametrize("way", ["credential_file", "GCP_CREDENTIALS"])
def test_unusable_credentials_are_named_with_the_bucket(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(gcs, "EMULATOR_VARIABLE", "NOT_AN_EMULATOR")
    key = tmp_path / "key.json"
    key.write_text('{"type": "service_account", "private_key": "SECRET"}')
    if way == "GCP_CREDENTIALS":
        monkeypatch.setenv(way, base64.b64encode(key.read_bytes()).decode())
    found = GcsStore(PUBLIC, key if way == "credential_file" else None)
    with pytest.raises(UnreachableError, match=r"gs://public-bucket: .*no usable Google credentials in it") as caught:
        found.read("a")
    assert "SECRET" not in str(caught.value)


def test_a_token_that_is_refused_is_told_in_the_services_words(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gcs, "EMULATOR_VARIABLE", "NOT_AN_EMULATOR")
    key = tmp_path / "key.json"
    with fake() as google_service:
        refused = google.refused_token("invalid_grant", "Invalid JWT Signature.")
        google_service.script("token", *[refused] * REFUSED_TOKENS)
        key.write_text(json.dumps(google_service.key()))
        found = GcsStore(PUBLIC, key)
        with pytest.raises(UnreachableError, match=r"invalid_grant: Invalid JWT Signature\)\. Make a new key"):
            found.read("a")
        # Google's client may ask for the bucket beside the object, each with a token. A retry would use up all nine.
        assert set(google_service.operations()) == {"token"}
        assert len(google_service.operations()) < REFUSED_TOKENS


def test_a_collect_first_tests_its_right_to_write(service: Service, tmp_path: Path) -> None:
    config = tmp_path / "winnow.yaml"
    folders = f"{{output_dir: gs://{PUBLIC}/badges, data_dir: gs://{DATA}/winnow}}"
    config.write_text(f"service: {folders}\npackages: [{{name: sample-oat}}]")
    service.refuse(PROBE, 403, words=("forbidden", google.NO_OBJECT_RIGHT))
    said = CliRunner().invoke(main, ["collect", "--config", str(config)], catch_exceptions=False)
    assert said.exit_code == 1
    assert "gs://public-bucket/badges: forbidden (403): winnow@winnow-test.iam" in said.stderr
    assert service.objects(DATA) == service.objects(PUBLIC) == {}


def test_the_probe_leaves_nothing_behind_even_if_two_probe_at_once(service: Service) -> None:
    service.seconds = 0.05
    looking = [threading.Thread(target=make_writable, args=[place(PUBLIC, "badges")]) for _ in range(4)]
    for thread in looking:
        thread.start()
    for thread in looking:
        thread.join()
    assert service.objects(PUBLIC) == {}


def test_what_somebody_removed_or_changed_is_put_back_by_the_next_publication(
    service: Service, house_of: MakeInBuckets
) -> None:
    house = house_of(A_FEW)
    house.count(DAY, DAY)
    house.publish()
    before = service.content(PUBLIC)
    for name in ("badges/a/downloads-1d-non-ci.svg", "badges/b/counts.json", "badges/index.html"):
        service.remove(PUBLIC, name)
    service.put(PUBLIC, "badges/c/index.html", b"somebody was here")
    house.publish()
    after = service.content(PUBLIC)
    assert {n: c for n, c in after.items() if "health" not in n} == {
        n: c for n, c in before.items() if "health" not in n
    }


class Right(Lock):
    """A lock that another process may have once its time is over."""

    seconds = 60.0

    @property
    def seconds_left(self) -> float:
        return self.seconds


@pytest.fixture
def right(service: Service) -> Right:
    return Right("gs://data-bucket/winnow/.publishing.lease")


@pytest.fixture
def listed(right: Right) -> ListedStore:
    """The published directory with one file, and three seconds left."""
    found = ListedStore(GcsStore(PUBLIC, None), "badges", place() / "published", right)
    found.put([("badges/a/counts.json", b"1")])
    right.seconds = 3
    return found


@pytest.mark.parametrize("what", ["write", "remove"])
def test_no_retry_begins_once_another_may_have_taken_over(service: Service, listed: ListedStore, what: str) -> None:
    service.refuse("badges/a/counts.json", 503, what=what)
    began = time.monotonic()
    with pytest.raises(StorageError):
        listed.put([("badges/a/counts.json", b"2")]) if what == "write" else listed.delete("badges/a/counts.json")
    assert time.monotonic() - began < 3
    service.refusals.clear()
    assert len([each for each in service.asked if each.what == what and each.status == 503]) >= 1
    assert service.content(PUBLIC) == {"badges/a/counts.json": b"1"}


def test_a_request_is_given_up_while_the_lease_surely_holds(service: Service, listed: ListedStore) -> None:
    service.seconds = 2.5
    with pytest.raises(UnreachableError, match="cannot be reached"):
        listed.put([("badges/a/counts.json", b"2")])
    service.seconds = 0


def test_with_too_little_time_left_no_write_and_no_delete_begins(
    service: Service, listed: ListedStore, right: Right
) -> None:
    right.seconds = 1.0
    service.forget()
    with pytest.raises(LeaseLostError):
        listed.put([("badges/a/counts.json", b"2")])
    with pytest.raises(LeaseLostError):
        listed.delete("badges/a/counts.json")
    assert [each for each in service.asked if each.what != "bucket"] == []


def test_a_delete_names_the_version_that_it_removes(service: Service, listed: ListedStore, right: Right) -> None:
    right.seconds = 60
    service.put(PUBLIC, "badges/a/counts.json", b"newer")
    service.forget()
    listed.delete("badges/a/counts.json")
    deletes = [each.status for each in service.asked if each.what == "remove"]
    # Refused; then looked at, and removed as what it is now.
    assert deletes[0] == 412
    assert len(deletes) == 2
    assert service.content(PUBLIC) == {}


def test_an_endpoint_that_ignores_preconditions_is_refused_before_anything_is_written(
    service: Service, house_of: MakeInBuckets, source: RowSource
) -> None:
    service.ignores_preconditions = True
    house = house_of(A_FEW)
    with pytest.raises(UnreachableError, match="gs://public-bucket/badges: the endpoint ignores the preconditions"):
        list(house.winnow.fetch([DAY], (), refetch=False))
    assert source.asked == []
    assert service.objects(PUBLIC) == {}
