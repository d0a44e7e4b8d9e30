"""Dagster's share of a daily collect of 500 packages, whole process: the same assets and checks, with empty bodies."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl

from tests.benchmarks.daily import DAY, collect, export, write_config

PACKAGES = 500
AGAIN = 3


def run() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent)
        export(folder / "exports", PACKAGES)
        write_config(folder, PACKAGES)
        collect(folder, DAY - timedelta(days=1))
        full, _ = collect(folder, DAY)
        empty, megabytes = min(collect(folder, DAY, "tests.benchmarks.share") for _ in range(AGAIN))
        least, _ = min(_one(folder / str(n)) for n in range(AGAIN))
    each = (empty - least) / (PACKAGES - 1) * 1000
    yield f"{PACKAGES} packages: {full:.1f} s; empty: {empty:.1f} s, {megabytes:.0f} MB; {full / empty:.1f} times"
    yield f"of the empty one, a package takes {each:.1f} ms, and the rest {least:.1f} s"


def _one(folder: Path) -> tuple[float, float]:
    """Collect nothing of one package, with a history of runs of its own."""
    folder.mkdir()
    write_config(folder, 1)
    collect(folder, DAY, "tests.benchmarks.share")
    return collect(folder, DAY, "tests.benchmarks.share")


def _empty_the_bodies() -> None:
    """Let all that Dagster calls return at once: what is left is Dagster's, and the process's own start."""
    from dataclasses import replace  # noqa: PLC0415 - what is emptied is imported when it is timed

    from winnow_dagster.core.coverage import Gap  # noqa: PLC0415
    from winnow_dagster.core.days import Days  # noqa: PLC0415
    from winnow_dagster.core.everything import Described  # noqa: PLC0415
    from winnow_dagster.core.honesty import RAW_SCHEMA  # noqa: PLC0415
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
        manager.handle_output = lambda *_: None  # type: ignore[method-assign]
        manager.load_input = lambda *_, loaded=loaded: loaded  # type: ignore[method-assign]
    for name, value in {
        "gaps": lambda _, selectors: [Gap(DAY, DAY, tuple(selectors))],
        "packages": lambda _, keys: Described({key: [] for key in keys}),
        "published": lambda _: {},
        "site_files": lambda *_: {},
        "rows": lambda *_: [],
        "missing": lambda *_: {},
        "refuse_sample_over_real": lambda _: None,
    }.items():
        setattr(Installation, name, value)
    passing = tuple(replace(check, judge=lambda _: Verdict({}, 0)) for check in checks.CHECKS)
    checks.CHECKS = passing  # type: ignore[assignment]


if __name__ == "__main__":
    from winnow_dagster.cli import main

    _empty_the_bodies()
    sys.exit(main())
