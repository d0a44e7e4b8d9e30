"""Processes: the name of this one, and whether the process with a given name is still running."""

from __future__ import annotations

import contextlib
import os
import socket
from functools import cache
from pathlib import Path


def this_process() -> str:
    """Return the name of this process: `number.when-it-was-started@machine`."""
    return f"{os.getpid()}.{_started(os.getpid())}@{this_machine()}"


@cache
def this_machine() -> str:
    """Return what tells this machine from others, and this container: in another one, a number is another process."""
    name = socket.gethostname()
    # Two containers may be called alike, and so may two machines.
    with contextlib.suppress(OSError):
        name += f"/{Path('/proc/sys/kernel/random/boot_id').read_text()[:8]}"
        name += f"/{Path('/proc/self/ns/pid').stat().st_ino}"
    return name


def is_on_this_machine(name: str) -> bool:
    """Return whether a process is one of this machine since its last start, by the name of the process."""
    return name.partition(" ")[0].partition("@")[2] == this_machine()


def is_dead(name: str) -> bool:
    """Return whether a process of this machine has died, by its name. False for a process of another machine."""
    pid, _, started = name.partition("@")[0].partition(".")
    if not is_on_this_machine(name) or not pid.isdecimal():
        return False
    return not is_alive(int(pid)) or _started(int(pid)) != started


def is_dead_or_restarted(name: str) -> bool:
    """Return whether a process is dead, or ran on a machine or container of this name before a restart.

    Two machines may have one name. So this is for what does no harm then.
    """
    machine = name.partition("@")[2]
    is_restarted = machine != this_machine() and machine.partition("/")[0] == socket.gethostname()
    return is_restarted or is_dead(name)


def is_alive(pid: int) -> bool:
    """Return whether a process of this machine is running."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _started(pid: int) -> str:
    """Return when a process was started, since the system reuses numbers; '' if the system does not tell."""
    with contextlib.suppress(OSError):
        # The name before it, in brackets, may hold anything.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""
