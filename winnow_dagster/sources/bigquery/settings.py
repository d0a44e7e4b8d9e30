"""The section `source:` with `kind: bigquery`, and the settings that it resolves to."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from winnow_dagster.core.billing import GB, MB
from winnow_dagster.core.masking import shown
from winnow_dagster.fields import LocalPath, Number, Section, Text, Whole, invalid
from winnow_dagster.sources.bigquery.billing import Figures
from winnow_dagster.sources.interface import SourceSection, SourceSettings

if TYPE_CHECKING:
    from pathlib import Path

EMULATOR_VARIABLE = "BIGQUERY_EMULATOR_HOST"
PUBLIC_TABLE = "bigquery-public-data.pypi.file_downloads"


@dataclass(frozen=True, kw_only=True)
class BigQuerySettings(SourceSettings):
    """The settings of BigQuery. An empty `project` or `location` means Google's default."""

    kind: ClassVar[str] = "bigquery"
    project: str = ""
    location: str = ""
    table: str = PUBLIC_TABLE
    strategy: str = "auto"
    parallel: int = 12
    deadline_seconds: int = 600
    maximum_bytes_billed_per_day: int | None = None
    """The user's cap for each day of a query. None: Winnow derives the cap from the query's columns."""

    figures: Figures = field(default_factory=Figures)

    @property
    def variant(self) -> str:
        """The table, unless it is the public one."""
        return "" if self.table == PUBLIC_TABLE else self.table


def _check_project(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9.:-]*[a-z0-9-]+", value):
        raise invalid(f"{shown(value)} is not a Google Cloud project. Use its id, such as my-project-123")
    return value


def _check_table(value: str) -> str:
    # The name goes into the query's text, where BigQuery accepts no parameter.
    if not re.fullmatch(r"[a-z0-9.:-]*[a-z0-9-]+\.[A-Za-z0-9_]+\.[A-Za-z0-9_$-]+", value):
        raise invalid(f"{shown(value)} is not a table. Write it as project.dataset.table")
    return value


class FiguresSection(Section):
    """`source.figures:`: BigQuery's sizes and prices. `Figures` says where they come from.

    Sizes are for days since PyPI's change of its log.
    """

    package_day_mb: Annotated[Number, Field(gt=0)] = Figures.package_day_bytes / MB
    """The megabytes that a day of one package bills, without breakdowns."""

    scan_day_gb: Annotated[Number, Field(gt=0)] = Figures.scan_day_bytes / GB
    """The gigabytes that a whole day of the table bills, without breakdowns."""

    usd_per_tib: Annotated[Number, Field(ge=0)] = Figures.usd_per_tib
    """The price of a TiB."""

    free_tib_per_month: Annotated[Number, Field(ge=0)] = Figures.free_tib_per_month
    """The TiB that are free each month."""

    def resolve(self) -> Figures:
        """Return the figures in bytes."""
        return Figures(
            package_day_bytes=self.package_day_mb * MB,
            scan_day_bytes=self.scan_day_gb * GB,
            usd_per_tib=self.usd_per_tib,
            free_tib_per_month=self.free_tib_per_month,
        )


class BigQuerySection(SourceSection):
    """`source:` with `kind: bigquery`."""

    location_keys: ClassVar[frozenset[str]] = frozenset({"table"})

    credential_file: LocalPath = ""
    """A JSON file with Google credentials.

    By default $GCP_CREDENTIALS (the file in base64), else $GOOGLE_APPLICATION_CREDENTIALS (its path), else the
    machine's own.
    """

    project: Annotated[Text, AfterValidator(_check_project)] = ""
    """The project that pays for the queries. By default $GOOGLE_CLOUD_PROJECT, else the project of the credentials."""

    location: Text = ""
    """The location of the table's dataset. By default BigQuery finds it."""

    table: Annotated[Text, AfterValidator(_check_table)] = PUBLIC_TABLE
    """A table with the schema of the public one."""

    strategy: Literal["auto", "per_package", "batched", "scan"] = "auto"
    """How Winnow asks: a query per package, one for a batch of packages, or a scan of whole days.

    `auto` takes the cheapest.
    """

    parallel: Annotated[Whole, Field(ge=1, le=50)] = 12
    """How many queries run at a time."""

    deadline_seconds: Annotated[Whole, Field(ge=1, le=21_600)] = 600
    """After this many seconds Winnow cancels a query."""

    # None: Winnow derives the cap from a query's columns. The user's cap applies to every day.
    maximum_bytes_billed_per_day: Annotated[Whole, Field(ge=1)] | None = None
    """The cap for each day of a query. By default Winnow derives it from the columns that it reads."""

    figures: FiguresSection = FiguresSection()
    """The sizes and prices that `winnow estimate` uses until the ledger has real ones."""

    @property
    def key_file(self) -> str:
        """The path of the credential file, as written; empty without one."""
        return self.credential_file

    def resolve(self, folder: Path) -> BigQuerySettings:
        """Return the settings."""
        del folder
        return BigQuerySettings(
            settle_days=self.settle_days,
            project=self.project,
            location=self.location,
            table=self.table,
            strategy=self.strategy,
            parallel=self.parallel,
            deadline_seconds=self.deadline_seconds,
            maximum_bytes_billed_per_day=self.maximum_bytes_billed_per_day,
            figures=self.figures.resolve(),
        )
