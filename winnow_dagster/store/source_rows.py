"""The number of rows that the source has of each day, as it last reported, in a small file beside the days."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import TYPE_CHECKING

from winnow_dagster.core.completeness import DayRows
from winnow_dagster.files.operations import make_folder, read_if_there, replace_file, version_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from winnow_dagster.files.paths import StorePath

FILE_NAME = "source_rows.json"
FORMAT = 1


class SourceRows:
    """The file of row numbers in a store's folder."""

    def __init__(self, folder: StorePath) -> None:
        self._folder = folder
        self._path = folder / FILE_NAME

    def load(self) -> dict[date, DayRows]:
        """Return the source's last answer for each day, or nothing if the file is damaged. Raises StorageError."""
        try:
            content = json.loads(read_if_there(self._path) or b"{}")
            days = content["days"] if content["format"] == FORMAT else {}
            return {
                date.fromisoformat(day): DayRows(int(rows), datetime.fromisoformat(asked))
                for day, (rows, asked) in days.items()
            }
        except (ValueError, LookupError, TypeError, AttributeError):
            return {}

    def update(self, rows: Mapping[date, int], asked: datetime) -> dict[date, DayRows]:
        """Record the source's answer, and return the numbers of all days. Call it under the fetch lock.

        Raises StorageError.
        """
        known = self.load()
        fresh = {day: DayRows(count, asked) for day, count in rows.items()}
        if fresh:
            known |= fresh
            days = {str(day): (known[day].rows, known[day].asked.isoformat()) for day in sorted(known)}
            make_folder(self._folder)
            content = json.dumps({"format": FORMAT, "days": days}).encode()
            replace_file(self._path, content, version_of(self._path))
        return known
