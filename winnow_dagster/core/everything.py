"""Everything: what `*` selects and nothing else does, counted in columns, a shard of names at a time.

Nothing here is done package by package that can be done for all of them. The numbers of a shard are its record: they
are published before the badges are, and read back before anything newer is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.coverage import NOTHING
from winnow_dagster.core.history import SYSTEM_COLUMNS
from winnow_dagster.core.honesty import INSTALLERS
from winnow_dagster.core.names import EVERYTHING, Selector, is_name
from winnow_dagster.core.window import PackageState, Window, WindowCounts, WindowState, newest_window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.badge import Look
    from winnow_dagster.core.days import Days, Package, Question
    from winnow_dagster.core.names import Group

FEW = ("honest", "raw")
"""What is counted of each package for its headline."""

ALL_COLUMNS = (*FEW, *INSTALLERS, *SYSTEM_COLUMNS)
"""What is counted for all badges: the honest ones by installer and by system too."""

MOST_AT_ONCE = 20_000_000
"""How many stored rows are counted at a time."""

MOST_WITH_DAYS = 5_000_000
"""How many are, where each of their days is told too, which takes more memory."""

STARTS = ("0", "c", "e", "i", "m", "p", "q", "t", "{")
"""Where each part of the names that is counted at a time begins: about as many in each. The last begins after `z`."""

SHARD_LENGTH = 2
"""How many characters the names of a shard begin with in common."""

Numbers = tuple[int, ...]
"""Of one package: for each window, its columns."""


@dataclass(frozen=True)
class Shard:
    """The numbers of the packages whose names begin alike: for each window the same columns."""

    source: str
    columns: tuple[str, ...]
    windows: tuple[Window, ...]
    """The newest whole ones, the headline's first; each length once."""

    lengths: tuple[int, ...]
    """How many days each was asked for; the order is that of `windows`."""

    packages: Mapping[str, Numbers]

    def state(self, numbers: Numbers) -> PackageState:
        """Return what is known of a package with these numbers, of whatever name."""
        width = len(self.columns)
        parts = [numbers[at : at + width] for at in range(0, len(numbers), width)]
        found = [
            WindowState(days, _counts(window, dict(zip(self.columns, part, strict=True))), days)
            for days, window, part in zip(self.lengths, self.windows, parts, strict=True)
        ]
        return PackageState("", self.source, tuple(found))

    def keep_newest(self, published: Shard | None) -> Shard:
        """Return this with what is published of newer days, of windows that are no longer asked for, or of others.

        A published package that was not downloaded in a window has counts of 0 there. What was published with other
        columns has 0 in those that it lacks.
        """
        if published is None:
            return self
        mine = {days: at for at, days in enumerate(self.lengths)}
        theirs = {days: at for at, days in enumerate(published.lengths)}
        lengths = tuple(dict.fromkeys([*self.lengths, *published.lengths]))
        windows, sources = [], []
        for days in lengths:
            is_mine = days in mine and (
                days not in theirs or self.windows[mine[days]].as_of >= published.windows[theirs[days]].as_of
            )
            side, at = (self, mine[days]) if is_mine else (published, theirs[days])
            windows.append(side.windows[at])
            sources.append((side, at))
        names = sorted({*self.packages, *published.packages})
        merged = {
            name: tuple(
                count for side, at in sources for count in _part(side, side.packages.get(name), at, self.columns)
            )
            for name in names
        }
        return replace(self, windows=tuple(windows), lengths=lengths, packages=merged)


@dataclass(frozen=True)
class Counted:
    """What the stored days say of a shard, and of each of its packages by day, ready for JSON."""

    shard: Shard
    days: Mapping[str, str] = field(default_factory=dict)
    """Of each package, its days with downloads: `"2025-06-30":[honest,raw],...`"""


