"""All of PyPI: badges of every package in the web directory, and the windows of every package from the stored days."""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from statistics import median

import polars as pl

from winnow_dagster.core.badge import Look
from winnow_dagster.core.coverage import Coverage, end_of
from winnow_dagster.core.days import Days, Question
from winnow_dagster.core.everything import Counted, Everything, describe_everything
from winnow_dagster.core.honesty import HONEST_SCHEMA
from winnow_dagster.core.names import EVERYTHING
from winnow_dagster.core.shard import FEW, Shard, shard_of
from winnow_dagster.core.window import Window
from winnow_dagster.site.site import Site
from winnow_dagster.storage.everything import WideDir
from winnow_dagster.storage.files import Failures

DAY = date(2025, 6, 30)
DAYS = 30
SIZES = (1_000, 10_000, 100_000)
ALL = 886_000
"""How many names PyPI has; `WINNOW_BENCHMARK_ALL=1` takes as many, which takes half an hour."""

PAIRS = 5
"""How often a first publication and a bare loop are timed in turn; once with all names."""

SYLLABLES = (
    "py",
    "lib",
    "data",
    "web",
    "test",
    "ml",
    "net",
    "core",
    "io",
    "kit",
    "auto",
    "fast",
    "x",
    "my",
    "dj",
    "ai",
)
LETTERS = "pppppsssssddddccccaaaammmmttttffffbbbbggglllrrreeennniiihhhooowwwkkkvvvuuujjqxyz"
LOOK = Look(slugs=("downloads",))
SITE = Site(3, looks={str(EVERYTHING): LOOK})


def run() -> Iterator[str]:
    for packages in (*SIZES, *([ALL] if os.environ.get("WINNOW_BENCHMARK_ALL") else [])):
        names = make_names(packages)
        with tempfile.TemporaryDirectory() as folder:
            yield from publish(Path(folder), names)
        with tempfile.TemporaryDirectory() as folder:
            yield from windows(Path(folder), names)


def make_names(packages: int) -> list[str]:
    """Return names of which as many begin alike as do on PyPI, sorted."""
    chance = random.Random(20261123)
    found: dict[str, None] = {}
    while len(found) < packages:
        words = chance.choices(SYLLABLES, k=chance.choice((1, 2, 2, 3)))
        found[f"{chance.choice(LETTERS)}{''.join(words)}-{chance.randrange(packages)}"] = None
    return sorted(found)


def make_counts(packages: int, seed: int = 1) -> list[int]:
    """Return downloads: a few packages have millions, most have a handful."""
    chance = random.Random(seed)
    return [int(chance.paretovariate(0.6)) - 1 for _ in range(packages)]


def publish(folder: Path, names: list[str]) -> Iterator[str]:
    honest, days = make_counts(len(names)), '"2025-06-30":[3,9],"2025-06-29":[1,2]'
    numbers = {name: (count, 3 * count + 5) for name, count in zip(names, honest, strict=True)}
    times = [clock(lambda: put(folder / "public", numbers, days))]
    made = {
        path: (folder / "public" / path).read_bytes()
        for name in names
        for path in (
            f"{name}/{file}" for file in ("downloads-30d-non-ci.json", "downloads-30d-non-ci.svg", "history.json")
        )
    }
    bare = [clock(lambda: write_bare(folder / "bare", made))]
    # A disk may be ten times as fast in one minute as in the next.
    for n in range(PAIRS - 1 if len(names) < ALL else 0):
        times.append(clock(partial(put, folder / f"public {n}", numbers, days)))
        bare.append(clock(partial(write_bare, folder / f"bare {n}", made)))
    first, ratio = median(times), median(ours / theirs for ours, theirs in zip(times, bare, strict=True))
    # As far as they fit, the files are in memory for both.
    compare(folder / "public", made)
    again, compared = (
        clock(lambda: put(folder / "public", numbers, days)),
        clock(lambda: compare(folder / "public", made)),
    )
    changed = {
        name: (n + 1000, raw + 1000) if at % 10 == 0 else (n, raw)
        for at, (name, (n, raw)) in enumerate(numbers.items())
    }
    tenth = clock(lambda: put(folder / "public", changed, days))
    what = f"{len(names):,} packages"
    yield f"{what}, {len(made):,} files: {first:.1f} s, {ratio:.2f} times a bare loop's {median(bare):.1f} s"
    yield f"{what}, unchanged: {again:.1f} s, {again / compared:.2f} times a loop that compares: {compared:.1f} s"
    yield f"{what}, a tenth changed: {tenth:.1f} s"


