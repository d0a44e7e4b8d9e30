"""A process is told from those of other machines and of other containers, whatever those are called."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from winnow_dagster.files.processes import is_dead, this_machine, this_process

UNSHARE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]


def can_unshare() -> bool:
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*UNSHARE, "true"], check=False, capture_output=True).returncode == 0


def test_a_name_begins_with_the_number_of_the_process() -> None:
    pid, _, rest = this_process().partition(".")
    assert pid.isdecimal()
    assert rest.endswith(f"@{this_machine()}")


def test_a_process_is_dead_once_it_has_ended() -> None:
    assert not is_dead(this_process())
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    assert is_dead(f"{process.pid}.1@{this_machine()}")
    assert not is_dead(f"{process.pid}.1@another-machine")


@pytest.mark.skipif(not can_unshare(), reason="no other namespace of processes can be made here")
def test_a_process_is_not_taken_for_dead_from_another_container_of_the_same_name() -> None:
    code = "import sys; from winnow_dagster.files.processes import is_dead; print(is_dead(sys.argv[1]))"
    command = [*UNSHARE, sys.executable, "-c", code, this_process()]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "False\n"
