"""All of PyPI: badges of every package in the web directory, and the windows of every package from the stored days."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from statistics import median

import polars as pl

from winnow_dagster.core.badge import BadgeStyle
from winnow_dagster.core.categories import HONEST_SCHEMA
from winnow_dagster.core.coverage import Coverage, end_of
from winnow_dagster.core.days import CountOptions, Days
from winnow_dagster.core.everything import Everything, ShardCounts, describe_everything
from winnow_dagster.core.names import EVERYTHING
from winnow_dagster.core.shard import HEADLINE_COLUMNS, Shard, shard_of
from winnow_dagster.core.window import Window
from winnow_dagster.files.operations import Failures
from winnow_dagster.publishing.all_packages import AllPackagesDir
from winnow_dagster.publishing.shards import publish_everything
from winnow_dagster.site.site import SiteConfig

ROOT = Path(__file__).parents[2]
DAY = date(2025, 6, 30)
DAYS = 30
SIZES = (1_000, 10_000, 100_000)
ALL = 886_000
"""How many names PyPI has; `WINNOW_BENCHMARK_ALL=1` takes as many, which takes half an hour."""

PAIRS = 5
"""How often ours and its yardstick are timed in turn; a first publication of all names once."""

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
LOOK = BadgeStyle(slugs=("downloads",))
SITE = SiteConfig(3, styles={str(EVERYTHING): LOOK})


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
    megabytes = most_memory()
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
    again, compared = [], []
    for _ in range(PAIRS):
        again.append(clock(lambda: put(folder / "public", numbers, days)))
        compared.append(clock(lambda: compare(folder / "public", made)))
    even = median(ours / theirs for ours, theirs in zip(again, compared, strict=True))
    changed = {
        name: (n + 1000, raw + 1000) if at % 10 == 0 else (n, raw)
        for at, (name, (n, raw)) in enumerate(numbers.items())
    }
    held = memory("VmRSS")
    tenth = clock(lambda: put(folder / "public", changed, days))
    more = most_memory() - held
    what = f"{len(names):,} packages"
    yield (
        f"{what}, {len(made):,} files: {first:.1f} s, {ratio:.2f} times a bare loop's {median(bare):.1f} s; "
        f"{megabytes:,.0f} MB"
    )
    yield f"{what}, unchanged: {median(again):.1f} s, {even:.2f} times a loop that compares: {median(compared):.1f} s"
    yield f"{what}, a tenth changed: {tenth:.1f} s; {more:,.0f} MB beside what is compared"


def clock(work: Callable[[], object]) -> float:
    os.sync()
    forget_memory()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class Made(Everything):
    """Everything, with numbers that are there already."""

    given: dict[str, ShardCounts]

    def shards(self, *, with_days: bool = True) -> Iterator[dict[str, ShardCounts]]:  # noqa: ARG002 - as it is there
        yield self.given


def put(public: Path, numbers: Mapping[str, tuple[int, ...]], days: str) -> None:
    window = Window(DAYS, DAY)
    made = Made([], "bigquery", pl.LazyFrame(), {DAYS: window}, (DAYS,), HEADLINE_COLUMNS, frozenset(), ())
    by_shard: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, counts in numbers.items():
        by_shard.setdefault(shard_of(name), {})[name] = counts
    given = {
        key: ShardCounts(Shard("bigquery", HEADLINE_COLUMNS, (window,), (DAYS,), found), dict.fromkeys(found, days))
        for key, found in by_shard.items()
    }
    object.__setattr__(made, "given", given)
    failures = Failures()
    publish_everything(AllPackagesDir(public, SITE), made, 0, DAY, failures)
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
    for ago in range(DAYS):
        write_day(folder, names, DAY - timedelta(days=ago))
    times: dict[str, list[tuple[float, float]]] = {work: [] for work in COUNTING}
    # Each in a process of its own, which has what one has that is started for it, and in turn.
    for _ in range(PAIRS):
        for work in COUNTING:
            command = [sys.executable, "-m", __name__, work, str(folder)]
            told = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout
            seconds, megabytes, rows = map(float, told.split())
            times[work].append((seconds, megabytes))
    bare = [seconds for seconds, _ in times.pop("read")]
    what = f"{len(names):,} packages, 30 days of {rows / DAYS:,.0f} honest rows"
    for work, measured in times.items():
        ratios = [seconds / least for (seconds, _), least in zip(measured, bare, strict=True)]
        yield (
            f"{what}: {work} in {median(seconds for seconds, _ in measured):.1f} s, {median(ratios):.1f} times "
            f"({min(ratios):.1f} to {max(ratios):.1f}) the {median(bare):.2f} s of reading them; "
            f"{max(megabytes for _, megabytes in measured):,.0f} MB"
        )


def count(work: str, folder: Path) -> None:
    """Do one of COUNTING with the days in a folder; print its seconds, the most memory in MB, and the rows."""
    counts = pl.scan_parquet(sorted(folder.iterdir()))
    coverage = {DAY - timedelta(days=ago): Coverage({EVERYTHING: end_of(DAY)}) for ago in range(DAYS)}
    described = describe_everything(
        Days(counts, coverage), {EVERYTHING: (DAYS,)}, LOOK, CountOptions(DAY, "bigquery"), []
    )
    seconds = clock(partial(COUNTING[work], counts, described))
    print(seconds, most_memory(), counts.select(pl.len()).collect().item())


def read(counts: pl.LazyFrame, _: Everything) -> int:
    return counts.select("date", "package", "category", "downloads").collect(engine="streaming").height


def count_windows(_: pl.LazyFrame, described: Everything, *, with_days: bool) -> int:
    return sum(len(c.shard.packages) for shards in described.shards(with_days=with_days) for c in shards.values())


COUNTING: Mapping[str, Callable[[pl.LazyFrame, Everything], object]] = {
    "read": read,
    "windows": partial(count_windows, with_days=False),
    "windows and days": partial(count_windows, with_days=True),
}


BADGE_KINDS = (
    ("honest", "pip", "Linux"),
    ("honest", "uv", "Darwin"),
    ("mirror", "bandersnatch", None),
    ("ci", "pip", "Linux"),
)
SHARES = (100, 50, 20)
"""How many in a hundred packages have a first, a second and a third row on a day."""


def write_day(folder: Path, names: list[str], day: date) -> None:
    """Write a day of 1.7 rows a package: a few have millions of downloads, most have a handful."""
    packages, parts = pl.DataFrame({"package": names}), []
    for at, share in enumerate(SHARES):
        chance = pl.col("package").hash(10 * day.toordinal() + at)
        found = packages.filter(chance % 100 < share).select(
            pl.lit(day).alias("date"),
            "package",
            kind=(chance // 100 % len(BADGE_KINDS)).cast(pl.Int64),
            chance=chance // 1000 % 10**6,
        )
        told = pl.DataFrame(
            [(n, *kind) for n, kind in enumerate(BADGE_KINDS)],
            schema=["kind", "category", "installer", "system"],
            orient="row",
        )
        downloads = (((pl.col("chance") + 1) / 10**6) ** (-1 / 0.6)).cast(pl.Int64)
        parts.append(found.join(told, on="kind").with_columns(downloads=downloads).drop("kind", "chance"))
    # A column of HONEST_SCHEMA that has no value here is NULL.
    frame = (
        pl.concat([HONEST_SCHEMA.to_frame(), *parts], how="diagonal")
        .group_by(HONEST_SCHEMA.names()[:-1])
        .agg(pl.col("downloads").sum())
    )
    frame.sort(HONEST_SCHEMA.names()).write_parquet(folder / f"{day}.parquet")


def most_memory() -> float:
    """Return the most memory that this process has had since it was last forgotten, in MB."""
    return memory("VmHWM")


def memory(kind: str) -> float:
    with Path("/proc/self/status").open() as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(kind))


def forget_memory() -> None:
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    count(sys.argv[1], Path(sys.argv[2]))
