"""Dagster's share of a daily collect of 500 packages, whole process: the same assets and checks, with empty bodies."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import wraps
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl

from tests.benchmarks.daily import DAY, collect, export, write_config

PACKAGES = 500
AGAIN = 3
BODIES = "WINNOW_BENCHMARK_BODIES"
"""What becomes of the bodies: `empty`; else, the file that takes for how many seconds they had the process."""


def run() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent)
        export(folder / "exports", PACKAGES)
        write_config(folder, PACKAGES)
        collect(folder, DAY - timedelta(days=1))
        shares, empties = [], []
        for n in range(AGAIN):
            copy = folder.with_name(f"{folder.name}-{n}")
            with _removed(copy):
                shutil.copytree(folder, copy)
                with _bodies(str(copy / "seconds")):
                    full, _ = collect(copy, DAY, "tests.benchmarks.share")
                shares.append(full - float((copy / "seconds").read_text()))
                empty, megabytes = _empty(copy)
                empties.append(empty)
        least, _ = min(_one(folder / str(n)) for n in range(AGAIN))
    ratio = median(share / empty for share, empty in zip(shares, empties, strict=True))
    each = (median(empties) - least) / (PACKAGES - 1) * 1000
    yield f"{PACKAGES} packages: {full:.1f} s, of which Dagster's are {median(shares):.1f} s"
    yield f"with empty bodies: {median(empties):.1f} s, {megabytes:.0f} MB; the share is {ratio:.2f} times that"
    yield f"of the empty one, a package takes {each:.1f} ms, and the rest {least:.1f} s"


@contextlib.contextmanager
def _removed(folder: Path) -> Iterator[None]:
    try:
        yield
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def _bodies(become: str) -> Iterator[None]:
    os.environ[BODIES] = become
    try:
        yield
    finally:
        del os.environ[BODIES]


def _empty(folder: Path) -> tuple[float, float]:
    with _bodies("empty"):
        return collect(folder, DAY, "tests.benchmarks.share")


def _one(folder: Path) -> tuple[float, float]:
    """Collect nothing of one package, with a history of runs of its own."""
    folder.mkdir()
    write_config(folder, 1)
    _empty(folder)
    return _empty(folder)


def _replace_bodies(replaced: Callable[[Callable[..., Any], Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace all of Winnow that Dagster calls, given what it would return where there is nothing."""
    from winnow_dagster.core.categories import RAW_SCHEMA  # noqa: PLC0415
    from winnow_dagster.core.days import Days  # noqa: PLC0415
    from winnow_dagster.core.everything import PackagesBySelector  # noqa: PLC0415
    from winnow_dagster.core.planning import Gap  # noqa: PLC0415 - what is replaced is imported when it is timed
    from winnow_dagster.core.verdicts import Verdict  # noqa: PLC0415
    from winnow_dagster.defs import checks, io_managers  # noqa: PLC0415
    from winnow_dagster.defs.resources import Installation  # noqa: PLC0415

    none = Days(pl.LazyFrame(schema=RAW_SCHEMA), {})
    for manager, loaded in (
        (io_managers.RawDaysIO, none),
        (io_managers.HonestDaysIO, none),
        (io_managers.BadgesIO, {}),
        (io_managers.SiteIO, {}),
    ):
        manager.handle_output = replaced(lambda *_: None, manager.handle_output)  # type: ignore[method-assign]
        manager.load_input = replaced(lambda *_, loaded=loaded: loaded, manager.load_input)  # type: ignore[method-assign]
    methods: dict[str, Callable[..., Any]] = {
        "gaps": lambda _, selectors: [Gap(DAY, DAY, tuple(selectors))],
        "packages": lambda _, keys: PackagesBySelector({key: [] for key in keys}),
        "published": lambda _: {},
        "site_files": lambda *_: {},
        "rows": lambda *_: [],
        "missing": lambda *_: {},
        "refuse_sample_over_real": lambda _: None,
    }
    for name, value in methods.items():
        setattr(Installation, name, replaced(value, getattr(Installation, name)))
    nothing: Callable[[Installation], Verdict] = lambda _: Verdict({}, 0)  # noqa: E731
    changed = tuple(replace(check, judge=replaced(nothing, check.judge)) for check in checks.CHECKS)
    checks.CHECKS = changed  # type: ignore[assignment]


@dataclass
class Clock:
    """Tells for how long bodies had the process, without what they asked of Dagster."""

    is_ours: bool = False
    since: float = 0.0
    seconds: float = 0.0

    def giving(self, body: Callable[..., Any], *, to_us: bool = True) -> Callable[..., Any]:
        """Return a body that is timed, or one of Dagster's within it that is not."""

        @wraps(body)
        def timed(*args: object, **kwargs: object) -> object:
            before = self.is_ours
            self._turn(to_us=to_us)
            try:
                return body(*args, **kwargs)
            finally:
                self._turn(to_us=before)

        return timed

    def _turn(self, *, to_us: bool) -> None:
        now = time.perf_counter()
        self.seconds += (now - self.since) * self.is_ours
        self.is_ours, self.since = to_us, now


def main() -> None:
    """Run `winnow` with empty bodies, or with a clock on them."""
    from winnow_dagster import cli  # noqa: PLC0415 - see above
    from winnow_dagster.defs import io_managers  # noqa: PLC0415
    from winnow_dagster.report.result import Report  # noqa: PLC0415

    clock = Clock()
    if os.environ[BODIES] == "empty":
        _replace_bodies(lambda empty, _: empty)
    else:
        _replace_bodies(lambda _, body: clock.giving(body))
        io_managers._note = clock.giving(io_managers._note, to_us=False)  # noqa: SLF001 - it is all Dagster's
        # Of the empty one there is nothing to print.
        Report.print = clock.giving(Report.print)  # type: ignore[method-assign]
        atexit.register(lambda: Path(os.environ[BODIES]).write_text(str(clock.seconds)))
    cli.main()


if __name__ == "__main__":
    main()
