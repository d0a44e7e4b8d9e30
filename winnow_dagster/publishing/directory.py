"""The web directory: read and replace the published files of packages, prefixes, groups and `*`."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, partial
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import is_number, parse_file_name
from winnow_dagster.core.days import Package
from winnow_dagster.core.everything import Everything
from winnow_dagster.core.history import History
from winnow_dagster.core.names import GROUP_FOLDER
from winnow_dagster.core.window import PackageState
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
from winnow_dagster.publishing.all_packages import AllPackagesDir
from winnow_dagster.publishing.ownership import is_own_page
from winnow_dagster.publishing.publication import Publication, refuse_sample_over_real
from winnow_dagster.publishing.shards import publish_everything, refresh_everything
from winnow_dagster.site.breakdown_files import BREAKDOWN_FILES, parse_breakdowns
from winnow_dagster.site.breakdown_files import JSON_NAME as BREAKDOWNS_NAME
from winnow_dagster.site.compare_page import COMPARE_NAME
from winnow_dagster.site.discovery import ROOT_NAMES, may_replace_file
from winnow_dagster.site.folder import FILES_BESIDE_BADGES, format_folder
from winnow_dagster.site.history import JSON_NAME, parse_json, parse_source
from winnow_dagster.site.page import PAGE_NAME
from winnow_dagster.site.record import RECORD_NAME, parse_payload, parse_record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from winnow_dagster.files.operations import Failures
    from winnow_dagster.files.paths import StorePath
    from winnow_dagster.site.breakdown_files import PublishedBreakdowns
    from winnow_dagster.site.site import SiteConfig

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WebDir:
    """The directory that a web server serves."""

    folder: StorePath
    site: SiteConfig
    spellings: Mapping[str, str] = field(default_factory=dict)
    """The config's spelling by normalised name, if the two differ. A folder of that name gets the same files."""

    @cached_property
    def all_packages(self) -> AllPackagesDir:
        """The part of the directory for `*`."""
        return AllPackagesDir(self.folder, self.site)

    def read(self, package: str) -> PackageState | None:
        """Return the published state of a package; None without one."""
        content = read_if_there(self.folder / package / RECORD_NAME)
        return None if content is None else parse_record(content)

    def read_history(self, package: str) -> History:
        """Return the published history of a package, which may be empty."""
        return parse_json(read_if_there(self.folder / package / JSON_NAME))

    def read_breakdowns(self, package: str) -> PublishedBreakdowns:
        """Return the published breakdowns of a package, which may be empty."""
        return parse_breakdowns(read_if_there(self.folder / package / BREAKDOWNS_NAME))

    def read_all(self) -> dict[str, PackageState]:
        """Return the published state of each folder of a package or group, configured or not.

        Logs a warning for an unreadable record, and skips it.
        """
        names = sorted(self._folders())
        self.read_ahead(names, RECORD_NAME)
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
        """Yield the folders with a record. Skip the folders of `*`: they have none, and there may be a million."""
        of_all = self.all_packages.names()
        for folder, prefix in ((self.folder, ""), (self.folder / GROUP_FOLDER, GROUP_FOLDER)):
            for name in list_names(folder):
                if name not in of_all and exists(folder / name / RECORD_NAME):
                    yield prefix + name

    def read_ahead(self, packages: Iterable[str], suffix: str | tuple[str, ...] = (".json", *BREAKDOWN_FILES)) -> None:
        """In a bucket, download the packages' files with these suffixes in parallel.

        By default, download the files that a publication merges with.
        """
        folders = (self.folder / name for name in packages)
        files = (folder / file for folder in folders for file in list_names(folder) if file.endswith(suffix))
        read_ahead(self.folder, files)

    def _remember(self, packages: Iterable[str]) -> None:
        """Store the names of the folders with a record, and of these packages' folders. Raises StorageError.

        Otherwise, in a bucket, Winnow would have to find them among a million folders of `*`.
        """
        names = {folder for package in packages for folder in self._names(package)}
        remember_folders(self.folder, lambda: {name for name in (*self._folders(), *names) if "/" not in name})

    def refuse_sample_over_real(self, source: str) -> None:
        """Raise SampleOverRealError if `source` is the sample source and any real number is published."""
        self.all_packages.refuse_sample_over_real(source)
        published = self.read_all()
        for state in published.values():
            self._refuse_sample(source, Package(state, History.empty()))
        if source == "sample":
            for name in {folder for package in self.site.styles for folder in self._names(package)} - published.keys():
                self._refuse_sample_over_badges(self.folder / name)

    def _refuse_sample_over_badges(self, folder: StorePath) -> None:
        """Raise SampleOverRealError if a folder has a real number without a record, as of pypi-winnow-downloads."""
        for file in list_names(folder):
            is_badge = file.endswith(".json") and parse_file_name(file)
            if is_badge and is_number(parse_payload(read_if_there(folder / file))):
                raise SampleOverRealError(folder / file)

    def _refuse_sample(self, source: str, published: Package) -> None:
        if published.as_of:
            refuse_sample_over_real(source, published.source, self.folder / published.state.package)

    def publish(
        self, found: Mapping[str, list[Package] | Everything], min_downloads: int, through: date, failures: Failures
    ) -> dict[str, int]:
        """Publish the packages of each selector and group, and return how many files each changes.

        All other folders grow stale. Badges read as on the day after `through`. `*` publishes packages with at least
        `min_downloads`. `failures` collects the errors of writing. Raises SampleOverRealError.
        """
        in_full = {key: packages_in_full(packages) for key, packages in found.items()}
        names = [package.state.package for packages in in_full.values() for package in packages]
        self._remember(names)
        self.all_packages.remove_packages_with_entries(failures)
        publication = Publication(through, failures, Batch(failures))
        self.read_ahead(names)
        changed: dict[str, int] = {}
        for key, packages in in_full.items():
            before = publication.changed
            for package in packages:
                with failures.collect():
                    self._publish(package, publication)
            changed[key] = publication.changed - before
        self._refresh({name for package in names for name in self._names(package)}, publication, failures)
        publication.flush()
        for key, described in found.items():
            if isinstance(described, Everything):
                with failures.collect():
                    changed[key] += publish_everything(self.all_packages, described, min_downloads, through, failures)
        with failures.collect():
            refresh_everything(self.all_packages, through, failures)
        return changed

    def _publish(self, package: Package, publication: Publication) -> None:
        name = package.state.package
        state, folders = self.read(name), sorted(self._names(name))
        published = Package(state, self.read_history(name)) if state else self._without_record(package, folders)
        if published:
            self._refuse_sample(package.source, published)
        if newest := publication.newest(package, published):
            self._write(newest, folders, publication)

    def _without_record(self, package: Package, folders: Collection[str]) -> Package | None:
        """Return what is published of a package whose record is missing or damaged; None if that is nothing.

        Raises StorageError for files that Winnow did not make, and if the published days are newer than the package.
        """
        for folder in folders:
            _refuse_files_of_others(self.folder / folder)
        place = self.folder / package.state.package
        source, history = parse_source(read_if_there(place / JSON_NAME)), self.read_history(package.state.package)
        if not source or history.last is None:
            return None
        if history.last > max(package.as_of, default=date.min):
            raise StorageError(
                f"{place / RECORD_NAME}: is damaged or missing, and Winnow has not read the published days up to "
                f"{history.last}. Restore the file, or remove {place}"
            )
        return Package(PackageState(package.state.package, source, ()), history)

    def _refresh(self, fresh: Collection[str], publication: Publication, failures: Failures) -> None:
        """Redraw every folder that is not in `fresh`, configured or not, so that its badges grow stale."""
        left = {name: state for name, state in self.read_all().items() if name not in fresh}
        self.read_ahead(left)
        for name, state in left.items():
            with failures.collect():
                package = Package(state, self.read_history(name))
                if not publication.is_replay(package.as_of):
                    self._write(package, [name], publication)

    def _write(self, package: Package, names: Collection[str], publication: Publication) -> None:
        """Write the folders with these names. The record is the first file of each."""
        folders = [self.folder / name for name in names]
        publication.write(
            (folder, partial(format_folder, self.site, package, publication.today, partial(_read, folder)))
            for folder in folders
        )

    def _names(self, package: str) -> set[str]:
        """Return the names of a package's folders. A folder `index.html` or `404.html` would replace the page."""
        return {package, self.spellings.get(package, package)} - {PAGE_NAME, COMPARE_NAME, *ROOT_NAMES}

    def clean_up(self) -> None:
        """Remove the half-written files of dead runs."""
        remove_staged(self.folder, self.all_packages.names())

    def publish_files(self, files: Mapping[str, bytes]) -> int:
        """Publish files that span packages, keyed by their paths below the directory; return how many changed.

        A file such as robots.txt stays as it is if it is the user's own. Raises StorageError, also for a page
        `compare.html` that Winnow did not make.
        """
        if COMPARE_NAME in files:
            _refuse_page_of_others(self.folder / COMPARE_NAME)
        folders: dict[StorePath, dict[str, bytes]] = {}
        for path, content in files.items():
            place = self.folder / path
            if path not in ROOT_NAMES or may_replace_file(read_if_there(place)):
                folders.setdefault(place.parent, {})[place.name] = content
        return sum(replace_changed(folder, found) for folder, found in folders.items())


def packages_in_full(found: list[Package] | Everything) -> list[Package]:
    """Return the packages of a selector that have a page."""
    return found.packages if isinstance(found, Everything) else found


def _read(folder: StorePath, name: str) -> bytes | None:
    return read_if_there(folder / name)


def _refuse_files_of_others(folder: StorePath) -> None:
    """Raise StorageError if a folder has files beside its badges that Winnow did not publish."""
    _refuse_page_of_others(folder / PAGE_NAME)
    names = {*FILES_BESIDE_BADGES, *BREAKDOWN_FILES}.intersection(list_names(folder))
    # `*` publishes a history without a page.
    if PAGE_NAME in names or (JSON_NAME in names and parse_json(read_if_there(folder / JSON_NAME)).days):
        return
    if names:
        raise StorageError(
            f"{folder / min(names)}: Winnow did not make this file, and does not replace it. Move it away, or choose "
            "another output_dir"
        )


def _refuse_page_of_others(place: StorePath) -> None:
    """Raise StorageError if there is a page that Winnow did not publish."""
    page = read_if_there(place)
    if page is not None and not is_own_page(page):
        raise StorageError(
            f"{place}: Winnow did not make this page, and does not replace it. Move it away, or choose another "
            "output_dir"
        )
