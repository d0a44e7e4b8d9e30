"""What a sound config comes to: frozen values that everything else is built from. Reads nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from winnow_dagster.core.cost import Figures

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from winnow_dagster.core.names import Selector

PUBLIC_TABLE = "bigquery-public-data.pypi.file_downloads"


@dataclass(frozen=True)
class BigQuerySettings:
    """How BigQuery is asked. `project` and `location` are empty where Google's defaults hold."""

    project: str = ""
    location: str = ""
    table: str = PUBLIC_TABLE
    strategy: str = "auto"
    parallel: int = 4
    deadline_seconds: int = 600
    maximum_bytes_billed_per_day: int = int(2 * Figures.scan_day_bytes)
    figures: Figures = field(default_factory=Figures)
    budget_bytes: float | None = None


@dataclass(frozen=True)
class SourceSettings:
    """Where raw counts come from. `path` (a file or a glob) is parquet's, `credential_file` BigQuery's."""

    kind: str
    path: str
    credential_file: Path | None
    settle_days: int
    table_or_files: str = ""
    """What tells two sources of one kind apart: the path as written, or the table if it is not the public one."""

    bigquery: BigQuerySettings = field(default_factory=BigQuerySettings)


@dataclass(frozen=True)
class PackageSettings:
    """One selector, as the config spells it, and its windows in days, the headline's first."""

    selector: Selector
    spelling: str
    window_days: tuple[int, ...]


@dataclass(frozen=True)
class Settings:
    """A sound config: paths are absolute, names normalised. `config_file` is None without a config."""

    config_file: Path | None
    folder: Path
    output_dir: Path
    data_dir: Path
    base_url: str
    stale_threshold_days: int
    source: SourceSettings
    packages: tuple[PackageSettings, ...]
    start_date: date
    schedule_enabled: bool = True
    schedule_hour: int = 3
    schedule_minute: int = 30
    keep_runs_days: int = 90
    alerts_webhook: str = field(default="", repr=False)

    @property
    def cron(self) -> str:
        """When the daily schedule ticks, in UTC, as cron writes it."""
        return f"{self.schedule_minute} {self.schedule_hour} * * *"

    @property
    def windows(self) -> dict[Selector, tuple[int, ...]]:
        """The lengths of each selector's windows in days, the headline's first, in the config's order."""
        return {package.selector: package.window_days for package in self.packages}

    @property
    def longest_windows(self) -> dict[Selector, int]:
        """The length of each selector's longest window in days."""
        return {package.selector: max(package.window_days) for package in self.packages}

    @property
    def spellings(self) -> dict[str, str]:
        """How the config spells each package that it spells otherwise than normalised."""
        return {
            package.selector.stem: package.spelling
            for package in self.packages
            if not package.selector.is_prefix and package.spelling != package.selector.stem
        }

    @property
    def store_folder(self) -> Path:
        """The folder of the stored days: one for each source, so that days of two never add up to one number."""
        if not self.source.table_or_files:
            return self.data_dir / self.source.kind
        digest = hashlib.sha256(self.source.table_or_files.encode()).hexdigest()[:8]
        return self.data_dir / f"{self.source.kind}-{digest}"
