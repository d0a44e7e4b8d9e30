"""The settings: frozen values that a valid config resolves to. Reads no file."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import DEFAULT_STYLE, BadgeStyle
from winnow_dagster.core.breakdowns import group_dimensions
from winnow_dagster.core.coverage import days_between
from winnow_dagster.core.days import MAX_WAIT_DAYS
from winnow_dagster.core.dimensions import in_order
from winnow_dagster.core.window import ALL, Window
from winnow_dagster.files.paths import local_path
from winnow_dagster.sources.interface import SourceContext

if TYPE_CHECKING:
    from collections.abc import Mapping
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
    """One entry of `packages:`. `window_days` has the headline's window first."""

    selector: Selector
    spelling: str
    window_days: tuple[int, ...]
    style: BadgeStyle = DEFAULT_STYLE
    min_downloads: int = 0
    """Packages with fewer honest downloads over the headline's window are not published."""

    settle: bool = True
    """Whether Winnow re-reads days once they have settled."""

    breakdowns: tuple[str, ...] = ()
    """The names of the open dimensions by which Winnow breaks its downloads down."""

    repository: str = ""
    """The address of its source code, to which its page links."""


@dataclass(frozen=True)
class GroupSettings:
    """One entry of `groups:`. `window_days` has the headline's window first."""

    group: Group
    window_days: tuple[int, ...]
    style: BadgeStyle = DEFAULT_STYLE
    repository: str = ""


@dataclass(frozen=True)
class Placement:
    """The place of an installation in a Dagster project, which may have other assets too."""

    key_prefix: tuple[str, ...] = ()
    """What the key of each asset begins with, and the name of each job, schedule, sensor, resource and pool."""

    group_prefix: str | None = None
    """What the name of each group begins with; None for the key prefix."""

    owners: tuple[str, ...] = ("team:maintainers",)
    tags: Mapping[str, str] = field(default_factory=dict)
    is_automated: bool = True
    """Whether Winnow's schedules, sensors and conditions are part of the definitions."""


