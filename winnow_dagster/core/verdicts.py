"""Verdicts: the rules that stored counts must obey, and what violates them.

Each function judges all the days that it gets. A verdict without violations passes.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from statistics import median
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.badge import is_stale
from winnow_dagster.core.categories import category, printable_name
from winnow_dagster.core.completeness import read_anyway_day
from winnow_dagster.core.coverage import NOTHING, ONE_DAY
from winnow_dagster.core.names import Selector, matches_any
from winnow_dagster.core.read_policy import LOW_REREAD_DAYS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from winnow_dagster.core.completeness import Judgement
    from winnow_dagster.core.days import Days
    from winnow_dagster.core.window import PackageState

MAX_UNLISTED_SHARE = 0.01
"""Above this share of a day's raw downloads, an unlisted installer is reported."""

WEEKS_COMPARED = 6
"""The number of earlier weeks whose same weekday a day is compared with."""

MAX_TIME_TO_COUNT = timedelta(days=1)
"""How long after a reading a run may still have to count it. A source keeps a lost answer for a day at most."""

MIN_WEEKS = 3
MIN_DOWNLOADS = 100
"""With fewer downloads, a day's total is not judged."""

USUAL_RATIO = (1 / 3, 3.0)
"""The lowest and highest usual ratio of a day's total to its weekday's total."""


@dataclass(frozen=True)
class Verdict:
    """The result of a check: what violates the rule, with the reason, and how many things were judged."""

    bad: Mapping[str, str]
    looked_at: int
    facts: Mapping[str, str | int] = field(default_factory=dict)
    """Facts to show even if nothing is bad."""


def judge_newest_day(days: Days, due: date, start: date = date.min) -> Verdict:
    """Check that Winnow has read the last due day, or the day before it: the source may be a day late.

    Before `start`, the first day that counts, no day is due.
    """
    newest = max((day for day, coverage in days.coverage.items() if coverage.read), default=None)
    facts = {"newest_day": str(newest or "none"), "due_day": str(due)}
    late = due >= start and (newest is None or newest < due - ONE_DAY)
    return Verdict({f"{newest or 'no day'}": f"is the newest day read, and {due} is due"} if late else {}, 1, facts)


def judge_totals(days: Days, selectors: Collection[Selector], judged: Iterable[date]) -> Verdict:
    """Check that each day's raw total is near its weekday's in the weeks before, by the median of the ratios.

    Two days are compared over the selectors that both cover, so a package that was added later does not count.
    """
    totals = _totals_by_selector(days, selectors)
    bad: dict[str, str] = {}
    compared = 0
    for day in judged:
        weeks = [day - timedelta(weeks=n) for n in range(1, WEEKS_COMPARED + 1)]
        ratios = [r for week in weeks if (r := _ratio(totals.get(day, {}), totals.get(week, {}))) is not None]
        if len(ratios) >= MIN_WEEKS:
            compared += 1
            times = median(ratios)
            if not USUAL_RATIO[0] <= times <= USUAL_RATIO[1]:
                total = sum(totals[day].values())
                bad[str(day)] = f"{total:,} raw downloads, {times:.2f} times the usual total of its weekday"
    return Verdict(bad, compared)


def judge_quiet_days(low: Mapping[date, tuple[int, int]]) -> dict[str, str]:
    """Return a problem for each day with suspiciously few downloads: the downloads and the usual number."""
    again = " and ".join((", ".join(map(str, LOW_REREAD_DAYS[:-1])), str(LOW_REREAD_DAYS[-1])))
    return {
        str(day): f"{found:,} downloads of all entries, and usually about {usual:,}. Winnow reads the day again after "
        f"{again} days"
        for day, (found, usual) in low.items()
    }


def judge_completeness(judged: Mapping[date, Judgement], short: Mapping[date, Judgement]) -> Verdict:
    """Check that the source has lost no rows of a day that a window needs."""
    bad = {str(day): describe_short(day, judgement) for day, judgement in short.items()}
    not_judged = sum(judgement.usual is None for judgement in judged.values())
    return Verdict(bad, len(judged), {"days_not_judged": not_judged})


def describe_short(day: date, judgement: Judgement) -> str:
    """Return why Winnow does not read a short day, and when it will."""
    until = read_anyway_day(day)
    return f"{day} is short: {judgement}. Winnow reads it once its rows are back, or as it is from {until} on"


def judge_sums(raw: Days, honest: Days, uncounted_since: datetime | None = None) -> Verdict:
    """Check that the seven categories of each package and day sum to its raw total (R2).

    A run may still have to count what it has read since `uncounted_since`.
    """
    bad: dict[str, str] = {}
    looked_at = 0
    # Day by day: with `*`, all days together may not fit in memory.
    for day in sorted({*raw.coverage, *honest.coverage}):
        both = (
            _sum(raw.of(day), ["package"], "raw")
            .join(
                _sum(honest.of(day), ["package"], "categories"),
                on="package", how="full", coalesce=True,
            )
            .with_columns(pl.col("raw", "categories").fill_null(0))
            .collect()
        )  # fmt: skip
        looked_at += both.height
        unequal = both.filter(pl.col("raw") != pl.col("categories")).sort("package")
        times = [days.coverage.get(day, NOTHING) for days in (raw, honest)]
        for package, total, summed in unequal.select("package", "raw", "categories").iter_rows():
            if not _is_being_counted([coverage.last_read(Selector(package)) for coverage in times], uncounted_since):
                bad[f"{day} {package}"] = f"{total:,} raw downloads, and {summed:,} in the seven categories"
    return Verdict(bad, looked_at)


