"""A lease is held by one at a time, and whoever lost one, or died with it, is found out."""

from __future__ import annotations

import subprocess
import threading

import pytest

from tests.bucket_service import Service
from tests.buckets import A_FEW, DATA, PUBLIC, MakeInBuckets, on_every_store, place, public_folder
from tests.conftest import DAY, NOW, RowSource
from winnow_dagster.core.coverage import Reading
from winnow_dagster.files import lease
from winnow_dagster.files.errors import LeaseLostError, StorageError
from winnow_dagster.files.lease import FREE
from winnow_dagster.files.locks import counting
from winnow_dagster.files.operations import Batch, Failures, exists, remove, replace_changed
from winnow_dagster.files.processes import this_process
from winnow_dagster.files.session import publishing


def hold(service: Service, text: str) -> None:
    service.put(DATA, "winnow/.counting.lease", text.encode())


@on_every_store
def test_a_lease_is_taken_by_one_after_the_other(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "ASK_SECONDS", 0.1)
    held = threading.Event()
    order = []

    def other() -> None:
        with counting(place()):
            order.append("other")

    with counting(place()):
        thread = threading.Thread(target=other)
        thread.start()
        held.wait(0.5)
        order.append("first")
    thread.join()
    assert order == ["first", "other"]
    assert service.content(DATA) == {"winnow/.counting.lease": FREE}


@on_every_store
def test_a_lease_of_a_dead_process_of_this_machine_is_free_at_once(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    done = subprocess.Popen(["/bin/true"])
    done.wait()
    host = this_process().partition("@")[2]
    hold(service, f"{done.pid}.1@{host} 00")
    service.forget()
    with counting(place()):
        assert "has died or given up" in caplog.text
        # Whoever came between a removal and a write would not hear that it was left.
        # Google's client looks at the bucket from a thread of its own, at any moment.
        found = [each.what for each in service.asked if each.name.endswith(".lease") and 200 <= each.status < 300]
        assert found[-1] == "write"
        assert "remove" not in {each.what for each in service.asked}


@on_every_store
@pytest.mark.parametrize("error", [StorageError, RuntimeError, KeyboardInterrupt])
def test_a_lease_is_given_back_by_who_ends_with_an_exception(
    service: Service, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(error), counting(place()):
        raise error("why")
    with counting(place()):
        assert not [record for record in caplog.records if record.name.startswith("winnow")]


@on_every_store
def test_a_lease_that_is_renewed_has_another_version_each_time(service: Service) -> None:
    with counting(place()) as held:
        before = service.content(DATA)
        held._take()  # type: ignore[attr-defined]  # noqa: SLF001 - it waits for seconds by itself
        # Where versions are hashes of the content, others would not see it renewed.
        assert service.content(DATA) != before


@on_every_store
def test_a_renewal_whose_answer_was_lost_does_not_lose_the_lease(service: Service) -> None:
    with counting(place()) as held:
        service.refuse("winnow/.counting.lease", 400, times=1)
        service.obeyed.add("winnow/.counting.lease")
        with pytest.raises(StorageError):
            held._take()  # type: ignore[attr-defined]  # noqa: SLF001
        assert held._take()  # type: ignore[attr-defined]  # noqa: SLF001
        assert held.seconds_left > 0


@on_every_store
def test_a_lease_that_is_not_renewed_ends(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lease, "END_SECONDS", 1.0)
    monkeypatch.setattr(lease, "ASK_SECONDS", 0.1)
    hold(service, "1.1@elsewhere 00")
    with counting(place()):
        assert (
            f"waiting for process 1.1@elsewhere 00, which is counting in {service.scheme}://data-bucket/winnow"
            in caplog.text
        )


@on_every_store
def test_waiting_for_a_lease_ends(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "MAX_WAIT_SECONDS", 0.2)
    monkeypatch.setattr(lease, "ASK_SECONDS", 0.1)
    hold(service, "1.1@elsewhere 00")
    expected = r"counting.lease: process 1.1@elsewhere 00, which is counting in .*, does not finish"
    with pytest.raises(StorageError, match=expected), counting(place()):
        pass


@on_every_store
def test_a_lease_is_renewed_for_as_long_as_the_work_takes(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lease, "END_SECONDS", 1.0)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(lease, "ASK_SECONDS", 0.1)
    over = threading.Event()
    taken = threading.Event()

    def other() -> None:
        with counting(place()):
            taken.set()

    thread = threading.Thread(target=other)
    with counting(place()):
        thread.start()
        assert not taken.wait(1.5)
        over.set()
    thread.join()
    assert taken.is_set()
    assert "given up" not in caplog.text


@on_every_store
@pytest.mark.parametrize("by_another", [b"newer", None])
def test_who_slept_through_the_end_of_a_lease_writes_over_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch, by_another: bytes | None
) -> None:
    with publishing(place(), public_folder()) as session:
        replace_changed(session.folder / "a", {"counts.json": b"old"})
    monkeypatch.setattr(lease, "END_SECONDS", 0.2)

    def work() -> None:
        with publishing(place(), public_folder()) as session:
            folder = session.folder / "a"
            assert exists(folder / "counts.json")
            if by_another:
                service.put(PUBLIC, "badges/a/counts.json", by_another)
            threading.Event().wait(0.3)
            with pytest.raises(LeaseLostError, match="another process has taken over meanwhile"):
                replace_changed(folder, {"counts.json": b"older"})
            with pytest.raises(LeaseLostError):
                remove(folder / "counts.json")

    with pytest.raises(LeaseLostError):
        work()
    assert service.content(PUBLIC)["badges/a/counts.json"] == (by_another or b"old")


@on_every_store
def test_a_lost_lease_ends_all_uploads(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "END_SECONDS", 1.0)
    failures = Failures()

    def work() -> None:
        with publishing(place(), public_folder()) as session:
            batch = Batch(failures)
            for n in range(40):
                batch.add(session.folder / f"aa-{n}", {"history.json": b"1"})
            threading.Event().wait(1.0)
            batch.put()

    with pytest.raises(LeaseLostError):
        work()
    with pytest.raises(StorageError, match="another process has taken over"):
        failures.raise_any()
    assert service.objects(PUBLIC) == {}


@on_every_store
def test_an_overtaken_worker_stores_what_it_paid_for_and_asks_no_more(
    service: Service, house_of: MakeInBuckets, source: RowSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    winnow = house_of(A_FEW).winnow
    monkeypatch.setattr(lease, "END_SECONDS", 0.2)

    def work() -> None:
        for answer in winnow.fetch([DAY], (), refetch=False):
            assert isinstance(answer, Reading)
            winnow.raw.add_reading(answer, NOW)
            threading.Event().wait(0.3)

    with pytest.raises(LeaseLostError):
        work()
    assert len(source.asked) == 1
    covered = winnow.raw.coverage(DAY)
    assert covered is not None
    assert covered.covers(source.asked[0].selector)
