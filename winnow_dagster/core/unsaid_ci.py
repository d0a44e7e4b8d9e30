"""Estimate how many honest downloads were CI jobs whose installer never says so. docs/unsaid-ci.md has the assumptions.

pip, uv, poetry and pdm name their kernel and their Python. Only pip and uv say whether they run in CI. Winnow learns
the share of CI of each class of kernels and Python from pip and uv, and applies it to poetry and pdm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import polars as pl

from winnow_dagster.core.dimensions import KERNEL, SEPARATOR
from winnow_dagster.core.values import NOT_SAID

TELLING = ("pip", "uv")
"""The installers that say that they run in CI."""

SILENT = ("poetry", "pdm")
"""The honest installers that never do."""

CELLS_SCHEMA = pl.Schema(
    {
        "package": pl.String,
        "date": pl.Date,
        "kernel": pl.String,
        "python": pl.String,
        "told": pl.Int64,
        "ci": pl.Int64,
        "unsaid": pl.Int64,
    }
)
"""The downloads by package, day, class of kernel and Python: those of telling installers (`told`), the part of these in
CI (`ci`), and the honest ones of silent installers (`unsaid`). Downloads that name no kernel are left out.
"""

CELL = ("kernel", "python")
"""The columns of which each combination of values has a share of CI of its own."""

CONFIDENCE = 0.9
"""The probability that the interval is meant to have."""

MIN_UNSAID = 30
"""The minimum number of downloads of silent installers to estimate."""

MIN_TOLD = 300
"""The minimum number of downloads of telling installers to learn from."""

MIN_DAYS = 7
MIN_PACKAGES = 8
"""The minimum number of packages to learn from if one package has too few downloads."""

PRIOR = 2
"""The weight, in downloads, of the wider share towards which a share shrinks."""

MIN_SHARE = 1e-6
"""The lowest share of CI that is learned. The highest is as far from 1, so that the log-odds of both are finite."""

MAX_WIDTH = 0.5
"""The widest interval that Winnow shows, relative to the downloads that it is about."""


@dataclass(frozen=True)
class UnsaidCi:
    """How many of the downloads by silent installers were probably CI jobs, over one window."""

    low: int
    high: int
    unsaid: int
    """The honest downloads of silent installers that name their kernel."""

    told: int
    """The downloads of telling installers that the estimate learned from."""

    packages: int
    """The number of packages that it learned from."""


@dataclass(frozen=True)
class Spread:
    """The expected number of CI jobs among the unsaid downloads, and its variance."""

    expected: float
    variance: float
    freedom: int
    """The degrees of freedom of the variance between days or packages, which is estimated from few numbers."""


def kernel_cells(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the cells (CELLS_SCHEMA) of raw counts by open dimensions (BREAKDOWN_SCHEMA)."""
    downloads, is_ci = pl.col("downloads"), pl.col("ci").fill_null(value=False)
    is_telling, is_silent = pl.col("installer").is_in(TELLING), pl.col("installer").is_in(SILENT)
    return (
        rows.lazy()
        .filter(pl.col("dimension") == KERNEL.name, pl.col("value") != NOT_SAID, is_telling | is_silent)
        .with_columns(pl.col("value").str.split_exact(SEPARATOR, 1).struct.rename_fields(CELL))
        .unnest("value")
        .group_by("package", "date", "kernel", "python")
        .agg(
            told=downloads.filter(is_telling).sum(),
            ci=downloads.filter(is_telling & is_ci).sum(),
            unsaid=downloads.filter(is_silent & ~is_ci).sum(),
        )
        .select(CELLS_SCHEMA.names())
        .collect()
    )


