"""Only its owner can open a lock file. A waiting process names the holder and gives up in the end."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from winnow_dagster.files.errors import StorageError
from winnow_dagster.files.file_lock import file_lock
from winnow_dagster.files.locks import counting

HOLD = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".counting.lock"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock, as any user could who can open the file, until it ends."""
    path.touch()
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_a_lock_file_is_for_its_owner_only_whatever_the_umask_and_what_was_there(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with file_lock(path, "counting"):
            assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o666)
        with file_lock(path, "counting"):
            assert path.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_waiting_names_the_process_that_holds_the_lock_and_ends(
    tmp_path: Path, holder: subprocess.Popen[bytes], path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = f"process {holder.pid}, which is counting in .*, does not finish"
    with pytest.raises(StorageError, match=expected), file_lock(path, f"counting in {tmp_path}", 0.2):
        pass
    assert f"waiting for process {holder.pid}, which is counting in {tmp_path}" in caplog.text
    assert len(caplog.records) == 1


def test_a_lock_is_had_as_soon_as_its_holder_dies(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    timer = threading.Timer(0.3, holder.kill)
    timer.start()
    with counting(tmp_path):
        assert holder.wait(5) == -9


def test_a_lock_file_removed_while_held_still_lets_one_process_in_at_a_time(
    path: Path, holder: subprocess.Popen[bytes]
) -> None:
    path.unlink()
    with file_lock(path, "counting", 0.2), pytest.raises(StorageError), file_lock(path, "counting", 0.2):
        pass


def test_a_lock_file_of_another_user_is_named_with_both_users(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.touch()
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 12345)

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StorageError) as caught, file_lock(path, "counting"):
        pass
    mine = path.stat().st_uid
    assert f"{path}: belongs to user " in str(caught.value)
    assert f"this process runs as user {mine + 12345}. Run Winnow as user " in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of another user")
def test_a_real_lock_file_of_another_user_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents[:3]:
        folder.chmod(0o755)
    (tmp_path / ".counting.lock").touch(0o600)
    code = (
        "import os, sys; from winnow_dagster.files.locks import counting; from pathlib import Path; os.setuid(12345)\n"
        "try:\n with counting(Path(sys.argv[1])): pass\nexcept Exception as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True)
    said = (
        f"{tmp_path}/.counting.lock: belongs to user root, and this process runs as user 12345. Run Winnow as user root"
    )
    assert done.stdout.startswith(said)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK])
def test_a_file_system_without_locks_is_one_line(path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        pytest.raises(StorageError, match=f"{path}: .* Choose a data_dir on a local disk"),
        file_lock(path, "counting"),
    ):
        pass


def test_a_lock_file_is_never_a_link_to_another_file(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "somebody's")
    with pytest.raises(StorageError, match="Remove the link"), file_lock(path, "counting"):
        pass
    assert not (tmp_path / "somebody's").exists()