@dataclass(frozen=True)
class Everything:
    """What is to be published of `*`: lazily, since it may be a million packages."""

    packages: list[Package]
    """Those that are published in full, since they once had an entry of their own."""

    source: str
    honest: pl.LazyFrame
    windows: Mapping[int, Window]
    """By the length asked for, the newest window of covered days, where there is one."""

    columns: tuple[str, ...]
    named: frozenset[str]
    prefixes: tuple[str, ...]
    """What the packages that something else publishes are called, or begin with."""

    def selects(self, package: str) -> bool:
        """Tell whether nothing else publishes a package."""
        return package not in self.named and not package.startswith(self.prefixes)

    def shards(self, *, with_days: bool = True) -> Iterator[dict[str, Counted]]:
        """Count what `*` selects, a part of the names at a time if there are many rows; yield shards by name."""
        if not self.windows:
            return
        package = pl.col("package")
        of_others = [package.is_in(self.named), *[package.str.starts_with(prefix) for prefix in self.prefixes]]
        chosen = self.honest.filter(*[~other for other in of_others])
        rows = self.honest.select(pl.len()).collect().item()
        parts = 1 + rows // (MOST_WITH_DAYS if with_days else MOST_AT_ONCE)
        starts = STARTS[: -1 : max(1, (len(STARTS) - 1) // parts)]
        for first, end in pairwise((*starts, STARTS[-1])):
            yield self._count(chosen.filter(package >= first, package < end), with_days=with_days)

    def nothing(self) -> Counted:
        """Return what is known of a shard of which nothing was downloaded."""
        return Counted(Shard(self.source, self.columns, tuple(self.windows.values()), tuple(self.windows), {}))

    def _count(self, honest: pl.LazyFrame, *, with_days: bool) -> dict[str, Counted]:
        rows = _rows(honest, list(self.windows.values()), self.columns)
        if with_days:
            rows = _by_day(rows, self.columns)
        summed = [_sum(rows, window, self.columns, at) for at, window in enumerate(self.windows.values())]
        frame = summed[0]
        for other in summed[1:]:
            frame = frame.join(other, on="package", how="full", coalesce=True)
        frame = frame.sort("package")
        longest = max(self.windows.values(), key=lambda window: window.days)
        days = _days(rows, longest, frame["package"]) if with_days else {}
        told: dict[str, dict[str, Numbers]] = {}
        for name, *numbers in frame.fill_null(0).iter_rows():
            told.setdefault(shard_of(name), {})[name] = tuple(numbers)
        empty = self.nothing().shard
        return {
            key: Counted(replace(empty, packages=packages), {name: days.get(name, "") for name in packages})
            for key, packages in told.items()
        }


class Described(dict[str, "list[Package] | Everything"]):
    """What the stored days say, by the text of what it is published as: a selector's packages, everything, a group."""


def shard_of(package: str) -> str:
    """Return the name of the shard that a package is in."""
    return package[:SHARD_LENGTH]


def columns_for(look: Look) -> tuple[str, ...]:
    """Return what has to be counted for these badges."""
    return FEW if {"downloads", "honest-share"}.issuperset(look.slugs) else ALL_COLUMNS


def describe_everything(
    honest: Days,
    windows: Mapping[Selector | Group, Sequence[int]],
    look: Look,
    question: Question,
    packages: Sequence[Package],
) -> Everything:
    """Return what the stored honest days say of what `*` selects, without what has an entry of its own.

    `packages`: what else is published of `*`, in full.
    """
    start = min(honest.coverage, default=question.through)

    def covered(day: date) -> bool:
        return honest.coverage.get(day, NOTHING).covers(EVERYTHING)

    found = {d: newest_window(d, covered, start=start, through=question.through) for d in windows[EVERYTHING]}
    others = [which for which in windows if isinstance(which, Selector) and not which.is_all]
    return Everything(
        list(packages),
        question.source,
        honest.counts,
        {days: window for days, window in found.items() if window},
        columns_for(look),
        frozenset([s.stem for s in others if not s.is_prefix] + [package.state.package for package in packages]),
        tuple(s.stem for s in others if s.is_prefix),
    )


def _rows(honest: pl.LazyFrame, windows: Sequence[Window], columns: Sequence[str]) -> pl.DataFrame:
    """Return package, date and the downloads that count for each of the columns, of any of the windows."""
    first, last = min(w.first_day for w in windows), max(w.as_of for w in windows)
    is_honest, installer, system = pl.col("category") == "honest", pl.col("installer"), pl.col("system")
    conditions: dict[str, pl.Expr] = {
        "honest": is_honest,
        "raw": pl.lit(value=True),
        **{name: is_honest & (installer == name) for name in INSTALLERS},
        **{column: is_honest & (system == name) for column, name in SYSTEM_COLUMNS.items()},
    }
    parts = [(pl.col("downloads") * conditions[name].fill_null(value=False)).alias(name) for name in columns]
    return honest.filter(pl.col("date").is_between(first, last)).select("package", "date", *parts).collect()


def _by_day(rows: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Return the columns of each package and day."""
    # The rows of a package and day stand together, as the store orders them. To add up neighbours takes a tenth of the
    # time of a group_by.
    package, date_ = pl.col("package"), pl.col("date")
    is_later = (date_ > date_.shift(1)) | ((date_ == date_.shift(1)) & (package >= package.shift(1)))
    if not rows.select(is_later.all()).item():
        rows = rows.sort("date", "package")
    ends = rows.select(_is_last(package, date_).arg_true()).to_series()
    sums = rows.select("package", "date", pl.col(columns).cum_sum())[ends]
    return sums.with_columns(pl.col(columns) - pl.col(columns).shift(1, fill_value=0))


def _is_last(*keys: pl.Expr) -> pl.Expr:
    """Whether a row is the last of those that stand together with the same keys."""
    return pl.any_horizontal(key != key.shift(-1) for key in keys).fill_null(value=True)


def _sum(rows: pl.DataFrame, window: Window, columns: Sequence[str], at: int) -> pl.DataFrame:
    """Sum the columns over a window: package, then `<column> <at>`."""
    sums = [pl.col(name).sum().alias(f"{name} {at}") for name in columns]
    chosen = rows.lazy().filter(pl.col("date").is_between(window.first_day, window.as_of))
    return chosen.group_by("package").agg(sums).filter(is_name("package")).collect()


def _days(by_day: pl.DataFrame, window: Window, packages: pl.Series) -> dict[str, str]:
    """Return the days with downloads of each of these packages, which are sorted, oldest first, as JSON has them."""
    # One text of all, which is then cut: a text for each group takes ten times as long.
    days = sorted(by_day["date"].unique())
    opened = pl.col("date").replace_strict(days, [f'"{day}":[' for day in days], return_dtype=pl.String)
    told = (
        by_day.filter(pl.col("date").is_between(window.first_day, window.as_of))
        .join(packages.to_frame().with_row_index("at"), on="package")
        .sort("at", "date")
        .select(
            "at",
            day=pl.concat_str(opened, pl.col("honest").cast(str), pl.lit(","), pl.col("raw").cast(str), pl.lit("],")),
        )
    )
    cuts = told.select("at", end=pl.col("day").str.len_bytes().cast(pl.Int64).cum_sum()).filter(_is_last(pl.col("at")))
    text, found, start = told["day"].str.join("").item() or "", {}, 0
    for name, end in zip(packages.gather(cuts["at"]), cuts["end"], strict=True):
        found[name] = text[start : end - 1]
        start = end
    return found


def _counts(window: Window, found: Mapping[str, int]) -> WindowCounts:
    return WindowCounts(
        window,
        {"honest": found["honest"], "winnowed": found["raw"] - found["honest"]},
        {name: found.get(name, 0) for name in INSTALLERS},
        {system: found.get(column, 0) for column, system in SYSTEM_COLUMNS.items()},
    )


def _part(shard: Shard, numbers: Numbers | None, at: int, columns: Sequence[str]) -> Iterator[int]:
    width = len(shard.columns)
    for column in columns:
        known = numbers is not None and column in shard.columns
        yield numbers[at * width + shard.columns.index(column)] if known and numbers else 0
