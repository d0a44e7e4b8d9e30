"""Merge the source's answers into the coverage and the counts of a day.

A second merge of an answer changes nothing. An answer never replaces a later reading. Knows nothing of files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.coverage import CLOCK_TOLERANCE, Coverage, ReadingFacts
from winnow_dagster.core.names import matches_any
from winnow_dagster.core.repeated import merged_before

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date, datetime

    from winnow_dagster.core.answers import WaitingAnswer
    from winnow_dagster.core.names import Selector

ANSWER_COLUMN = "answer"
"""The column with the position of a count's answer."""


@dataclass(frozen=True)
class Replacement:
    """The counts and breakdowns of a day that one answer replaces."""

    answer: int
    """The position of the answer."""

    selectors: Sequence[Selector]
    is_whole: bool
    """Whether all counts that the answer has for the day are used."""

    kept: Sequence[Selector] = ()
    """Narrower selectors with a later reading. Their counts stay."""


def merge_coverage(day: date, before: Coverage, answers: Sequence[WaitingAnswer]) -> tuple[Coverage, list[Replacement]]:
    """Return a day's coverage after these answers, and the counts to replace. `answers`: in order of arrival."""
    merged, replacements = _Merged(before), []
    known = merged_before(day, before, answers)
    for position, answer in enumerate(answers):
        later = merged.later_than(answer, day)
        since = [answers[p] for p in known if p > position and answers[p].at < answer.at]
        if answer.facts:
            if replacement := merged.add_reading(position, answer, day, later, since):
                replacements.append(replacement)
        elif answer.failure is not None:
            merged.add_failure(answer, answer.failure, day, later, since)
    return merged.coverage(), replacements


def merge_counts(stored: pl.DataFrame, replacements: Sequence[Replacement], fresh: pl.DataFrame) -> pl.DataFrame:
    """Return the counts or breakdowns of a day after replacements.

    `fresh`: the answers' counts or breakdowns of the day, with ANSWER_COLUMN.
    """
    for together in _without_overlap(replacements):
        if stored.height:
            replaced = [_selected(each.selectors, each.kept) for each in together if each.kept]
            replaced += [_selected([s for each in together if not each.kept for s in each.selectors])]
            stored = stored.filter(~pl.any_horizontal(replaced))
        whole = [each.answer for each in together if each.is_whole]
        parts = [fresh.filter(pl.col(ANSWER_COLUMN).is_in(whole))] if fresh.height else []
        parts += [
            fresh.filter(pl.col(ANSWER_COLUMN) == each.answer, _selected(each.selectors, each.kept))
            for each in together
            if not each.is_whole
        ]
        stored = pl.concat([stored, *(part.drop(ANSWER_COLUMN) for part in parts)])
    return stored


def merge_breakdown_coverage(
    merged: Coverage, replacements: Sequence[Replacement], before: Coverage, stored: Coverage
) -> Coverage:
    """Return the coverage of a day's stored breakdowns after a merge: the readings whose breakdowns are stored.

    `merged` and `before`: the coverage of the day after and before the merge. `stored`: the coverage of its breakdowns
    before the merge.
    """
    replaced = {selector for each in replacements for selector in each.selectors}
    kept = {s for s, at in stored.read.items() if at in {before.read.get(s), merged.read.get(s)}}
    read = {
        selector: at
        for selector, at in merged.read.items()
        if selector in kept | replaced and merged.facts_of_own(selector).dimensions and merged.last_read(selector) == at
    }
    return Coverage(read, facts={selector: merged.facts[selector] for selector in read})


