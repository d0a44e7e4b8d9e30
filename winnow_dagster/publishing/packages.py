"""Packages and groups that have a page: their record is the first file of each of their folders."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from winnow_dagster.core.days import Package
from winnow_dagster.core.window import keep_newest
from winnow_dagster.files.operations import read_if_there
from winnow_dagster.site.folder import format_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import date

    from winnow_dagster.files.paths import StorePath
    from winnow_dagster.site.site import SiteConfig


@dataclass(frozen=True)
class PackageRecord:
    """The numbers and days of a package or group."""

    root: StorePath
    """The web directory."""

    site: SiteConfig
    package: Package
    names: Sequence[str]
    """The folders of the package: its normalised name, and the name as the config spells it."""

    @property
    def source(self) -> str:
        """The kind of source that the numbers come from."""
        return self.package.state.source

    @property
    def as_of(self) -> set[date]:
        """The newest day of each window that has numbers, configured or not."""
        state = self.package.state
        return {w.counts.window.as_of for w in (*state.windows, *state.former) if w.counts}

    @property
    def place(self) -> StorePath:
        """The folder of the normalised name."""
        return self.root / self.package.state.package

    def keep_newest(self, published: PackageRecord) -> PackageRecord:
        """Return this with the published windows where they are newer, and with the published days that it lacks."""
        state = keep_newest(published.package.state, self.package.state)
        return replace(self, package=Package(state, self.package.history.keep(published.package.history)))

    def remove_sample(self, published: PackageRecord) -> None:
        """Remove nothing: a badge of sample data gives way to a placeholder."""

    def write(self) -> int:
        """Write nothing: each folder begins with the record."""
        return 0

    def folders(self, today: date) -> Iterator[tuple[StorePath, Callable[[], Mapping[str, bytes]]]]:
        """Yield each folder, with what returns its files as they read on `today`, the record first."""
        for name in self.names:
            read = partial(_read, self.root / name)
            yield self.root / name, partial(format_folder, self.site, self.package, today, read)


def _read(folder: StorePath, name: str) -> bytes | None:
    return read_if_there(folder / name)
