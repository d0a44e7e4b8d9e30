"""What a source is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from winnow_dagster.core.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.coverage import Failure, Reading, Request


class SourceError(Exception):
    """The source can answer nothing as it is set up. The message names the culprit and the fix."""

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))  # It may quote a file's name or the source's own words.


class TransientError(SourceError):
    """The source can answer nothing now; trying later helps."""

    seconds_to_wait = 300
    tries = 3


class NotThereYetError(TransientError):
    """None of the days asked for is complete at the source yet."""

    seconds_to_wait = 1800
    tries = 6


class Source(Protocol):
    """Counts of these packages over these days, for whole UTC days only."""

    def read(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:
        """Yield answers as they arrive: each requested (day, selector) is in one reading or one failure.

        A reading may answer several requests, or a part of one's days. A re-read (`is_reread` or `is_recount`) may stay
        unanswered if it costs too much. Raises SourceError.
        """
        ...

    def recover(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:
        """Yield the answers to these requests that an interrupted run has paid for; send no query.

        Failures are answers that the source still prepares. Raises SourceError if it cannot tell what a run has sent.
        """
        ...

    def newest_day(self, today: date) -> date | None:
        """Return the newest day before `today` that the source holds whole; None where it cannot tell.

        Costs nothing. Raises SourceError.
        """
        ...

    def day_rows(self, first: date, last: date) -> Mapping[date, int]:
        """Return the source's number of rows on each day, over all packages; 0 for a day without rows.

        A day is absent if the source cannot tell, or if the day is not yet complete. Costs next to nothing. Raises
        SourceError.
        """
        ...
