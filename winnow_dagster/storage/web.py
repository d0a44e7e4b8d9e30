"""The web directory: what is published of each package, replaced only by something at least as good (R5, R7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import badges_of, may_replace
from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.window import keep_newest
from winnow_dagster.site.record import FILE_NAME, format_record, parse_payload, parse_record, to_json
from winnow_dagster.storage.files import read_if_there, replace_changed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date
    from pathlib import Path

    from winnow_dagster.core.badge import Badge
    from winnow_dagster.core.window import PackageState


PAGE_NAME = "index.html"


class SampleOverRealError(Exception):
    """Sample data was about to take the place of real numbers."""


@dataclass(frozen=True)
class WebDir:
    """The directory that a web server serves.

    `spellings`: for a normalised name that the config spells otherwise, the folder of that spelling, which gets the
    same files.
    """

    folder: Path
    stale_threshold_days: int
    spellings: Mapping[str, str] = field(default_factory=dict)

    def read(self, package: str) -> PackageState | None:
        """Return what is published of a package; None where nothing is."""
        content = read_if_there(self.folder / package / FILE_NAME)
        return None if content is None else parse_record(content)

    def read_all(self) -> dict[str, PackageState]:
        """Return what is published in each package's folder, by the folder's name, be it configured or not."""
        found = {path.parent.name: self.read(path.parent.name) for path in sorted(self.folder.glob(f"*/{FILE_NAME}"))}
        return {name: state for name, state in found.items() if state is not None}

    def publish(self, computed: PackageState, through: date) -> int:
        """Publish a package's record and badges as they read on the day after `through`; return how many changed.

        Each window keeps the newest counts of the published and the computed ones. Where something newer than `through`
        is published, an old day is being replayed: what is there stays as it is. Raises SampleOverRealError.
        """
        published = self.read(computed.package)
        if published:
            self.check_source(published, computed.source)
        state = keep_newest(published, computed)
        # The spelling index.html would take the place of the page.
        names = {state.package, self.spellings.get(state.package, state.package)} - {PAGE_NAME}
        return sum(self._write(name, state, through) for name in sorted(names))

    def refresh(self, through: date, published: Collection[str]) -> int:
        """Let the badges of all packages but those just published grow stale; return how many files changed.

        Packages, windows and spellings that are no longer configured are still shown where somebody put their badges.
        """
        fresh = {*published, *(self.spellings.get(name, name) for name in published)}
        return sum(self._write(name, state, through) for name, state in self.read_all().items() if name not in fresh)

    def _write(self, name: str, state: PackageState, through: date) -> int:
        folder = self.folder / name
        badges = badges_of(state, today=through + ONE_DAY, stale_threshold_days=self.stale_threshold_days)
        content = {badge.file_name: to_json(badge.payload) for badge in badges if self._may_replace(folder, badge)}
        if any(w.counts and w.counts.window.as_of > through for w in (*state.windows, *state.former)):
            return replace_changed(folder, {k: v for k, v in content.items() if not (folder / k).exists()})
        # The record first: it may name a day that the badges do not show yet, never the other way round.
        return replace_changed(folder, {FILE_NAME: format_record(state)} | content)

    def _may_replace(self, folder: Path, badge: Badge) -> bool:
        return may_replace(parse_payload(read_if_there(folder / badge.file_name)), badge.payload)

    def check_source(self, published: PackageState, source: str) -> None:
        """Raise SampleOverRealError if `source` is sample and real numbers of the package are published."""
        if source == "sample" != published.source and any(w.counts for w in (*published.windows, *published.former)):
            raise SampleOverRealError(
                f"{self.folder / published.package} holds real numbers, and sample data does not replace them. "
                "Set service.output_dir to another directory, or source.kind to where the numbers came from"
            )

    def publish_files(self, files: Mapping[str, bytes]) -> int:
        """Publish files that span packages, by name; return how many changed."""
        return replace_changed(self.folder, files)
