"""The definitions of a download, and which one applies to which day (R9).

PyPI's blog of 2026-08-31 and pypi/infra#242 announce the change. `file.type` cannot tell a wheel from its metadata
file: both are `bdist_wheel`. Only the end of `file.filename` does.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum

FILE_ENDINGS = (".whl", ".tar.gz", ".zip")
"""A row of the log is a download if its file name ends with one of these."""

LAST_MIXED_DAY = date(2026, 8, 24)
"""The last day with rows of other objects. PyPI changed its log at an unknown hour of this day."""


class Definition(StrEnum):
    """Which rows of the log count as downloads."""

    FILES = "files"
    """Rows whose file name ends with one of FILE_ENDINGS."""

    REQUESTS = "requests"
    """All rows, including those of `.whl.metadata`, `.asc`, `.egg` and `.exe` files."""


def needs_file_names(day: date) -> bool:
    """Return whether a query for this day needs a condition on `file.filename`."""
    return day <= LAST_MIXED_DAY
