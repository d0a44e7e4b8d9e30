"""The record of sent alerts, so that Dagster's sensor and `winnow collect` send each change only once."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from winnow_dagster.files.operations import make_folder, read_if_there, replace_file, version_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from winnow_dagster.files.paths import StorePath

FILE_NAME = "alerts.json"


@dataclass(frozen=True)
class SentAlerts:
    """The alerts that were sent for checks and failed runs. Moments are seconds since 1970."""

    is_red: Mapping[str, bool] = field(default_factory=dict)
    """The state of each check in its last alert."""

    judged_at: Mapping[str, float] = field(default_factory=dict)
    """The time of the evaluation behind that alert."""

    since: float | None = None
    """Runs that failed before this moment get no alert; None if nothing was recorded yet."""

    runs: Mapping[str, float] = field(default_factory=dict)
    """The runs that failed later and have an alert, with the time of each failure."""


def read_sent_alerts(folder: StorePath) -> SentAlerts:
    """Return the alerts that were sent for the installation whose data is in `folder`. Raises StorageError."""
    with suppress(ValueError, TypeError):
        return SentAlerts(**json.loads(read_if_there(folder / FILE_NAME) or b"{}"))
    return SentAlerts()


def write_sent_alerts(folder: StorePath, sent: SentAlerts, *, space_for: SentAlerts | None = None) -> None:
    """Replace the record of alerts. Raises StorageError.

    `space_for`: the next record. The disk must have space for it too.
    """
    content, size = _to_json(sent), len(_to_json(space_for)) if space_for else 0
    make_folder(folder)
    replace_file(folder / FILE_NAME, content.ljust(size), version_of(folder / FILE_NAME))


def _to_json(sent: SentAlerts) -> bytes:
    return json.dumps(asdict(sent)).encode()
