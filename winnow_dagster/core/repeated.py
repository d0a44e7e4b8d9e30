"""After an interrupted merge: find the answers that are already merged into a day."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from winnow_dagster.core.answers import WaitingAnswer
    from winnow_dagster.core.coverage import Coverage
    from winnow_dagster.core.names import Selector


def merged_before(day: date, before: Coverage, answers: Sequence[WaitingAnswer]) -> list[int]:
    """Return the positions of the answers that an interrupted merge has put into the day.

    The list is empty if the stamps are in order: only if the clock went back does an answer seem newer than the answers
    that have replaced it.
    """
    if not before.read or all(one.at <= other.at for one, other in pairwise(answers)):
        return []
    superseded = {stamp for answer in answers for stamp in answer.superseded.get(day, {}).items()}
    found: list[int] = []
    replaced: set[Selector] = set()
    for position, answer in reversed(list(enumerate(answers))):
        selectors = answer.facts.get(day, {}).keys()
        is_there = any(before.read.get(s) == answer.at and (s, answer.at) not in superseded for s in selectors)
        if is_there or any(other.covers(selector) for selector in selectors for other in replaced):
            found.append(position)
            replaced.update(selectors)
    return found