def clock(work: Callable[[], object]) -> float:
    os.sync()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class Made(Everything):
    """Everything, with numbers that are there already."""

    given: dict[str, Counted]

    def shards(self, *, with_days: bool = True) -> Iterator[dict[str, Counted]]:  # noqa: ARG002 - as it is there
        yield self.given


def put(public: Path, numbers: Mapping[str, tuple[int, ...]], days: str) -> None:
    window = Window(DAYS, DAY)
    made = Made([], "bigquery", pl.LazyFrame(), {DAYS: window}, (DAYS,), FEW, frozenset(), ())
    by_shard: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, counts in numbers.items():
        by_shard.setdefault(shard_of(name), {})[name] = counts
    given = {
        key: Counted(Shard("bigquery", FEW, (window,), (DAYS,), found), dict.fromkeys(found, days))
        for key, found in by_shard.items()
    }
    object.__setattr__(made, "given", given)
    failures = Failures()
    WideDir(public, SITE).publish(made, 0, DAY, failures)
    failures.raise_any()


def write_bare(folder: Path, files: dict[str, bytes]) -> None:
    """Make directories, write and rename, and nothing else."""
    for at, (path, content) in enumerate(files.items()):
        target = f"{folder}/{path}"
        if at % 3 == 0:
            os.makedirs(os.path.dirname(target))  # noqa: PTH103, PTH120
        with open(f"{target}.tmp", "wb") as file:  # noqa: PTH123
            file.write(content)
        os.rename(f"{target}.tmp", target)  # noqa: PTH104


def compare(folder: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        with open(f"{folder}/{path}", "rb") as file:  # noqa: PTH123
            if file.read() != content:
                raise RuntimeError(path)


def windows(folder: Path, names: list[str]) -> Iterator[str]:
    paths = [write_day(folder, names, DAY - timedelta(days=ago)) for ago in range(DAYS)]
    counts = pl.scan_parquet(paths)
    rows: list[int] = []
    columns = ["date", "package", "category", "downloads"]
    bare = clock(lambda: rows.append(counts.select(columns).collect(engine="streaming").height))
    coverage = {DAY - timedelta(days=ago): Coverage({EVERYTHING: end_of(DAY)}) for ago in range(DAYS)}
    described = describe_everything(Days(counts, coverage), {EVERYTHING: (DAYS,)}, LOOK, Question(DAY, "bigquery"), [])
    what = f"{len(names):,} packages, 30 days of {rows[0] // DAYS:,} honest rows"
    for told, with_days in (("windows", False), ("windows, and each day as history.json has it", True)):
        ours = clock(partial(count, described, with_days=with_days))
        yield (
            f"{what}: {told} in {ours:.1f} s, {ours / bare:.1f} times the {bare:.2f} s of reading them; "
            f"{most_memory():,.0f} MB"
        )


def count(described: Everything, *, with_days: bool) -> int:
    return sum(len(c.shard.packages) for shards in described.shards(with_days=with_days) for c in shards.values())


KINDS = (
    ("honest", "pip", "Linux"),
    ("honest", "uv", "Darwin"),
    ("mirror", "bandersnatch", None),
    ("ci", "pip", "Linux"),
)
SHARES = (100, 50, 20)
"""How many in a hundred packages have a first, a second and a third row on a day."""


def write_day(folder: Path, names: list[str], day: date) -> str:
    """Write a day of 1.7 rows a package: a few have millions of downloads, most have a handful."""
    packages, parts = pl.DataFrame({"package": names}), []
    for at, share in enumerate(SHARES):
        chance = pl.col("package").hash(10 * day.toordinal() + at)
        found = packages.filter(chance % 100 < share).select(
            pl.lit(day).alias("date"),
            "package",
            kind=(chance // 100 % len(KINDS)).cast(pl.Int64),
            chance=chance // 1000 % 10**6,
        )
        told = pl.DataFrame(
            [(n, *kind) for n, kind in enumerate(KINDS)],
            schema=["kind", "category", "installer", "system"],
            orient="row",
        )
        downloads = (((pl.col("chance") + 1) / 10**6) ** (-1 / 0.6)).cast(pl.Int64)
        parts.append(found.join(told, on="kind").with_columns(downloads=downloads).select(HONEST_SCHEMA.names()))
    frame = pl.concat(parts).group_by(HONEST_SCHEMA.names()[:-1]).agg(pl.col("downloads").sum())
    path = folder / f"{day}.parquet"
    frame.sort(HONEST_SCHEMA.names()).write_parquet(path)
    return str(path)


def most_memory() -> float:
    """Return the most memory that this process has had, in MB."""
    with Path("/proc/self/status").open() as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))
