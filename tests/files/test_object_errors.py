"""Errors of S3 and Azure name the place, the service's words and the fix; none of them shows a key."""

from __future__ import annotations

import itertools
import sys

import pytest
from obstore.exceptions import GenericError

from tests.bucket_service import Service
from tests.buckets import DATA, in_azure, place
from winnow_dagster.files import obstores
from winnow_dagster.files.bucket import PROBE, BucketStore
from winnow_dagster.files.errors import PreconditionFailedError, StorageError, UnreachableError
from winnow_dagster.files.obstore_errors import is_transient
from winnow_dagster.files.opening import open_path
from winnow_dagster.files.operations import (
    list_names,
    make_writable,
    read_if_there,
    remove,
    replace_file,
    version_of,
)

on_both = pytest.mark.parametrize("service", ["s3", in_azure()], indirect=True)
S3_RIGHTS = "Allow this account s3:ListBucket on the bucket"
AZURE_ROLE = "Give this account the role Storage Blob Data Contributor"


@pytest.mark.parametrize(
    ("service", "status", "code", "fix"),
    [
        ("s3", 403, "AccessDenied", S3_RIGHTS),
        ("s3", 403, "InvalidAccessKeyId", "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ("s3", 403, "SignatureDoesNotMatch", "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ("s3", 400, "AuthorizationHeaderMalformed", "Set AWS_REGION to the region of the bucket"),
        ("s3", 404, "NoSuchBucket", "There is no such bucket"),
        in_azure(403, "AuthorizationPermissionMismatch", AZURE_ROLE),
        in_azure(403, "AuthenticationFailed", "Set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY"),
        in_azure(404, "ContainerNotFound", "There is no such bucket"),
    ],
    indirect=["service"],
)
def test_a_bucket_that_refuses_is_named_with_its_cause(service: Service, status: int, code: str, fix: str) -> None:
    service.refuse(f"winnow/{PROBE}", status, words=(code, "Not like this."))
    with pytest.raises(UnreachableError) as caught:
        make_writable(place())
    assert str(caught.value).startswith(f"{service.scheme}://data-bucket/winnow: {code}: Not like this. {fix}")
    assert "http" not in str(caught.value)


@on_both
def test_a_key_is_not_taken_for_the_words_of_the_service(service: Service) -> None:
    service.refuse("winnow/git-credential/counts.json", 400, words=("Odd", "Not like this"))
    with pytest.raises(StorageError, match=r"Odd: Not like this\. Nothing is damaged: run again") as caught:
        replace_file(place() / "git-credential" / "counts.json", b"1")
    # Other objects may fare better.
    assert not isinstance(caught.value, UnreachableError)


@pytest.mark.parametrize("service", ["s3"], indirect=True)
def test_a_redirect_says_that_the_region_is_wrong(service: Service) -> None:
    # AWS names the other region in a header, and no address.
    service.refuse(f"winnow/{PROBE}", 301, words=("PermanentRedirect", "Use the endpoint"))
    with pytest.raises(UnreachableError, match="Set AWS_REGION to the region of the bucket") as caught:
        make_writable(place())
    assert "http" not in str(caught.value)


@on_both
def test_there_is_no_such_bucket(service: Service) -> None:
    for act in (make_writable, list_names, read_if_there):
        with pytest.raises(UnreachableError, match=r"no-such-bucket.*There is no such bucket. Create it"):
            act(place("no-such-bucket"))


@pytest.mark.npm
def test_credentials_that_azure_refuses(monkeypatch: pytest.MonkeyPatch, azure_backend: tuple[str, int]) -> None:
    monkeypatch.setenv("AZURE_ENDPOINT", "http://{}:{}/devstoreaccount1".format(*azure_backend))
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "devstoreaccount1")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "U0VDUkVU")
    with pytest.raises(UnreachableError, match="Set AZURE_STORAGE_ACCOUNT_NAME") as caught:
        make_writable(open_path("az://data-bucket"))
    assert "U0VDUkVU" not in str(caught.value)
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME")
    with pytest.raises(UnreachableError, match="Set AZURE_STORAGE_ACCOUNT_NAME"):
        make_writable(open_path("az://data-bucket"))