def estimate(cells: pl.DataFrame, pool: pl.DataFrame) -> UnsaidCi | None:
    """Return the interval for one package or group over one window; None if there are too few data.

    `cells`: the cells of the package or group. `pool`: the cells of all packages that are read with their kernels.
    Winnow learns from these if the package itself has too few downloads.
    """
    unsaid = int(cells["unsaid"].sum())
    if unsaid < MIN_UNSAID:
        return None
    learned, by, least = cells, "date", MIN_DAYS
    if cells["told"].sum() < MIN_TOLD:
        learned, by, least = pool, "package", MIN_PACKAGES
    told = learned.filter(pl.col("told") > 0)
    if told["told"].sum() < MIN_TOLD or told[by].n_unique() < least:
        return None
    # Packages differ. If Winnow learns from other packages, all downloads of the target share one offset: one unit.
    target = cells if by == "date" else cells.with_columns(package=pl.lit(""))
    found = _spread(told, target, by)
    low, high = _interval(found, unsaid)
    if high - low > MAX_WIDTH * unsaid:
        return None
    return UnsaidCi(low, high, unsaid, int(told["told"].sum()), told["package"].n_unique())


def _spread(told: pl.DataFrame, target: pl.DataFrame, unit: str) -> Spread:
    """Return the expected CI jobs of `target`, by the shares of CI in `told`.

    Each unit (a day or a package) has an offset of its own in log-odds. The variance of these offsets is estimated from
    the units' residuals, as far as they exceed those of independent downloads.
    """
    shares = _learn_shares(told, target)
    known = (
        told.join(shares, on=CELL)
        .group_by(unit)
        .agg(
            residual=(pl.col("ci") - pl.col("told") * pl.col("share")).sum(),
            binomial=(pl.col("told") * pl.col("weight")).sum(),
            pull=(pl.col("told") * pl.col("weight") * pl.col("rate")).sum(),
        )
    )
    units = known.height
    unknown = target.join(shares, on=CELL).group_by(unit).agg(binomial=(pl.col("unsaid") * pl.col("weight")).sum())
    excess = _sum(known["residual"] ** 2 / known["binomial"]) - (units - 1)
    # The learned shares follow the units' offsets, so the residuals lack a part of these (as in DerSimonian and Laird).
    followed = known["binomial"] / _sum(known["binomial"])
    between = max(0.0, excess / _sum(known["binomial"] * (1 - followed)))
    learning = _sum(shares["weight"] * shares["rate"] * shares["all"])
    independent = _sum(unknown["binomial"]) + learning
    differing = between * (_sum(unknown["binomial"] ** 2) + _sum(known["pull"] ** 2))
    variance = independent + differing
    return Spread(_sum(shares["share"] * shares["all"]), variance, units - 1)


def _learn_shares(told: pl.DataFrame, target: pl.DataFrame) -> pl.DataFrame:
    """Return the share of CI of each class of kernels and Python, and the factors of its variance.

    A share from few downloads shrinks towards that of its class of kernels, and this one towards the overall share.
    """
    cells = (
        pl.concat([told.select(*CELL, "told", "ci"), target.select(*CELL, "unsaid")], how="diagonal")
        .group_by(CELL)
        .agg(pl.all().sum())
    )
    overall = (_sum(told["ci"]) + 0.5) / (_sum(told["told"]) + 1)
    of_kernel = (pl.col("ci").sum() + PRIOR * overall) / (pl.col("told").sum() + PRIOR)
    known = pl.col("told") + PRIOR
    share = ((pl.col("ci") + PRIOR * of_kernel.over("kernel")) / known).clip(MIN_SHARE, 1 - MIN_SHARE)
    return cells.select(*CELL, share=share, weight=share * (1 - share), rate=pl.col("unsaid") / known, all="unsaid")


def _sum(numbers: pl.Series) -> float:
    return float(numbers.sum())


def _interval(found: Spread, unsaid: int) -> tuple[int, int]:
    """Return an interval that is symmetric in log-odds, and so stays between 0 and `unsaid`."""
    share = found.expected / unsaid
    width = _quantile(found.freedom) * math.sqrt(found.variance) / (unsaid * share * (1 - share))
    middle = math.log(share / (1 - share))
    low, high = (unsaid / (1 + math.exp(-(middle + sign * width))) for sign in (-1, 1))
    return round(low), round(high)


def _quantile(freedom: int) -> float:
    """Return the upper quantile of Student's t, by the first terms of its expansion around the normal one."""
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
