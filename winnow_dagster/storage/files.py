"""Replacing files: all of a file or nothing of it, at any moment and after a power cut (R7)."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

STAGED_PREFIX = ".winnow-"
"""What the name of a file that is not in place yet starts with; web servers do not serve dotfiles."""


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` at `path`, readable by all; whoever reads at the same time sees the old file or the new."""
    staged = path.with_name(f"{STAGED_PREFIX}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with staged.open("xb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        staged.replace(path)
    except BaseException:
        # KeyboardInterrupt too: nothing but whole files may stay in a directory that is served.
        staged.unlink(missing_ok=True)
        raise


def replace_changed(folder: Path, files: Mapping[str, bytes]) -> int:
    """Put each of `files` (name -> content) into `folder` unless it is there already; return how many changed."""
    make_folder(folder)
    remove_staged(folder)
    changed = 0
    for name, content in files.items():
        path = folder / name
        if read_if_there(path) != content:
            replace_file(path, content)
            changed += 1
    return changed


def read_if_there(path: Path) -> bytes | None:
    """Return the content of a file, or None where there is no such file."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return None


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, 0755 whatever the umask."""
    missing = [f for f in (folder, *folder.parents) if not f.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        each.chmod(0o755)


def remove_staged(folder: Path) -> None:
    """Remove what runs that died left half-written in `folder`."""
    for path in folder.glob(STAGED_PREFIX + "*"):
        pid = path.name.removeprefix(STAGED_PREFIX).partition("-")[0]
        if pid.isdecimal() and not is_alive(int(pid)):
            path.unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Tell whether a process of this machine is running."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