class _Merged:
    """The coverage of a day during a merge."""

    def __init__(self, before: Coverage) -> None:
        self._read = dict(before.read)
        self._failed = dict(before.failed)
        self._facts = dict(before.facts)
        self._legacy = dict(before.legacy)
        self._wide = [selector for selector in before.read if selector.is_prefix]
        self._newest = before.newest

    def coverage(self) -> Coverage:
        return Coverage(self._read, self._failed, self._facts, self._legacy)

    def later_than(self, answer: WaitingAnswer, day: date) -> Collection[Selector]:
        """Return the selectors whose last reading is later than an answer."""
        if self._newest is None or self._newest <= answer.at:
            return ()
        superseded = answer.superseded.get(day, {})
        return [s for s, at in self._read.items() if at > answer.at and superseded.get(s) != at]

    def add_reading(
        self,
        position: int,
        answer: WaitingAnswer,
        day: date,
        later: Collection[Selector],
        since: Collection[WaitingAnswer],
    ) -> Replacement | None:
        """Add a reading to the coverage. Return the counts that it replaces; None if it replaces none.

        `since`: answers that arrived later, have earlier stamps, and are already merged into the day.
        """
        asked: Mapping[Selector, ReadingFacts] = answer.facts.get(day, {})
        fresh: list[Selector] = []
        for selector, facts in asked.items():
            last_read = self._read.get(selector)
            if last_read == answer.at or any(other.covers(selector) for other in later):
                continue
            if any(other.has_superseded(selector, answer.at, day) for other in since):
                continue
            if self._has_more_rows(selector, facts.source_rows):
                # The source has lost rows since the last reading, so that reading's counts stay. Its stamp is from a
                # clock that was ahead.
                if last_read is not None and last_read > answer.at + CLOCK_TOLERANCE:
                    self._read[selector] = answer.at
                continue
            fresh.append(selector)
        if not fresh:
            return None
        kept = [other for other in later if any(selector.covers(other) for selector in fresh)]
        self._drop(fresh, answer.at, kept)
        self._read.update(dict.fromkeys(fresh, answer.at))
        self._facts.update({selector: asked[selector] for selector in fresh})
        self._wide += [s for s in fresh if s.is_prefix and s not in self._wide]
        self._newest = max(answer.at, self._newest or answer.at)
        return Replacement(position, fresh, not kept and len(fresh) == len(asked), kept)

    def add_failure(
        self,
        answer: WaitingAnswer,
        reason: str,
        day: date,
        later: Collection[Selector],
        since: Collection[WaitingAnswer],
    ) -> None:
        """Record why a request failed. Covered selectors stay covered. `since`: as in `add_reading`."""
        later = {*later, *(selector for other in since for selector in other.facts.get(day, ()))}
        for request in answer.requests:
            # If the clock did not advance, a reading after the failure has the same stamp.
            is_read_since = self._read.get(request.selector) == answer.at
            is_covered_since = is_read_since or any(other.covers(request.selector) for other in later)
            if request.first <= day <= request.last and not is_covered_since:
                self._failed[request.selector] = reason

    def _has_more_rows(self, selector: Selector, rows: int | None) -> bool:
        """Return whether the newest reading that covers `selector` found more than `rows` rows at the source."""
        if rows is None:
            return False
        covering = [other for other in self._wide if other.covers(selector)]
        covering += [selector] if selector in self._read else []
        newest = max(covering, key=self._read.__getitem__, default=None)
        known = self._facts[newest].source_rows if newest in self._facts else None
        return known is not None and known > rows

    def _drop(self, fresh: Collection[Selector], at: datetime, kept: Collection[Selector]) -> None:
        """Remove what a new reading replaces: failures, counts by an older definition, and later stamps."""
        for known in (self._failed, self._legacy):
            for selector in _covered(known, fresh):
                del known[selector]
        if self._newest is not None and self._newest > at:
            # A clock that was ahead stamped older readings with a later time. They must not look newer than this one.
            # Winnow repeats a wider reading with such a stamp. Until then the wider one must not hide this one.
            hiding = [s for s in self._wide if self._read[s] > at + CLOCK_TOLERANCE and any(map(s.covers, fresh))]
            replaced = {s for s in _covered(self._read, fresh) if self._read[s] > at}
            for selector in replaced.union(hiding).difference(kept):
                del self._read[selector]
                self._facts.pop(selector, None)
            self._wide = [selector for selector in self._wide if selector in self._read]


def _covered(known: Mapping[Selector, object], by: Collection[Selector]) -> set[Selector]:
    """Return the known selectors that any selector of `by` covers."""
    wide = [selector for selector in by if selector.is_prefix]
    found = {other for other in known if any(selector.covers(other) for selector in wide)} if wide else set()
    return found.union(selector for selector in by if selector in known)


def _without_overlap(replacements: Iterable[Replacement]) -> list[list[Replacement]]:
    """Split replacements into runs. Within a run, no two replace the same counts."""
    runs: list[list[Replacement]] = []
    exact: set[Selector] = set()
    wide: list[Selector] = []
    for each in replacements:
        overlaps = any(
            s in exact or any(w.covers(s) or s.covers(w) for w in wide) or (s.is_prefix and any(map(s.covers, exact)))
            for s in each.selectors
        )
        if not runs or overlaps:
            runs.append([])
            exact, wide = set(), []
        runs[-1].append(each)
        exact.update(s for s in each.selectors if not s.is_prefix)
        wide += [s for s in each.selectors if s.is_prefix]
    return runs


def _selected(selectors: Sequence[Selector], kept: Sequence[Selector] = ()) -> pl.Expr:
    chosen = matches_any(selectors, "package")
    return chosen & ~matches_any(kept, "package") if kept else chosen
