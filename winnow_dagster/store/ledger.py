"""The ledger: what each query billed, as lines of JSON that Winnow appends and never rewrites.

Winnow enters a query before it sends it, and again when its bytes are known. If a run dies in between, the query counts
with its estimate. Two processes may write at the same time. On a disk, a line is one write to the end of the file. A
bucket cannot append, so each query has an object of its own.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from dataclasses import MISSING, asdict, fields
from datetime import date, datetime
from typing import TYPE_CHECKING

from winnow_dagster.core.billing import Entry
from winnow_dagster.files.errors import translating_os_errors
from winnow_dagster.files.operations import make_folder, put_tagged, read_if_there, read_tags
from winnow_dagster.files.paths import local_path

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from winnow_dagster.files.paths import StorePath


def ledger_of(data_dir: StorePath) -> Ledger:
    """Return the ledger in `data_dir`."""
    if folder := local_path(data_dir):
        return Ledger(folder / "ledger.jsonl")
    return BucketLedger(data_dir / "ledger")


class Ledger:
    """The ledger in a file."""

    def __init__(self, path: Path) -> None:
        """Use the file at `path`, which need not exist yet."""
        self.path = path

    def enter(self, entry: Entry) -> None:
        """Add what is known of a query now; it takes the place of what was entered under its job id before.

        Raises StorageError.
        """
        make_folder(self.path.parent)
        # The newline comes first because a crash may have torn the last line.
        line = f"\n{json.dumps(asdict(entry), default=str)}\n".encode()
        with translating_os_errors(self.path):
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                if os.write(descriptor, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def entries(self) -> list[Entry]:
        """Return the newest entry of each query, oldest query first; skip torn lines."""
        return _newest((read_if_there(self.path) or b"").splitlines())


class BucketLedger(Ledger):
    """The ledger in a folder of a bucket: one object for each query, whose tag repeats its content."""

    def __init__(self, folder: StorePath) -> None:
        """Use `folder`, which may be empty."""
        self.folder = folder

    def enter(self, entry: Entry) -> None:
        """Add what is known of a query now; it takes the place of what was entered under its job id before.

        Raises StorageError.
        """
        # The month comes first, so a listing is in order of time.
        place = self.folder / f"{entry.at:%Y-%m}" / f"{entry.at:%d-%H%M%S}-{entry.job_id}.json"
        put_tagged(place, json.dumps(asdict(entry), default=str))

    def entries(self) -> list[Entry]:
        """Return the newest entry of each query, oldest query first. Raises StorageError."""
        return _newest(read_tags(self.folder))


def _newest(lines: Iterable[bytes | str]) -> list[Entry]:
    """Return the last entry of each query; skip torn lines."""
    found: dict[str, Entry] = {}
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            entry = _parse(json.loads(line))
            found[entry.job_id] = entry
    return list(found.values())


def _parse(content: dict[str, object]) -> Entry:
    # A line of an earlier release lacks keys; one of a later release may have more.
    known = {f.name: content[f.name] for f in fields(Entry) if f.name in content or f.default is MISSING}
    parsed: dict[str, object] = {
        "at": datetime.fromisoformat(str(known["at"])),
        "first": date.fromisoformat(str(known["first"])),
        "last": date.fromisoformat(str(known["last"])),
    }
    if known.get("columns") is not None:
        parsed["columns"] = tuple(known["columns"])  # type: ignore[arg-type]
    return Entry(**known | parsed)  # type: ignore[arg-type]
