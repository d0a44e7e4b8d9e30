"""The web directory: what is published of each package, replaced only by something at least as good (R5, R7)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import badges_of, may_replace
from winnow_dagster.core.window import keep_newest
from winnow_dagster.site.record import FILE_NAME, format_record, parse_record, to_json
from winnow_dagster.storage.files import read_if_there, replace_changed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from winnow_dagster.core.badge import Badge
    from winnow_dagster.core.names import Selector
    from winnow_dagster.core.window import PackageState


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

    def read_selected(self, selector: Selector, named: Collection[str]) -> list[PackageState]:
        """Return what is published of the packages of a selector; for a prefix, of those that are not `named`."""
        packages = [selector.stem]
        if selector.is_prefix:
            folders = sorted(p.parent.name for p in self.folder.glob(f"{selector.stem}*/{FILE_NAME}"))
            packages = [p for p in folders if p not in named and p not in self.spellings.values()]
        found = [self.read(package) for package in packages]
        return [state for state in found if state is not None]

    def publish(self, computed: PackageState, today: date) -> int:
        """Publish a package's record and badges as they read on `today`; return how many files changed.

        Each window keeps the newest counts of the published and the computed ones. Raises SampleOverRealError.
        """
        published = self.read(computed.package)
        if published:
            self.check_source(published, computed.source)
        state = keep_newest(published, computed)
        badges = badges_of(state, today=today, stale_threshold_days=self.stale_threshold_days)
        folders = {state.package, self.spellings.get(state.package, state.package)}
        # The record first: it may name a day that the badges do not show yet, never the other way round.
        record = {FILE_NAME: format_record(state)}
        return sum(
            replace_changed(self.folder / name, record | _replaceable(self.folder / name, badges))
            for name in sorted(folders)
        )

    def check_source(self, published: PackageState, source: str) -> None:
        """Raise SampleOverRealError if `source` is sample and real numbers of the package are published."""
        if source == "sample" != published.source and any(w.counts for w in published.windows):
            raise SampleOverRealError(
                f"{self.folder / published.package} holds real numbers, and sample data does not replace them. "
                "Set service.output_dir to another directory, or source.kind to where the numbers came from"
            )

    def publish_files(self, files: Mapping[str, bytes]) -> int:
        """Publish files that span packages, by name; return how many changed."""
        return replace_changed(self.folder, files)


def _replaceable(folder: Path, badges: Sequence[Badge]) -> dict[str, bytes]:
    """Return the content of those badges that may replace what stands in `folder`, by file name."""
    return {
        badge.file_name: to_json(badge.payload)
        for badge in badges
        if may_replace(_payload(folder / badge.file_name), badge)
    }


def _payload(path: Path) -> Mapping[str, object]:
    """Return the badge in a file; a file that is none has a placeholder's standing."""
    try:
        payload = json.loads(read_if_there(path) or b"{}")
    except ValueError:
        return {}
    return payload if isinstance(payload, dict) else {}