@pytest.mark.parametrize("text", ["minio:9000", "http://SECRET minio", ""])
def test_an_endpoint_that_is_no_url(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", text)
    with pytest.raises(UnreachableError, match="AWS_ENDPOINT_URL is not the address of a service") as caught:
        read_if_there(open_path("s3://data-bucket/a"))
    assert "SECRET" not in str(caught.value)


def test_an_endpoint_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("winnow_dagster.files.obstores.SLOW_SECONDS", 1)
    for name, value in {"ENDPOINT_URL": "http://127.0.0.1:9", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with pytest.raises(UnreachableError, match=r"s3://data-bucket/a: cannot be reached\. .*check the network"):
        read_if_there(open_path("s3://data-bucket/a"))


@pytest.mark.parametrize("service", ["s3"], indirect=True)
def test_an_endpoint_that_ignores_preconditions_is_refused(service: Service) -> None:
    service.ignores_preconditions = True
    with pytest.raises(UnreachableError, match=r"s3://data-bucket/winnow: .*Use a service.*with conditional writes"):
        make_writable(place())


@on_both
def test_the_probe_leaves_nothing_behind_and_replaces_what_a_killed_one_left(service: Service) -> None:
    service.put(DATA, f"winnow/{PROBE}", b"left")
    make_writable(place())
    assert service.objects(DATA) == {}


@on_both
def test_a_stale_write_and_a_stale_delete_are_refused(service: Service) -> None:
    file = place() / "a.json"
    first = replace_file(file, b"1")
    service.put(DATA, "winnow/a.json", b"2")
    for replaces in (None, first):
        with pytest.raises(PreconditionFailedError, match="another process has changed it meanwhile"):
            replace_file(file, b"3", replaces)
    with pytest.raises(PreconditionFailedError):
        file.store.delete(file.key, first)
    assert service.content(DATA) == {"winnow/a.json": b"2"}
    # What is there by now is removed.
    remove(place() / "a.json")
    assert version_of(place() / "a.json") is None


@on_both
def test_a_write_under_a_lease_is_repeated_while_the_lease_lasts(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = place().store
    assert isinstance(store, BucketStore)
    service.refuse("a", 503, times=2)
    made = store.put("a", b"1", None, seconds=20)
    assert service.content(DATA) == {"a": b"1"}
    # The machine sleeps after the first answer.
    times = itertools.chain([0.0, 0.1], itertools.repeat(60.0))
    monkeypatch.setattr(obstores, "now", lambda: next(times))
    service.refuse("a", 503, times=1)
    service.forget()
    with pytest.raises(StorageError, match="the bucket answers too slowly"):
        store.put("a", b"2", made.version, seconds=20)
    assert [each.status for each in service.asked if each.what == "write"] == [503]


@on_both
def test_a_delete_is_not_sent_after_the_lease(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    store = place().store
    assert isinstance(store, BucketStore)
    made = store.put("a", b"1", None)
    times = iter([0.0, 15.0])
    monkeypatch.setattr(obstores, "now", lambda: next(times))
    with pytest.raises(StorageError, match="the bucket answers too slowly"):
        store.delete("a", made.version, seconds=20)
    assert service.content(DATA) == {"a": b"1"}


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "winnow_dagster.files.obstores", raising=False)
    with pytest.raises(
        StorageError, match=r"s3://data-bucket: needs .* `pip install 'winnow-dagster\[object-storage\]'`"
    ):
        read_if_there(open_path("s3://data-bucket/a"))


@pytest.mark.parametrize(
    ("status", "expected"), [("429 Too Many Requests", True), ("503 Slow Down", True), ("400 Bad Request", False)]
)
def test_a_service_that_is_busy_is_asked_again(status: str, *, expected: bool) -> None:
    # What the client says once it has tried for a while itself.
    error = GenericError(
        f"Generic S3 error: Error performing PUT http://b/a in 1s - status code: {status}: <Error></Error>"
    )
    assert is_transient(error, "s3") is expected
