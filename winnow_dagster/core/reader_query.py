"""The query with which readers check a published number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date

    from winnow_dagster.core.names import Selector


@dataclass(frozen=True)
class ReaderQuery:
    """A query over a public dataset, with which readers check a published number."""

    dataset: str
    """The name of the public dataset."""

    where: str
    """Where they run the query, as the first words of a sentence."""

    query: Callable[[Sequence[Selector], date, date], str]
    """Returns the text of the query that counts these selectors from the first day to the last."""

    honest_ci: str = "NULL"
    """The value of the query's column `ci` in rows of clients that did not say they ran in CI."""
