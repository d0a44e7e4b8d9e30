"""Look up the numbers of packages: in the store, or at the source for packages that the config does not have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.breakdowns import count_breakdowns
from winnow_dagster.core.categories import RAW_SCHEMA
from winnow_dagster.core.categories import winnow as categorise
from winnow_dagster.core.completeness import days_to_judge, judge_days
from winnow_dagster.core.coverage import (
    BREAKDOWN_SCHEMA,
    ONE_DAY,
    Coverage,
    Failure,
    ReadingFacts,
    Request,
    days_between,
)
from winnow_dagster.core.days import CountOptions, Days, Package
from winnow_dagster.core.dimensions import BREAKDOWNS
from winnow_dagster.core.names import Group, Selector, selector_of
from winnow_dagster.core.packages import describe_packages
from winnow_dagster.core.window import Window
from winnow_dagster.site.index import describe_problem
from winnow_dagster.sources.interface import SourceError
from winnow_dagster.sources.kinds import KINDS, open_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, datetime

    from winnow_dagster.config.settings import Settings
    from winnow_dagster.core.breakdowns import Breakdown
    from winnow_dagster.core.coverage import Reading
    from winnow_dagster.core.names import NormalizedName
    from winnow_dagster.defs.resources import Installation
    from winnow_dagster.sources.interface import Source


@dataclass(frozen=True)
class Found:
    """The numbers of one package or group, over one window."""

    package: Package
    is_stored: bool
    """Whether the numbers are from the store, and not just read from the source."""

    problem: str | None
    """Why there is no window that ends with the newest day; None if there is one."""

    breakdowns: Mapping[str, Breakdown] = field(default_factory=dict)
    """The breakdowns by dimension, over the window or its newest days."""


def find_stored(
    winnow: Installation, chosen: Mapping[Selector | Group, int], dimensions: Sequence[str] | None
) -> list[Found]:
    """Return the stored or published numbers of packages, prefixes and groups, each over a window of so many days.

    `dimensions`: those to break down by; None means those that the config has.
    """
    settings = winnow.settings
    described = winnow.look_up({which: (days,) for which, days in chosen.items()})
    through, missing = winnow.clock.through, winnow.missing()
    found = []
    for which in chosen:
        key = str(which) if str(which) in settings.breakdowns else str(selector_of(str(which), settings.windows))
        by = [name for name in settings.breakdowns[key] if name in BREAKDOWNS] if dimensions is None else dimensions
        for package in (_with_published(winnow, package) for package in described[str(which)]):
            state = package.state
            problem = describe_problem(state, through)
            selector = selector_of(state.package, settings.windows) if isinstance(which, Selector) else None
            if problem and selector:
                longest, asked = settings.longest_windows[selector], chosen[which]
                more = f"{problem}. Winnow reads {longest} days: add {asked} to window_days, and run `winnow collect`"
                problem = more if asked > longest else missing.get(str(selector), problem)
            counts = state.headline.counts
            members = which.members if isinstance(which, Group) else (Selector(state.package),)
            days = days_between(counts.window.first_day, counts.window.as_of) if counts and by else []
            stored = winnow.breakdowns(days) if days else None
            broken_down = _break_down(stored, members, state.package, counts.window, by) if stored and counts else {}
            found.append(Found(package, is_stored=True, problem=problem, breakdowns=broken_down))
    return found


def _with_published(winnow: Installation, package: Package) -> Package:
    """Return a package with the published numbers that the store lacks, so that it shows what its badge does."""
    state = winnow.web.read(package.state.package)
    if state is None:
        return package
    return package.keep_newest(Package(state, winnow.web.read_history(package.state.package)))


def _break_down(
    days: Days, members: Sequence[Selector], name: str, window: Window, dimensions: Sequence[str]
) -> dict[str, Breakdown]:
    counted = count_breakdowns(days, {name: members}, {name: dimensions})[name]
    found = {dimension: counted.over(window, dimension) for dimension in dimensions}
    return {dimension: breakdown for dimension, breakdown in found.items() if breakdown}


@dataclass(frozen=True)
class Question:
    """What to ask the source: packages over a window, and the dimensions to break them down by."""

    packages: Sequence[NormalizedName]
    days: int
    dimensions: Sequence[str]
    with_window_before: bool
    """Whether to read twice the days, to compare the window with the one before."""

    def first_and_last(self, newest: date, settings: Settings) -> tuple[date, date]:
        """Return the first and last day to read. No day is before start_date. Raises SourceError if there is none."""
        start, kind = settings.start_date, settings.source.kind
        if newest < start:
            raise SourceError(
                f"start_date: {start} is after the newest day of {kind}, {newest}. "
                "Set an earlier start_date, or wait until the source has that day"
            )
        return max(start, Window(self.days * (1 + self.with_window_before), newest).first_day), newest

    def days_to_read(self, today: date, settings: Settings) -> list[date]:
        """Return the days to read if yesterday is the newest day of the source. Raises SourceError if there is none."""
        return days_between(*self.first_and_last(today - ONE_DAY, settings))


def find_at_source(settings: Settings, question: Question, now: datetime) -> list[Found]:
    """Return the numbers of packages as the source of these settings has them now. Stores nothing.

    Raises SourceError.
    """
    source, today = open_source(settings.source, settings.source_context), now.date()
    newest = source.newest_day(today) or today - ONE_DAY
    first, last = question.first_and_last(newest, settings)
    known = set(KINDS[settings.source.kind].open_dimensions)
    dimensions = tuple(name for name in question.dimensions if name in known)
    requests = [Request(Selector(name), first, last, dimensions=dimensions) for name in question.packages]
    answers = _Answers(judge_short_days(source, days_between(first, last)), now)
    for answer in source.read(requests):
        answers.add(answer)
    options = CountOptions(newest, settings.source.kind, settings.source.settle_days)
    windows: dict[Selector | Group, Sequence[int]] = {Selector(name): (question.days,) for name in question.packages}
    described = describe_packages(answers.honest(), windows, answers.coverage(), options)
    found = []
    for name in question.packages:
        (package,) = described[name]
        counts = package.state.headline.counts
        problem = describe_problem(package.state, newest)
        failures = answers.reasons(Selector(name))
        found.append(
            Found(
                package,
                is_stored=False,
                problem=f"{problem}: {'; '.join(failures)}" if problem and failures else problem,
                breakdowns=_break_down(answers.breakdowns(), (Selector(name),), name, counts.window, dimensions)
                if counts
                else {},
            )
        )
    return found


def judge_short_days(source: Source, days: Sequence[date]) -> frozenset[date]:
    """Return the days of which the source has lost rows, as far as it reports that. Raises SourceError."""
    judged = judge_days(source.day_rows(*days_to_judge(days)))
    return frozenset(day for day in days if day in judged and judged[day].is_short)


class _Answers:
    """The source's answers, as coverage and counts in memory."""

    def __init__(self, short_days: frozenset[date], now: datetime) -> None:
        self._short, self._now = short_days, now
        self._readings: list[Reading] = []
        self._failed: list[Failure] = []

    def add(self, answer: Reading | Failure) -> None:
        if isinstance(answer, Failure):
            self._failed.append(answer)
        else:
            self._readings.append(answer)

    def coverage(self) -> dict[date, Coverage]:
        read: dict[date, dict[Selector, ReadingFacts]] = {}
        for request in (request for reading in self._readings for request in reading.requests):
            for day in request.days():
                facts = ReadingFacts(is_short=day in self._short, dimensions=request.dimensions)
                read.setdefault(day, {})[request.selector] = facts
        failed: dict[date, dict[Selector, str]] = {}
        for failure in self._failed:
            for day in failure.request.days():
                failed.setdefault(day, {})[failure.request.selector] = failure.reason
        return {
            day: Coverage(dict.fromkeys(read.get(day, ()), self._now), failed.get(day, {}), read.get(day, {}))
            for day in sorted(read.keys() | failed.keys())
        }

    def honest(self) -> Days:
        frames = [reading.counts.lazy() for reading in self._readings]
        raw = pl.concat(frames) if frames else pl.LazyFrame(schema=RAW_SCHEMA)
        return Days(categorise(raw), self.coverage())

    def breakdowns(self) -> Days:
        frames = [reading.breakdowns for reading in self._readings]
        return Days(pl.concat([BREAKDOWN_SCHEMA.to_frame(), *frames]).lazy(), self.coverage())

    def reasons(self, selector: Selector) -> list[str]:
        """Return why days of a package are unknown, each reason with its days."""
        return list(self._reasons(selector))

    def _reasons(self, selector: Selector) -> Iterator[str]:
        by_reason: dict[str, list[Request]] = {}
        for failure in self._failed:
            if failure.request.selector == selector:
                by_reason.setdefault(failure.reason, []).append(failure.request)
        for reason, requests in by_reason.items():
            days = ", ".join(f"{r.first}" if r.first == r.last else f"{r.first} to {r.last}" for r in requests)
            yield f"{days}: {reason}"
