"""The definition of a download, and which days the log holds by which one (R9).

PyPI's blog of 2026-08-31 and pypi/infra#242 announce the change. `file.type` cannot tell a wheel from its metadata
file: both are `bdist_wheel`. Only the end of `file.filename` tells.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum

FILE_ENDINGS = (".whl", ".tar.gz", ".zip")
"""A row of the log is a download if its file's name ends so."""

LAST_MIXED_DAY = date(2026, 8, 24)
"""The last day with rows of other objects. PyPI changed its log at an unknown hour of this day."""


class Definition(StrEnum):
    """What the counts of a day count."""

    FILES = "files"
    """Rows whose file's name has one of FILE_ENDINGS."""

    REQUESTS = "requests"
    """All rows, those of `.whl.metadata`, `.asc`, `.egg` and `.exe` too."""


def needs_file_names(day: date) -> bool:
    """Return whether counting the downloads of a day takes a condition on `file.filename`."""
    return day <= LAST_MIXED_DAY
