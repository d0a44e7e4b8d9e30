"""Why a run failed, in lines that a user can act on.

Private: the data of a failure has an `error`, a `SerializableErrorInfo`. Only its `message` and its `cause` are read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from dagster import DagsterExecutionInterruptedError

from winnow_dagster.instance.errors import MIGRATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import dagster as dg
    from dagster_shared.error import SerializableErrorInfo

STORAGE_ERROR = re.compile(r"(?:sqlalchemy\.exc|dagster_postgres)\.[\w.]+: (?:\([\w.]+\) )?(.*)")
"""The message of an error of the history's database. Nothing else in a run uses sqlalchemy."""

INTERRUPTS = (DagsterExecutionInterruptedError.__name__, KeyboardInterrupt.__name__)


class RunFailure(NamedTuple):
    """A step that failed, or a run that failed outside its steps."""

    step: str
    """The key of the step; empty if it is the run."""

    reason: str
    is_interrupt: bool
    """Whether it failed because the user pressed Ctrl-C. Dagster ends that run, and raises nothing."""


def failures(events: Iterable[dg.DagsterEvent]) -> list[RunFailure]:
    """Return the failed steps of a run, or else the failed run itself; nothing if it succeeded."""
    failed = [event for event in events if event.is_failure]
    return [_failure(event) for event in [event for event in failed if event.is_step_failure] or failed]


def _failure(event: dg.DagsterEvent) -> RunFailure:
    data: Any = event.event_specific_data
    error: SerializableErrorInfo | None = getattr(data, "error", None)
    step = (event.step_key or "") if event.is_step_failure else ""
    otherwise = f"{step} failed" if step else event.message or "no reason given"
    return RunFailure(step, root_cause(error) or otherwise, any(name in str(error) for name in INTERRUPTS))


def history_error(events: Iterable[dg.DagsterEvent]) -> str:
    """Return the error of the history of runs that made a run fail; '' if it is not the reason."""
    found = ""
    for event in events:
        data: Any = event.event_specific_data
        for error in _chain(getattr(data, "error", None)) if event.is_failure else ():
            if match := STORAGE_ERROR.match(error.message):
                found = match[1]
            elif MIGRATION in error.message:
                found = error.message
    return found


def _chain(error: SerializableErrorInfo | None) -> Iterator[SerializableErrorInfo]:
    """Yield an error and the errors behind it."""
    while error is not None:
        yield error
        error = error.cause or error.context


def root_cause(error: SerializableErrorInfo | None) -> str:
    """Return the cause of a failure in one line; nothing if there is no error."""
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return ""
    name, _, message = error.message.strip().partition(": ")
    # Winnow's own errors are sentences for the user. The type of any other error helps.
    return message if name.startswith("winnow_dagster.") else error.message.strip()
