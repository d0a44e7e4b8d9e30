"""How often the 90 % interval for unsaid CI covers the truth, if flags of downloads that have them are hidden."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from winnow_dagster.core.coverage import Failure, Request
from winnow_dagster.core.dimensions import KERNEL, SEPARATOR
from winnow_dagster.core.names import EVERYTHING
from winnow_dagster.core.unsaid_ci import CELLS_SCHEMA, TELLING, UnsaidCi, estimate
from winnow_dagster.sources.parquet.source import ParquetSource

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "file_downloads"
DATES = (date(2026, 10, 12), date(2026, 11, 20))
FIRST = date(2026, 9, 1)
TRIALS = 400
MIN_SHARED = 1000
"""The lowest number of downloads of a package that is tried."""

COVERED = (0.85, 0.95)
CLASSES = {"azure": 0.85, "aws": 0.3, "google": 0.4, "wsl": 0.02, "ubuntu": 0.15, "macos": 0.01, "windows": 0.01}
"""Classes of kernels with a plausible share of CI each, for generated traffic."""

PYTHONS = {"3.9": 0.8, "3.10": 0.4, "3.11": 0.0, "3.12": -0.2, "3.13": -0.4, "3.14": -0.8, "3.15": 0.6}
"""Pythons, each with how much the log-odds of CI differ from those of the class of kernels."""

TELLING_PYTHONS = (0.15, 0.15, 0.25, 0.25, 0.15, 0.05, 0.0)
"""How often the generated telling installers use each of PYTHONS."""

SILENT_PYTHONS = (0.02, 0.03, 0.1, 0.2, 0.35, 0.29, 0.01)
"""The same for silent installers. They use newer ones, and one that no telling installer uses."""

Mix = dict[str, float]
"""A number for each class of kernels and Python, keyed as Winnow stores the two."""

Rows = Counter[tuple[str, date, str, bool]]
"""Downloads that say whether they are in CI, by package, day, kernel with Python, and CI."""


@dataclass
class Score:
    """How often the truth lay within the interval."""

    name: str
    covered: int = 0
    shown: int = 0
    trials: int = 0
    width: float = 0.0

    def add(self, found: UnsaidCi | None, truth: int) -> None:
        self.trials += 1
        if found:
            self.shown += 1
            self.covered += found.low <= truth <= found.high
            self.width += (found.high - found.low) / found.unsaid

    def line(self) -> str:
        if not self.shown:
            return f"| {self.name} | {self.trials} | 0 | - | - |"
        return (
            f"| {self.name} | {self.trials} | {self.shown} | {100 * self.covered / self.shown:.1f} % "
            f"| {100 * self.width / self.shown:.0f} % |"
        )


def run() -> Iterator[str]:
    chance = random.Random(24)
    yield "| traffic, and what is hidden | trials | shown | covered | mean width |"
    yield "|---|---|---|---|---|"
    scores = [*(_shared(chance) if DATA.exists() else ()), *_generated(chance)]
    for score in scores:
        yield score.line()
    covered, shown = sum(score.covered for score in scores), sum(score.shown for score in scores)
    yield f"| all | {sum(score.trials for score in scores)} | {shown} | {100 * covered / shown:.1f} % | |"
    if DATA.exists():
        yield _transfer(chance).line()
        yield _by_kernel_alone(chance).line()
    wrong = [s.name for s in scores if s.shown and not COVERED[0] <= s.covered / s.shown <= COVERED[1]]
    yield f"outside {COVERED[0]:.0%} to {COVERED[1]:.0%}: {', '.join(wrong) or 'none'}"


def _shared(chance: random.Random) -> Iterator[Score]:
    """Score the rows in the folder of shared data."""
    rows = sum(_read_shared().values(), Counter())
    for name, hide in (("shared rows, some of each day", _hide_rows), ("shared rows, whole days", _hide_days)):
        score = Score(name)
        for _ in range(TRIALS):
            _try(score, _choose(rows, chance), hide, chance)
        yield score


def _transfer(chance: random.Random) -> Score:
    """Score what the interval does not promise: that another installer is used in CI as often on the same kernels."""
    score = Score("not promised: shared rows, all of uv from pip")
    by_installer = _read_shared()
    for _ in range(TRIALS):
        package = chance.choice(_large(by_installer["pip"]))
        window = _days(DATES[0] + timedelta(days=chance.choice([0, 5, 10])), 30)
        told, hidden = (_only(by_installer[name], package, window) for name in ("pip", "uv"))
        score.add(*_judge(told, hidden, told))
    return score


def _by_kernel_alone(chance: random.Random) -> Score:
    """Score the first line of the table without the Pythons, to show that the estimate needs them."""
    score = Score("for comparison: shared rows, some of each day, without the Python")
    rows = sum(_read_shared().values(), Counter())
    for _ in range(TRIALS):
        chosen = _choose(rows, chance)
        hidden = _hide_rows(chosen, chance)
        told = _without_python(chosen - hidden)
        score.add(*_judge(told, _without_python(hidden), told))
    return score


def _without_python(rows: Rows) -> Rows:
    found: Rows = Counter()
    for (package, day, kernel, ci), count in rows.items():
        found[package, day, kernel.split(SEPARATOR)[0] + SEPARATOR, ci] += count
    return found


def _choose(rows: Rows, chance: random.Random) -> Rows:
    """Return the rows of one package over one window."""
    package = chance.choice(_large(rows))
    return _only(rows, package, _days(DATES[0] + timedelta(days=chance.choice([0, 5, 10])), 30))


def _read_shared() -> dict[str, Rows]:
    """Return the downloads that say whether they are in CI, by installer."""
    found: dict[str, Rows] = {name: Counter() for name in TELLING}
    request = Request(EVERYTHING, *DATES, dimensions=(KERNEL.name,))
    for reading in ParquetSource(str(DATA)).read([request]):
        if isinstance(reading, Failure):
            raise SystemExit(reading.reason)
        for day, package, _, kernel, installer, ci, downloads in reading.breakdowns.iter_rows():
            if installer in TELLING and kernel:
                found[installer][package, day, kernel, bool(ci)] += downloads
    return found


def _large(rows: Rows) -> list[str]:
    return sorted(package for package, total in _totals(rows).items() if total >= MIN_SHARED)


def _generated(chance: random.Random) -> Iterator[Score]:
    """Score made-up traffic whose days, and packages, differ by more than chance."""
    for name, size, between_days, days, hide in (
        ("generated, days alike, some of each day", 200, 0.0, 30, _hide_rows),
        ("generated, days alike, whole days", 200, 0.0, 30, _hide_days),
        ("generated, days differ, whole days", 200, 0.3, 30, _hide_days),
        ("generated, days differ a lot, whole days", 1000, 0.6, 30, _hide_days),
        ("generated, few downloads, days differ", 25, 0.4, 30, _hide_days),
    ):
        score = Score(name)
        for _ in range(TRIALS):
            rows = _make("a", size, between_days, days, chance)
            _try(score, rows, hide, chance)
        yield score
    for name, size, silent, between_days, days in (
        ("generated, a silent installer with days of its own", 300, 60, 0.3, 30),
        ("generated, the same over 7 days", 1500, 300, 0.2, 7),
        ("generated, a silent installer with few downloads", 100, 2, 0.3, 30),
    ):
        score = Score(name)
        for _ in range(TRIALS):
            shares = _shares(0.5, chance)
            told = _make("a", size, between_days, days, chance, shares)
            hidden = _make("a", silent, between_days, days, chance, shares, _silent_mix(chance))
            score.add(*_judge(told, hidden, told))
        yield score
    score = Score("generated, learned from 30 other packages")
    for _ in range(TRIALS):
        pool: Rows = Counter()
        for n in range(30):
            pool += _make(f"p{n}", round(10 ** chance.uniform(0.5, 2)), 0.1, 30, chance, _shares(0.3, chance))
        hidden = _make("a", 6, 0.1, 30, chance, _shares(0.3, chance), _silent_mix(chance))
        score.add(*_judge(Counter(), hidden, pool))
    yield score


def _make(  # noqa: PLR0917 - a number each
    package: str,
    size: int,
    between_days: float,
    days: int,
    chance: random.Random,
    shares: Mix | None = None,
    mix: Mix | None = None,
) -> Rows:
    """Return traffic of about `size` downloads a day. The log-odds of CI differ by `between_days` from day to day."""
    shares, mix = shares or _shares(0.5, chance), mix or _cross(dict.fromkeys(CLASSES, 1.0), TELLING_PYTHONS)
    rows: Rows = Counter()
    whole = sum(mix.values())
    for day in _days(FIRST, days):
        shift, busy = chance.gauss(0, between_days), size * chance.uniform(0.6, 1.4)
        for kernel, share in shares.items():
            downloads = _poisson(busy * mix[kernel] / whole, chance)
            ci = _binomial(downloads, 1 / (1 + math.exp(-(math.log(share / (1 - share)) + shift))), chance)
            rows[package, day, kernel, True] += ci
            rows[package, day, kernel, False] += downloads - ci
    return rows


def _shares(between: float, chance: random.Random) -> Mix:
    """Return the shares of CI in one package. Its log-odds differ by `between` from the usual ones.

    Those of a class of kernels and Python differ from the sum of the two, too.
    """
    shift = chance.gauss(0, between)
    odds = {
        f"{kernel}{SEPARATOR}{python}": math.log(share / (1 - share)) + more + shift + chance.gauss(0, 0.3)
        for kernel, share in CLASSES.items()
        for python, more in PYTHONS.items()
    }
    return {cell: 1 / (1 + math.exp(-log_odds)) for cell, log_odds in odds.items()}


def _silent_mix(chance: random.Random) -> Mix:
    """Return how often a silent installer uses each class of kernels and Python."""
    return _cross({kernel: chance.uniform(0.2, 1) for kernel in CLASSES}, SILENT_PYTHONS)


def _cross(kernels: dict[str, float], pythons: Iterable[float]) -> Mix:
    by_python = dict(zip(PYTHONS, pythons, strict=True))
    return {f"{k}{SEPARATOR}{p}": n * m for k, n in kernels.items() for p, m in by_python.items()}


def _hide_rows(rows: Rows, chance: random.Random) -> Rows:
    """Return some downloads of each day, with more of some classes and Pythons than of others."""
    odds = {kernel: chance.uniform(0.05, 0.4) for _, _, kernel, _ in sorted(rows)}
    return Counter({key: _binomial(count, odds[key[2]], chance) for key, count in rows.items()})


def _hide_days(rows: Rows, chance: random.Random) -> Rows:
    """Return some downloads of a third of the days, and of these days none is learned from."""
    days = sorted({day for _, day, _, _ in rows})
    hidden = set(chance.sample(days, len(days) // 3))
    return Counter({key: count for key, count in rows.items() if key[1] in hidden})


def _try(score: Score, rows: Rows, hide: Callable[[Rows, random.Random], Rows], chance: random.Random) -> None:
    hidden = hide(rows, chance)
    score.add(*_judge(rows - hidden, hidden, rows - hidden))


def _judge(told: Rows, hidden: Rows, pool: Rows) -> tuple[UnsaidCi | None, int]:
    """Return the interval for hidden downloads, and how many of them are in CI."""
    return estimate(_cells(told, hidden), _cells(pool)), sum(count for key, count in hidden.items() if key[3])


def _cells(told: Rows, hidden: Rows | None = None) -> pl.DataFrame:
    cells: dict[tuple[str, date, str, str], list[int]] = {}
    for at, rows in enumerate((told, hidden or Counter())):
        for (package, day, stored, ci), count in rows.items():
            kernel, _, python = stored.partition(SEPARATOR)
            numbers = cells.setdefault((package, day, kernel, python), [0, 0, 0])
            numbers[2 * at] += count
            numbers[1] += count if ci and not at else 0
    return pl.DataFrame([(*key, *numbers) for key, numbers in cells.items()], schema=CELLS_SCHEMA, orient="row")


def _only(rows: Rows, package: str, days: Iterable[date]) -> Rows:
    chosen = set(days)
    # Sorted, so that each run draws the same: the order of the source's answer differs.
    return Counter({key: rows[key] for key in sorted(rows) if key[0] == package and key[1] in chosen})


def _totals(rows: Rows) -> Counter[str]:
    found: Counter[str] = Counter()
    for (package, *_), count in rows.items():
        found[package] += count
    return found


def _days(first: date, days: int) -> list[date]:
    return [first + timedelta(days=n) for n in range(days)]


def _binomial(count: int, share: float, chance: random.Random) -> int:
    return sum(chance.random() < share for _ in range(count))


def _poisson(mean: float, chance: random.Random) -> int:
    return max(0, round(chance.gauss(mean, math.sqrt(mean))))
