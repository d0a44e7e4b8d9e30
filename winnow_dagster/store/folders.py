"""The names of the folders with a store's Parquet files. Each source has a store of its own in `data_dir`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RAW = "raw_downloads"
BREAKDOWNS = "breakdowns"
ANSWERS = "answers"
HONEST = "honest_downloads"


def is_stored(file: Path, data_dir: Path) -> bool:
    """Return whether a file belongs to a store in `data_dir`. Both paths are resolved."""
    if not file.is_relative_to(data_dir):
        return False
    _, *names = file.relative_to(data_dir).parts
    return len(names) > 1 and names[0] in {RAW, BREAKDOWNS, ANSWERS, HONEST}