@dataclass(frozen=True)
class Settings:
    """A valid config, with absolute paths and normalised names. `config_file` is None without a config."""

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
    alerts_webhook_env: str = ""
    """The environment variable with the address of the webhook, if the config does not hold the address itself."""

    placement: Placement = Placement()

    @property
    def has_alerts(self) -> bool:
        """Whether Winnow reports failed runs and checks to a webhook."""
        return bool(self.alerts_webhook or self.alerts_webhook_env)

    @property
    def cron(self) -> str:
        """The cron expression of the daily schedule, in UTC."""
        return f"{self.schedule_minute} {self.schedule_hour} * * *"

    @property
    def everything(self) -> PackageSettings | None:
        """The entry `*`; None without one."""
        return next((package for package in self.packages if package.selector.is_all), None)

    @property
    def windows(self) -> dict[Selector, tuple[int, ...]]:
        """Each selector's window lengths in days, in the config's order. The headline's window is first."""
        return {package.selector: package.window_days for package in self.packages}

    @property
    def published_windows(self) -> dict[Selector | Group, tuple[int, ...]]:
        """The window lengths of all selectors, then of all groups."""
        found: dict[Selector | Group, tuple[int, ...]] = {}
        found.update((package.selector, package.window_days) for package in self.packages)
        found.update((group.group, group.window_days) for group in self.groups)
        return found

    @property
    def styles(self) -> dict[str, BadgeStyle]:
        """The badge style of each selector and group, by its text."""
        selectors = {str(package.selector): package.style for package in self.packages}
        return selectors | {str(group.group): group.style for group in self.groups}

    @property
    def repositories(self) -> dict[str, str]:
        """The address of the source code of each selector and group that has one, by its text."""
        selectors = {str(package.selector): package.repository for package in self.packages}
        found = selectors | {str(group.group): group.repository for group in self.groups}
        return {text: address for text, address in found.items() if address}

    @property
    def longest_windows(self) -> dict[Selector, int]:
        """The number of days that each selector needs: its longest window, or that of a group that it belongs to."""
        longest = {package.selector: _longest(package.window_days) for package in self.packages}
        for group in self.groups:
            for member in group.group.members:
                reader = max((s for s in longest if s.covers(member)), key=lambda s: (not s.is_prefix, len(s.stem)))
                longest[reader] = max(longest[reader], _longest(group.window_days))
        return longest

    def days_of_longest_window(self, through: date, *, weeks_before: int = 0) -> list[date]:
        """Return the days of the longest window up to `through`, oldest first, with `weeks_before` more weeks."""
        window = Window(max(self.longest_windows.values()) + 7 * weeks_before, through)
        return [day for day in days_between(window.first_day, through) if day >= self.start_date]

    @property
    def breakdowns(self) -> dict[str, tuple[str, ...]]:
        """The open dimensions that each selector and group publishes, by its text.

        A group adds up what is known of all its members.
        """
        found = {str(package.selector): package.breakdowns for package in self.packages}
        for group in self.groups:
            read = [
                set(package.breakdowns)
                for package in self.packages
                if any(package.selector.covers(m) or m.covers(package.selector) for m in group.group.members)
                and not package.selector.is_all
            ]
            found[str(group.group)] = group_dimensions(set.intersection(*read) if read else ())
        return found

    @property
    def dimensions(self) -> dict[Selector, tuple[str, ...]]:
        """The open dimensions that Winnow reads for each selector.

        Entries of which one selects packages of the other have the same ones, so that no reading of one lacks what
        another has. `*` has its own.
        """
        found = {package.selector: package.breakdowns for package in self.packages}
        for package in self.packages:
            if package.selector.is_prefix and not package.selector.is_all:
                inner = [selector for selector in found if package.selector.covers(selector)]
                names = in_order(name for selector in inner for name in found[selector])
                found |= dict.fromkeys(inner, names)
        return {selector: names for selector, names in found.items() if names}

    @property
    def source_context(self) -> SourceContext:
        """The values of the rest of the config that the source needs."""
        settling = frozenset(p.selector for p in self.packages if p.settle and self.source.settle_days)
        return SourceContext(
            data_dir=self.data_dir,
            local_dir=self.local_dir,
            credential_file=self.credential_file,
            windows=self.longest_windows,
            settling=settling,
            start_date=self.start_date,
            budget_bytes=self.budget_bytes,
            dimensions=self.dimensions,
        )

    @property
    def spellings(self) -> dict[str, str]:
        """The config's spelling of each package whose spelling is not the normalised name."""
        return {
            package.selector.stem: package.spelling
            for package in self.packages
            if not package.selector.is_prefix and package.spelling != package.selector.stem
        }

    @property
    def local_dir(self) -> Path:
        """The folder for files of this machine only, such as its own history of runs."""
        if folder := local_path(self.data_dir):
            return folder
        beside = self.folder / "data"
        if os.access(beside if beside.exists() else self.folder, os.W_OK):
            return beside
        # Next to a mounted config, such as a ConfigMap, nothing can be written.
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]
        return Path(tempfile.gettempdir()) / f"winnow-{os.getuid()}-{digest}"

    @property
    def default_home(self) -> Path:
        """The default folder of a user's Dagster instance."""
        return self.local_dir / "dagster"

    @property
    def store_folder(self) -> StorePath:
        """The folder of the stored days. Each source has its own, so that no number mixes days of two sources."""
        if not self.source.variant:
            return self.data_dir / self.source.kind
        digest = hashlib.sha256(self.source.variant.encode()).hexdigest()[:8]
        return self.data_dir / f"{self.source.kind}-{digest}"


def _longest(window_days: tuple[int, ...]) -> int:
    """Return how many days these windows need. A window over all days needs those in which Winnow fills gaps."""
    return max(*window_days, MAX_WAIT_DAYS if ALL in window_days else 0)
