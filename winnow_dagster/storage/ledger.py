"""The ledger: what each query billed, one line of JSON at a time, appended and never rewritten.

A query is entered before it is sent and once more when its bytes are known: whatever dies in between, it counts for its
estimate. Two processes may write at the same time: a line is one write to the end of the file.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from dataclasses import asdict, fields
from datetime import date, datetime
from typing import TYPE_CHECKING

from winnow_dagster.core.cost import Entry
from winnow_dagster.storage.files import make_folder, naming, read_if_there

if TYPE_CHECKING:
    from pathlib import Path


def ledger_of(data_dir: Path) -> Ledger:
    """Return the ledger in `data_dir`."""
    return Ledger(data_dir / "ledger.jsonl")


class Ledger:
    """The ledger at a path."""

    def __init__(self, path: Path) -> None:
        """Use the file at `path`, which need not exist yet."""
        self.path = path

    def enter(self, entry: Entry) -> None:
        """Add what is known of a query now; it takes the place of what was entered under its job id before.

        Raises StorageError.
        """
        make_folder(self.path.parent)
        # The newline before: what a crash tore off may be the end of the file.
        line = f"\n{json.dumps(asdict(entry), default=str)}\n".encode()
        with naming(self.path):
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                if os.write(descriptor, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def entries(self) -> list[Entry]:
        """Return the newest entry of each query, oldest query first; a torn line is passed over."""
        found: dict[str, Entry] = {}
        for line in (read_if_there(self.path) or b"").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                entry = _parse(json.loads(line))
                found[entry.job_id] = entry
        return list(found.values())


def _parse(content: dict[str, object]) -> Entry:
    known = {field.name: content[field.name] for field in fields(Entry)}
    moments = {
        "at": datetime.fromisoformat(str(known["at"])),
        "first": date.fromisoformat(str(known["first"])),
        "last": date.fromisoformat(str(known["last"])),
    }
    return Entry(**known | moments)  # type: ignore[arg-type]
