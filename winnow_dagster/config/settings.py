"""What a sound config comes to: frozen values that everything else is built from. Reads no file."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import DEFAULT_STYLE, BadgeStyle
from winnow_dagster.core.days import PATIENCE_DAYS
from winnow_dagster.core.window import ALL
from winnow_dagster.sources.interface import SourceContext

if TYPE_CHECKING:
    from datetime import date

    from winnow_dagster.core.names import Group, Selector
    from winnow_dagster.files.paths import StorePath
    from winnow_dagster.sources.interface import SourceSettings

CONFIG_NAME = "winnow.yaml"
HOME_VARIABLE = "DAGSTER_HOME"
INSTANCE_FILE = "dagster.yaml"

IDS_FOLDER = "sites"
"""The folder in `data_dir` that has a file for each config."""


@dataclass(frozen=True)
class PackageSettings:
    """One selector, as the config spells it, its windows in days, the headline's first, and its badges' look."""

    selector: Selector
    spelling: str
    window_days: tuple[int, ...]
    look: BadgeStyle = DEFAULT_STYLE
    min_downloads: int = 0
    """From how many honest downloads over the headline's window on a selected package is published at all."""
    settle: bool = True
    """Whether days are read again once they have settled."""


@dataclass(frozen=True)
class GroupSettings:
    """One group, its windows in days, the headline's first, and its badges' look."""

    group: Group
    window_days: tuple[int, ...]
    look: BadgeStyle = DEFAULT_STYLE


@dataclass(frozen=True)
class Settings:
    """A sound config: paths are absolute, names normalised. `config_file` is None without a config."""

    config_file: Path | None
    folder: Path
    output_dir: StorePath
    data_dir: StorePath
    base_url: str
    stale_threshold_days: int
    source: SourceSettings
    packages: tuple[PackageSettings, ...]
    start_date: date
    groups: tuple[GroupSettings, ...] = ()
    credential_file: Path | None = None
    """A file with Google credentials, for buckets and for sources that need them."""

    budget_bytes: float | None = None
    """How much the source may bill in a month (UTC)."""

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
    def everything(self) -> PackageSettings | None:
        """What is said of `*`, if there is such an entry."""
        return next((package for package in self.packages if package.selector.is_all), None)

    @property
    def windows(self) -> dict[Selector, tuple[int, ...]]:
        """The lengths of each selector's windows in days, the headline's first, in the config's order."""
        return {package.selector: package.window_days for package in self.packages}

    @property
    def published_windows(self) -> dict[Selector | Group, tuple[int, ...]]:
        """As `windows`, with those of the groups after them: all that is published."""
        found: dict[Selector | Group, tuple[int, ...]] = {}
        found.update((package.selector, package.window_days) for package in self.packages)
        found.update((group.group, group.window_days) for group in self.groups)
        return found

    @property
    def looks(self) -> dict[str, BadgeStyle]:
        """How the badges of each selector and group look, by its text."""
        selectors = {str(package.selector): package.look for package in self.packages}
        return selectors | {str(group.group): group.look for group in self.groups}

    @property
    def longest_windows(self) -> dict[Selector, int]:
        """How many days have to be read of each selector: its longest window, or that of a group that it is in."""
        longest = {package.selector: _longest(package.window_days) for package in self.packages}
        for group in self.groups:
            for member in group.group.members:
                reader = max((s for s in longest if s.covers(member)), key=lambda s: (not s.is_prefix, len(s.stem)))
                longest[reader] = max(longest[reader], _longest(group.window_days))
        return longest

    @property
    def source_context(self) -> SourceContext:
        """What the source has to know of the rest of the config."""
        settling = frozenset(p.selector for p in self.packages if p.settle and self.source.settle_days)
        return SourceContext(
            data_dir=self.data_dir,
            local_dir=self.local_dir,
            credential_file=self.credential_file,
            windows=self.longest_windows,
            settling=settling,
            start_date=self.start_date,
            budget_bytes=self.budget_bytes,
        )

    @property
    def spellings(self) -> dict[str, str]:
        """How the config spells each package that it spells otherwise than normalised."""
        return {
            package.selector.stem: package.spelling
            for package in self.packages
            if not package.selector.is_prefix and package.spelling != package.selector.stem
        }

    @property
    def local_dir(self) -> Path:
        """The folder of what is nobody else's business: this machine's own history of runs, if it keeps one."""
        if isinstance(self.data_dir, Path):
            return self.data_dir
        beside = self.folder / "data"
        if os.access(beside if beside.exists() else self.folder, os.W_OK):
            return beside
        # Of this user and this config: a config that is mounted has no place beside it, as a ConfigMap has none.
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]
        return Path(tempfile.gettempdir()) / f"winnow-{os.getuid()}-{digest}"

    @property
    def default_home(self) -> Path:
        """The default folder of a user's Dagster instance."""
        return self.local_dir / "dagster"

    @property
    def store_folder(self) -> StorePath:
        """The folder of the stored days: one for each source, so that days of two never add up to one number."""
        if not self.source.variant:
            return self.data_dir / self.source.kind
        digest = hashlib.sha256(self.source.variant.encode()).hexdigest()[:8]
        return self.data_dir / f"{self.source.kind}-{digest}"


def _longest(window_days: tuple[int, ...]) -> int:
    """Return how many days have to be read for these windows; over all days, those in which a gap is filled."""
    return max(*window_days, PATIENCE_DAYS if ALL in window_days else 0)