def _is_being_counted(read: Collection[datetime | None], since: datetime | None) -> bool:
    """Return whether the raw and the honest counts are of different readings, one of them a recent one."""
    newest = max(filter(None, read), default=None)
    return len(set(read)) > 1 and newest is not None and since is not None and newest >= since


def judge_breakdowns(honest: Days, breakdowns: Days) -> Verdict:
    """Check that the values of each breakdown sum to each category of the package's day (R2).

    `breakdowns`: counts by value (BREAKDOWN_SCHEMA), with the coverage of what they hold.
    """
    bad: dict[str, str] = {}
    looked_at = 0
    for day, coverage in sorted(breakdowns.coverage.items()):
        totals = _sum(honest.of(day), ("package", "category"), "total").collect()
        known = [(p, d) for p in totals["package"].unique() for d in coverage.dimensions_of(Selector(p))]
        pairs = pl.DataFrame(known, {"package": pl.String, "dimension": pl.String}, orient="row")
        values = breakdowns.of(day).with_columns(category=category())
        both = (
            pairs.lazy()
            .join(totals.lazy(), on="package")
            .join(
                _sum(values, ("package", "dimension", "category"), "values"),
                on=["package", "dimension", "category"], how="full", coalesce=True,
            )
            .with_columns(pl.col("total", "values").fill_null(0))
            .sort("package", "dimension", "category")
            .collect()
        )  # fmt: skip
        looked_at += pairs.height
        unequal = both.filter(pl.col("total") != pl.col("values"))
        for package, dimension, name, total, summed in unequal.select(
            "package", "dimension", "category", "total", "values"
        ).iter_rows():
            why = f"{total:,} {name} downloads, and {summed:,} by {dimension}"
            bad[f"{day} {package}"] = "; ".join(filter(None, [bad.get(f"{day} {package}"), why]))
    return Verdict(bad, looked_at)


def judge_unlisted(honest: Days) -> Verdict:
    """Check that no unlisted installer has a share of a day that would matter if it were honest (R4)."""
    totals = dict(_sum(honest.counts, ("date",), "raw").collect().iter_rows())
    others = _sum(honest.counts.filter(pl.col("category") == "other"), ("date", "installer"), "downloads")
    bad = {
        f"{day} {printable_name(installer)}": f"{downloads:,} downloads, {downloads / totals[day]:.1%} of the day"
        for day, installer, downloads in others.sort("date", "installer").collect().iter_rows()
        if downloads > MAX_UNLISTED_SHARE * totals[day]
    }
    return Verdict(bad, len(honest.coverage))


def judge_as_of(states: Iterable[PackageState], today: date, stale_threshold_days: int) -> Verdict:
    """Check that no published number is older than the threshold (R6)."""
    numbers = [(s.package, w.days, w.counts.window.as_of) for s in states for w in s.windows if w.counts]
    bad = {
        f"{package} ({days}d)": f"as of {as_of}, which is more than {stale_threshold_days} days ago"
        for package, days, as_of in numbers
        if is_stale(as_of, today, stale_threshold_days)
    }
    oldest = min((as_of for *_, as_of in numbers), default=None)
    return Verdict(bad, len(numbers), {"oldest_as_of": str(oldest or "none")})


def _totals_by_selector(days: Days, selectors: Collection[Selector]) -> dict[date, dict[Selector, int]]:
    """Return the raw downloads of each selector on each day that covers it."""
    found: dict[tuple[date, Selector], int] = defaultdict(int)
    named = days.counts.filter(pl.col("package").is_in([s.stem for s in selectors if not s.is_prefix]))
    for day, package, total in _sum(named, ("date", "package"), "raw").collect().iter_rows():
        found[day, Selector(package)] = total
    for selector in (s for s in selectors if s.is_prefix):
        selected = days.counts.filter(matches_any([selector], "package"))
        for day, total in _sum(selected, ("date",), "raw").collect().iter_rows():
            found[day, selector] = total
    return {day: {s: found[day, s] for s in selectors if coverage.covers(s)} for day, coverage in days.coverage.items()}


def _ratio(day: Mapping[Selector, int], before: Mapping[Selector, int]) -> float | None:
    """Return the ratio of a day's downloads to those of `before`; None if too few are comparable."""
    common = day.keys() & before.keys()
    usual = sum(before[selector] for selector in common)
    return sum(day[selector] for selector in common) / usual if usual >= MIN_DOWNLOADS else None


def _sum(counts: pl.LazyFrame, keys: Collection[str], name: str) -> pl.LazyFrame:
    return counts.group_by(keys).agg(pl.col("downloads").sum().alias(name))
