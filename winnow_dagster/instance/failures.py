"""Why a step failed, in one line that a user can act on.

Private: a step's failure is a `SerializableErrorInfo`. Only its `message` and its `cause` are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster import DagsterExecutionInterruptedError

if TYPE_CHECKING:
    from dagster_shared.error import SerializableErrorInfo


def root_cause(error: SerializableErrorInfo | None, step: str) -> str:
    """Return the cause of a step's failure in one line."""
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return f"{step} failed"
    name, _, message = error.message.strip().partition(": ")
    # Winnow's own errors are sentences for the user. The type of any other error helps.
    return message if name.startswith("winnow_dagster.") else error.message.strip()


def is_interrupt(error: SerializableErrorInfo | None) -> bool:
    """Return whether a step failed because the user pressed Ctrl-C. Dagster ends that run, and raises nothing."""
    return DagsterExecutionInterruptedError.__name__ in str(error)
