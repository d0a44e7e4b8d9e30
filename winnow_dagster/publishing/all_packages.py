"""The part of the web directory for `*`: a folder of badges and days for each package, and shards of numbers.

Reads, writes and removes files. `publication` decides whether one number may replace another.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import SLUGS, parse_file_name
from winnow_dagster.core.names import EVERYTHING, GROUP_FOLDER, Selector
from winnow_dagster.core.shard import SHARD_LENGTH, shard_of
from winnow_dagster.files.operations import (
    exists,
    list_ahead,
    list_names,
    read_ahead,
    read_if_there,
    remove,
    remove_folder,
    replace_changed,
    version_of,
)
from winnow_dagster.publishing.publication import refuse_sample_over_real
from winnow_dagster.site.all_packages import (
    HEADLINE_STYLE,
    SHARDS_FOLDER,
    SUMMARY_NAME,
    Summary,
    format_shard,
    format_summary,
    parse_shard,
    parse_summary,
)
from winnow_dagster.site.everything_page import format_page
from winnow_dagster.site.history import JSON_NAME
from winnow_dagster.site.page import PAGE_NAME
from winnow_dagster.site.record import RECORD_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from winnow_dagster.core.badge import BadgeStyle
    from winnow_dagster.core.shard import Shard
    from winnow_dagster.files.operations import Failures, Version
    from winnow_dagster.files.paths import StorePath
    from winnow_dagster.site.site import SiteConfig


@dataclass(frozen=True)
class AllPackagesDir:
    """The published files of the packages that only `*` selects."""

    folder: StorePath
    """The web directory."""

    site: SiteConfig

    _names: dict[Version, frozenset[str]] = field(default_factory=dict, repr=False)

    @property
    def shards(self) -> StorePath:
        """The folder of the shards."""
        return self.folder / SHARDS_FOLDER

    def package_folder(self, package: str) -> StorePath:
        """Return the folder of a package."""
        return self.shard_folder(shard_of(package)) / package

    def shard_folder(self, key: str) -> StorePath:
        """Return the web directory, prepared for a shard: in a bucket, this lists the folders of its packages ahead."""
        return list_ahead(self.folder, key) if len(key) == SHARD_LENGTH else self.folder

    def summary(self) -> Summary | None:
        """Return the summary that lists the shards; None if nothing is published."""
        return parse_summary(read_if_there(self.shards / SUMMARY_NAME))

    def shard(self, key: str) -> Shard | None:
        """Return a published shard without the packages that now have an entry of their own."""
        shard = parse_shard(read_if_there(self.shards / f"{key}.json"))
        return shard and replace(shard, packages={n: c for n, c in shard.packages.items() if not self._has_entry(n)})

    def names(self) -> frozenset[str]:
        """Return the names of the published packages."""
        version = version_of(self.shards / SUMMARY_NAME)
        if version is None:
            return frozenset()
        if version not in self._names:
            summary = self.summary()
            keys = summary.shards if summary else ()
            read_ahead(self.shards, (self.shards / f"{key}.json" for key in keys))
            shards = map(self.shard, keys)
            self._names.clear()
            self._names[version] = frozenset(name for shard in shards if shard for name in shard.packages)
        return self._names[version]

    @property
    def style(self) -> BadgeStyle:
        """The configured style, with the kinds of badges that are only published: Winnow renews these too.

        If the config has no `*`, it is the published style.
        """
        configured, summary = self.site.styles.get(str(EVERYTHING)), self.summary()
        published = summary.style if summary else HEADLINE_STYLE
        if configured is None:
            return published
        return replace(configured, slugs=tuple(s for s in SLUGS if s in {*configured.slugs, *published.slugs}))

    def refuse_sample_over_real(self, source: str) -> None:
        """Raise SampleOverRealError if `source` is the sample source and real numbers are published."""
        summary = self.summary()
        if summary:
            refuse_sample_over_real(source, summary.source, self.shards)

    def write_shard(self, key: str, shard: Shard) -> int:
        """Publish a shard, or remove it if it is empty; return how many files change."""
        if shard.packages:
            return replace_changed(self.shards, {f"{key}.json": format_shard(shard)})
        place = self.shards / f"{key}.json"
        is_there = exists(place)
        remove(place)
        return int(is_there)

    def write_summary(self, summary: Summary) -> int:
        """Publish the summary and its page; return how many files change."""
        page = format_page(summary, self.site)
        return replace_changed(self.shards, {SUMMARY_NAME: format_summary(summary), PAGE_NAME: page})

    def remove_packages_with_entries(self, failures: Failures) -> None:
        """Remove the packages that now have an entry of their own from the shards: that entry publishes them."""
        summary = self.summary()
        names, prefixes = self._entries
        # A prefix ends in '-', so it is at least as long as the name of a shard.
        keys = {shard_of(stem) for stem in (*names, *prefixes)} & set(summary.shards if summary else ())
        if summary is None or not keys:
            return
        with failures.collect():
            numbers = dict(summary.shards)
            for key in sorted(keys):
                kept = self.shard(key)
                if kept:
                    self.write_shard(key, kept)
                numbers[key] = len(kept.packages) if kept else 0
            self.write_summary(replace(summary, shards={key: number for key, number in numbers.items() if number}))

    def files(self) -> list[str]:
        """Return the names of the shards' files, the page and, last, the summary, which lists the shards."""
        summary = self.summary()
        return [*(f"{key}.json" for key in summary.shards), PAGE_NAME, SUMMARY_NAME] if summary else []

    def remove(self) -> None:
        """Remove everything that `*` published, except from the folders of packages that have a page."""
        self.remove_packages(self.names())
        for name in self.files():
            remove(self.shards / name)
        remove_folder(self.shards)

    def remove_packages(self, packages: Iterable[str]) -> None:
        """Remove the files of packages that have no page."""
        for package in sorted(packages):
            folder = self.package_folder(package)
            files = list_names(folder)
            for file in files if RECORD_NAME not in files else ():
                if file == JSON_NAME or parse_file_name(file):
                    remove(folder / file)
            remove_folder(folder)

    @cached_property
    def _entries(self) -> tuple[frozenset[str], tuple[str, ...]]:
        """The names and prefixes of the config's other entries."""
        texts = (text for text in self.site.styles if not text.startswith(GROUP_FOLDER))
        others = [selector for selector in map(Selector.parse, texts) if not selector.is_all]
        return frozenset(s.stem for s in others if not s.is_prefix), tuple(s.stem for s in others if s.is_prefix)

    def _has_entry(self, package: str) -> bool:
        names, prefixes = self._entries
        return package in names or package.startswith(prefixes)
