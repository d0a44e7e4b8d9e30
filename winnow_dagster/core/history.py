"""History: what each stored day says of a package, one row a day; a day that is not covered has no row."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.honesty import CATEGORIES, INSTALLERS
from winnow_dagster.core.window import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

SYSTEM_COLUMNS = dict(zip(("linux", "macos", "windows"), SYSTEMS, strict=True))
OTHER_SYSTEM = "other_system"
NUMBERS = ("raw", *CATEGORIES, *INSTALLERS, *SYSTEM_COLUMNS, OTHER_SYSTEM)
"""The counts of a day: all downloads, the seven categories, the honest ones by installer and by system."""

HISTORY_SCHEMA = pl.Schema({"date": pl.Date, "provisional": pl.Boolean, **dict.fromkeys(NUMBERS, pl.Int64)})


@dataclass(frozen=True)
class History:
    """The covered days of one package or group, oldest first (HISTORY_SCHEMA)."""

    days: pl.DataFrame

    @classmethod
    def empty(cls) -> History:
        """Return a history without a day."""
        return cls(HISTORY_SCHEMA.to_frame())

    @property
    def first(self) -> date | None:
        """The oldest day; None if there is none."""
        return self.days["date"][0] if self.days.height else None

    @property
    def last(self) -> date | None:
        """The newest day; None if there is none."""
        return self.days["date"][-1] if self.days.height else None

    def missing(self) -> list[tuple[date, date]]:
        """Return the ranges of days between the oldest and the newest that are missing, first and last of each."""
        days = self.days["date"].to_list()
        return [(one + ONE_DAY, other - ONE_DAY) for one, other in pairwise(days) if other - one > ONE_DAY]

    def newest(self, days: int) -> History:
        """Return the covered ones of the `days` days that end with the newest."""
        if self.last is None:
            return self
        return History(self.days.filter(pl.col("date") > self.last - days * ONE_DAY))

    def keep(self, published: History) -> History:
        """Return this with the published days that it lacks: a store that was lost takes nothing back (R5)."""
        lacking = published.days.join(self.days, on="date", how="anti")
        return History(pl.concat([self.days, lacking]).sort("date")) if lacking.height else self


def count_days(honest: pl.LazyFrame) -> dict[str, pl.DataFrame]:
    """Return each package's days that have rows (HISTORY_SCHEMA without `provisional`), from HONEST_SCHEMA."""
    installer, system, is_honest = pl.col("installer"), pl.col("system"), pl.col("category") == "honest"
    conditions: Mapping[str, pl.Expr] = {
        "raw": pl.lit(value=True),
        **{category: pl.col("category") == category for category in CATEGORIES},
        **{name: is_honest & (installer == name) for name in INSTALLERS},
        **{column: is_honest & (system == name) for column, name in SYSTEM_COLUMNS.items()},
        OTHER_SYSTEM: is_honest & ~system.is_in(SYSTEMS).fill_null(value=False),
    }
    sums = [pl.col("downloads").filter(condition).sum().alias(name) for name, condition in conditions.items()]
    frame = honest.group_by("package", "date").agg(sums).collect()
    return {str(name): days for (name,), days in frame.partition_by("package", as_dict=True, include_key=False).items()}


def history_of(counted: pl.DataFrame | None, covered: Mapping[date, bool]) -> History:
    """Return a package's history: what `count_days` says of it, over the days that cover it.

    `covered`: for each covered day, whether it is provisional. One without rows is a day without downloads.
    """
    if not covered:
        return History.empty()
    days = pl.DataFrame(
        {"date": list(covered), "provisional": list(covered.values())},
        schema={"date": pl.Date, "provisional": pl.Boolean},
    )
    if counted is None:
        counted = pl.DataFrame(schema={"date": pl.Date, **dict.fromkeys(NUMBERS, pl.Int64)})
    found = days.join(counted, on="date", how="left").with_columns(pl.col(NUMBERS).fill_null(0))
    return History(found.select(HISTORY_SCHEMA.names()).sort("date"))
