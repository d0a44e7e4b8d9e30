"""The web directory: what is published of each package, replaced only by something at least as good (R5, R7)."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.days import Package
from winnow_dagster.core.names import GROUP_FOLDER
from winnow_dagster.core.window import keep_newest
from winnow_dagster.files.errors import SampleOverRealError
from winnow_dagster.files.operations import (
    Batch,
    StorageError,
    exists,
    list_names,
    read_ahead,
    read_if_there,
    remember_folders,
    remove_staged,
    replace_changed,
)
from winnow_dagster.files.paths import below
from winnow_dagster.publishing.all_packages import AllPackagesDir
from winnow_dagster.publishing.ownership import is_own_page
from winnow_dagster.site.folder import format_folder
from winnow_dagster.site.history import JSON_NAME, parse_json
from winnow_dagster.site.page import PAGE_NAME
from winnow_dagster.site.record import FILE_NAME, parse_record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import date

    from winnow_dagster.core.history import History
    from winnow_dagster.core.window import PackageState
    from winnow_dagster.files.operations import Failures
    from winnow_dagster.files.paths import StorePath
    from winnow_dagster.site.site import SiteConfig

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WebDir:
    """The directory that a web server serves.

    `spellings`: for a normalised name that the config spells otherwise, the folder of that spelling, which gets the
    same files.
    """

    folder: StorePath
    site: SiteConfig
    spellings: Mapping[str, str] = field(default_factory=dict)

    def read(self, package: str) -> PackageState | None:
        """Return what is published of a package; None where nothing is."""
        content = read_if_there(self.folder / package / FILE_NAME)
        return None if content is None else parse_record(content)

    def read_history(self, package: str) -> History:
        """Return the published days of a package; none where there are none."""
        return parse_json(read_if_there(self.folder / package / JSON_NAME))

    def read_ahead(self, packages: Iterable[str], suffix: str = ".json") -> None:
        """Let the files of packages whose names end so be read side by side, where each takes a request."""
        folders = (self.folder / name for name in packages)
        files = (folder / file for folder in folders for file in list_names(folder) if file.endswith(suffix))
        read_ahead(self.folder, files)

    def read_all(self) -> dict[str, PackageState]:
        """Return what is published in each folder of a package or group, by the folder, be it configured or not.

        What cannot be read is passed over with a warning: it must not take the others down.
        """
        names = sorted(self._folders())
        self.read_ahead(names, FILE_NAME)
        found: dict[str, PackageState] = {}
        for name in names:
            try:
                state = self.read(name)
            except StorageError as error:
                logger.warning("%s", error)
                continue
            if state is not None:
                found[name] = state
        return found

    def _folders(self) -> Iterator[str]:
        """Return the folders with a record."""
        wide = self.wide.names()
        for folder, prefix in ((self.folder, ""), (self.folder / GROUP_FOLDER, GROUP_FOLDER)):
            for name in list_names(folder):
                if name not in wide and exists(folder / name / FILE_NAME):
                    yield prefix + name

    def remember(self, packages: Iterable[str]) -> None:
        """Note which folders are published in full, with those of these packages, before they are. Raises StorageError.

        In a bucket it takes long to find them among a million folders of `*`.
        """
        names = {spelling for name in packages for spelling in (name, self.spellings.get(name, name))}
        remember_folders(self.folder, lambda: {name for name in (*self._folders(), *names) if "/" not in name})

    @cached_property
    def wide(self) -> AllPackagesDir:
        """What `*` fills of it."""
        return AllPackagesDir(self.folder, self.site)

    def publish(self, computed: Package, through: date, batch: Batch | None = None) -> int:
        """Publish a package, with `batch` if one is given, as it reads on the day after `through`.

        Returns how many files change.
        Each window keeps the newest counts of the published and the computed ones, and no day is taken back. Where
        something newer than `through` is published, an old day is being replayed: what is there stays as it is. Raises
        SampleOverRealError.
        """
        state, history = computed.state, computed.history
        published = self.read(state.package)
        if published:
            self.check_source(published, state.source)
            if (published.source == "sample") == (state.source == "sample"):
                history = history.keep(self.read_history(state.package))
        package = Package(keep_newest(published, state), history)
        # The spelling index.html would take the place of the page.
        names = {state.package, self.spellings.get(state.package, state.package)} - {PAGE_NAME}
        for name in names if published is None else ():
            self._refuse_page_of_others(self.folder / name)
        return sum(self._write(name, package, through, batch) for name in sorted(names))

    def _refuse_page_of_others(self, folder: StorePath) -> None:
        """Raise StorageError if a folder has a page that Winnow did not publish."""
        page = read_if_there(folder / PAGE_NAME)
        if page is not None and not is_own_page(page):
            raise StorageError(
                f"{folder / PAGE_NAME}: Winnow did not make this page, and does not replace it. Move it away, or "
                "choose another output_dir"
            )

    def refresh(self, through: date, published: Collection[str], failures: Failures) -> None:
        """Let all packages but those just published grow stale, and take note of `failures`.

        Packages, windows and spellings that are no longer configured are still shown where somebody put their badges.
        """
        batch = Batch(failures)
        fresh = {*published, *(self.spellings.get(name, name) for name in published)}
        found = self.read_all()
        self.read_ahead(name for name in found if name not in fresh)
        for name, state in found.items():
            if name not in fresh:
                with failures.collect():
                    self._write(name, Package(state, self.read_history(name)), through, batch)
        batch.put()
        self.wide.refresh(through, failures)

    def clean_up(self) -> None:
        """Remove what runs that died left half-written."""
        remove_staged(self.folder, self.wide.names())

    def _write(self, name: str, package: Package, through: date, batch: Batch | None) -> int:
        folder, state = self.folder / name, package.state
        files = format_folder(self.site, package, through + ONE_DAY, lambda file: read_if_there(folder / file))
        if any(w.counts and w.counts.window.as_of > through for w in (*state.windows, *state.former)):
            files = {file: content for file, content in files.items() if not exists(folder / file)}
        # The record first: it may name a day that the badges do not show yet, never the other way round.
        return batch.add(folder, files) if batch else replace_changed(folder, files)

    def check_source(self, published: PackageState, source: str) -> None:
        """Raise SampleOverRealError if `source` is sample and real numbers of the package are published."""
        if source == "sample" != published.source and any(w.counts for w in (*published.windows, *published.former)):
            raise SampleOverRealError(self.folder / published.package)

    def publish_files(self, files: Mapping[str, bytes]) -> int:
        """Publish files that span packages, by their paths below the directory; return how many changed."""
        folders: dict[StorePath, dict[str, bytes]] = {}
        for path, content in files.items():
            place = below(self.folder, path)
            folders.setdefault(place.parent, {})[place.name] = content
        return sum(replace_changed(folder, found) for folder, found in folders.items())
