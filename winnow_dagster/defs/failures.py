"""Failures: why a step failed, in one line that a user can act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster_shared.error import SerializableErrorInfo


def root_cause(error: SerializableErrorInfo | None, step: str) -> str:
    """Return the cause of a step's failure in one line."""
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return f"{step} failed"
    name, _, message = error.message.strip().partition(": ")
    # Winnow's own errors are sentences for the user; of others the type helps.
    return message if name.startswith("winnow_dagster.") else error.message.strip()
