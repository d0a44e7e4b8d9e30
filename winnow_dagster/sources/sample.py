"""Made-up raw counts, with which to try Winnow without an account. Everything published from them says `sample`.

The same day and package always have the same counts. Each category has a plausible share.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, ClassVar

import polars as pl

from winnow_dagster.core.categories import RAW_SCHEMA, stored_schema
from winnow_dagster.core.coverage import BREAKDOWN_SCHEMA, ONE_DAY, Reading, describe_requests
from winnow_dagster.core.dimensions import USUAL_BREAKDOWNS
from winnow_dagster.sources.interface import Kind, SourceSection, SourceSettings
from winnow_dagster.sources.sample_values import Client, SampleValues

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from winnow_dagster.core.coverage import Failure, Request
    from winnow_dagster.core.names import Selector

logger = logging.getLogger(__name__)

Row = tuple[date, str, str | None, str | None, bool | None, int]
"""A raw count: date, package, installer, system, CI, downloads."""

SYSTEMS = (("Linux", 0.7), ("Darwin", 0.16), ("Windows", 0.13), ("FreeBSD", 0.01))

# The shares of a package's downloads by installer and CI, similar to those of popular packages.
INSTALLERS: tuple[tuple[str | None, bool | None, float], ...] = (
    ("pip", True, 0.26),
    ("uv", True, 0.09),
    ("pip", None, 0.34),
    ("uv", None, 0.12),
    ("poetry", None, 0.04),
    ("pdm", None, 0.01),
    ("pipenv", None, 0.004),
    ("pipx", None, 0.006),
    ("bandersnatch", None, 0.03),
    ("Nexus", None, 0.012),
    ("Artifactory", None, 0.008),
    ("Browser", None, 0.02),
    ("requests", None, 0.018),
    ("conda", None, 0.007),
    ("Homebrew", None, 0.002),
    (None, None, 0.03),
)
WITHOUT_SYSTEM = frozenset({"bandersnatch", "Nexus", "Artifactory", "Browser", "requests", "Homebrew", None})
PREFIX_MEMBERS = ("cli", "core", "extras")
ALL_PACKAGES = tuple(
    f"sample-{grain}"
    for grain in (
        "amaranth",
        "barley",
        "buckwheat",
        "maize",
        "millet",
        "oat",
        "quinoa",
        "rice",
        "rye",
        "spelt",
        "wheat",
    )
)
SATURDAY = 5
WEEKEND_SHARE = 0.6


class SampleSource:
    """Deterministic counts for any day and any package."""

    def read(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:
        """Answer each request at once."""
        for request in requests:
            logger.info("Sample data is made up for %s", describe_requests([request]))
            days = {(p, day): list(_day(p, day)) for p in _packages(request.selector) for day in request.days()}
            rows = [row for of_day in days.values() for row in of_day]
            counts = pl.DataFrame(rows, schema=stored_schema((), RAW_SCHEMA), orient="row")
            yield Reading(
                [request],
                pl.concat([RAW_SCHEMA.to_frame(), counts], how="diagonal"),
                breakdowns=_break_down(days, request.dimensions),
            )

    def recover(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:  # noqa: ARG002 - the interface's
        """Yield nothing: this source is free."""
        return iter(())

    def day_rows(self, first: date, last: date) -> Mapping[date, int]:
        """Return nothing: this source never has short days."""
        del first, last
        return {}

    def newest_day(self, today: date) -> date:
        """Return yesterday: there is a sample of every day."""
        return today - ONE_DAY


def _packages(selector: Selector) -> list[str]:
    if selector.is_all:
        return list(ALL_PACKAGES)
    return [selector.stem + member for member in PREFIX_MEMBERS] if selector.is_prefix else [selector.stem]


def _day(package: str, day: date) -> Iterator[Row]:
    """Yield the raw counts of one package on one day, without later dimensions."""
    # `random` hashes a text seed with SHA-512, so it is the same on every machine and in every process.
    usual = 10 ** random.Random(package).uniform(2.2, 4.3)  # noqa: S311 - sample data, no secret
    chance = random.Random(f"{package} {day}")  # noqa: S311 - as above
    busy = usual * (WEEKEND_SHARE if day.weekday() >= SATURDAY else 1) * chance.uniform(0.85, 1.15)
    for installer, ci, share in INSTALLERS:
        systems = ((None, 1.0),) if installer in WITHOUT_SYSTEM else (("Linux", 1.0),) if ci else SYSTEMS
        for system, part in systems:
            downloads = round(busy * share * part * chance.uniform(0.7, 1.3))
            if downloads:
                yield day, package, installer, system, ci, downloads


def _break_down(days: Mapping[tuple[str, date], Sequence[Row]], dimensions: Sequence[str]) -> pl.DataFrame:
    """Return the raw counts of these packages and days by open dimensions (BREAKDOWN_SCHEMA)."""
    columns: dict[str, list[object]] = {name: [] for name in BREAKDOWN_SCHEMA}
    sample = {package: SampleValues(package) for package, _ in days}
    for dimension in dimensions:
        for (package, day), rows in days.items():
            clients = [(Client(installer, system, ci), count) for _, _, installer, system, ci, count in rows]
            counts = sample[package].break_down(dimension, day, clients)
            for name, same in (("date", day), ("package", package), ("dimension", dimension)):
                columns[name] += [same] * len(counts)
            for value, installer, ci in counts:
                columns["value"].append(value)
                columns["installer"].append(installer)
                columns["ci"].append(ci)
            columns["downloads"] += counts.values()
    return pl.DataFrame(columns, schema=BREAKDOWN_SCHEMA)


@dataclass(frozen=True, kw_only=True)
class SampleSettings(SourceSettings):
    """The sample needs no settings."""

    kind: ClassVar[str] = "sample"


class SampleSection(SourceSection):
    """`source:` with `kind: sample`."""

    def resolve(self, folder: Path) -> SampleSettings:
        """Return the settings."""
        del folder
        return SampleSettings(settle_days=self.settle_days)


SAMPLE = Kind(
    name=SampleSettings.kind,
    section=SampleSection,
    open=lambda *_: SampleSource(),
    summary="made-up numbers, to try Winnow",
    usual_breakdowns=USUAL_BREAKDOWNS,
)
