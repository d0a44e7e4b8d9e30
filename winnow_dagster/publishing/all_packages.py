"""What `*` publishes in the web directory: a folder of each package with its badges and days, and shards of names.

A shard is the record of its packages: it is written before their badges, and read back before anything newer is, so
that no number goes back to an older day (R5), whatever becomes of the store.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import SLUGS, Badge, parse_name
from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.names import EVERYTHING, GROUP_FOLDER, Selector
from winnow_dagster.core.shard import SHARD_LENGTH, shard_of
from winnow_dagster.core.verdicts import Verdict
from winnow_dagster.files.errors import SampleOverRealError
from winnow_dagster.files.operations import (
    Failures,
    list_ahead,
    list_names,
    read_ahead,
    read_if_there,
    remove,
    remove_folder,
    replace_changed,
    version_of,
)
from winnow_dagster.publishing.audit import judge_everything
from winnow_dagster.publishing.publication import Publication
from winnow_dagster.site.everything import (
    FOLDER,
    HEADLINE,
    SUMMARY_NAME,
    BadgeRenderer,
    Summary,
    format_page,
    format_shard,
    format_summary,
    parse_shard,
    parse_summary,
)
from winnow_dagster.site.history import JSON_NAME
from winnow_dagster.site.page import PAGE_NAME
from winnow_dagster.site.record import FILE_NAME

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from winnow_dagster.core.badge import BadgeStyle
    from winnow_dagster.core.everything import Everything
    from winnow_dagster.core.shard import Shard
    from winnow_dagster.files.operations import Version
    from winnow_dagster.files.paths import StorePath
    from winnow_dagster.site.site import SiteConfig


@dataclass(frozen=True)
class AllPackagesDir:
    """The part of the web directory that `*` fills."""

    folder: StorePath
    site: SiteConfig

    _known: dict[Version, frozenset[str]] = field(default_factory=dict, repr=False)

    @property
    def shards(self) -> StorePath:
        """The folder of the shards."""
        return self.folder / FOLDER

    def summary(self) -> Summary | None:
        """Return what is published in all; None where nothing is."""
        return parse_summary(read_if_there(self.shards / SUMMARY_NAME))

    def shard(self, key: str) -> Shard | None:
        """Return what is published of a shard; None where nothing is."""
        return parse_shard(read_if_there(self.shards / f"{key}.json"))

    @cached_property
    def others(self) -> Sequence[Selector]:
        """The entries of the config beside `*`, which publish what they select by themselves."""
        texts = (text for text in self.site.looks if not text.startswith(GROUP_FOLDER))
        return [selector for selector in map(Selector.parse, texts) if not selector.is_all]

    @property
    def look(self) -> BadgeStyle:
        """How badges look: as the config says, with those that it no longer asks for, which are renewed too.

        Without `*` in the config, as they were published.
        """
        configured, summary = self.site.looks.get(str(EVERYTHING)), self.summary()
        published = summary.look if summary else HEADLINE
        if configured is None:
            return published
        return replace(configured, slugs=tuple(s for s in SLUGS if s in {*configured.slugs, *published.slugs}))

    def names(self) -> frozenset[str]:
        """Return the packages that are published."""
        version = version_of(self.shards / SUMMARY_NAME)
        if version is None:
            return frozenset()
        if version not in self._known:
            summary = self.summary()
            read_ahead(self.shards, (self.shards / f"{key}.json" for key in (summary.shards if summary else ())))
            found = [self.shard(key) for key in summary.shards] if summary else []
            self._known.clear()
            self._known[version] = frozenset(name for shard in found if shard for name in shard.packages)
        return self._known[version]

    def publish(self, everything: Everything, least: int, through: date, failures: Failures) -> int:
        """Publish what was counted, as it reads on the day after `through`; return how many files changed.

        Only packages with `least` honest downloads over the first window, but for those that are published already.
        Raises SampleOverRealError.
        """
        self.check_source(everything.source)
        run = Publication(self, through, failures)
        for counted in everything.shards():
            for key, found in counted.items():
                run.publish(key, found, everything, least)
        if everything.windows:
            for key in run.left():
                run.publish(key, everything.nothing(), everything, least)
        run.end(everything.lengths, everything.short_days if everything.windows else None)
        return run.changed

    def check_source(self, source: str) -> None:
        """Raise SampleOverRealError if `source` is sample and real numbers are published."""
        summary = self.summary()
        if summary and source == "sample" != summary.source:
            raise SampleOverRealError(self.shards)

    def release(self, failures: Failures) -> None:
        """Let go of packages that have an entry of their own by now: they are published, and told of, by that."""
        summary = self.summary()
        # A prefix ends in '-', and is as long as what the names of a shard begin with, at least.
        keys = {shard_of(selector.stem) for selector in self.others} & set(summary.shards if summary else ())
        if summary is None or not keys:
            return
        listed = dict(summary.shards)
        with failures.collect():
            for key in sorted(keys):
                shard = self.shard(key)
                kept = {name: n for name, n in shard.packages.items() if self._owns(name)} if shard else {}
                if shard and len(kept) < len(shard.packages):
                    self.write_shard(key, replace(shard, packages=kept))
                listed[key] = len(kept)
            self.write_summary(replace(summary, shards={key: number for key, number in listed.items() if number}))

    def _owns(self, package: str) -> bool:
        return not any(selector.matches(package) for selector in self.others)

    def write_shard(self, key: str, shard: Shard) -> int:
        """Publish a shard, or remove it where it has no package any more; return how many files changed."""
        if shard.packages:
            return replace_changed(self.shards, {f"{key}.json": format_shard(shard)})
        remove(self.shards / f"{key}.json")
        return 1

    def write_summary(self, summary: Summary) -> int:
        """Publish what lists the shards, with its page; return how many files changed."""
        page = format_page(summary, self.site.stale_threshold_days, self.site.dataset_of(summary.source))
        return replace_changed(self.shards, {SUMMARY_NAME: format_summary(summary), PAGE_NAME: page})

    def judge(self, everything: Everything | None, today: date) -> Verdict:
        """Hold what is published against what the store says."""
        summary = self.summary()
        if everything is None or summary is None or summary.source != everything.source:
            return Verdict({}, 0)
        fresh = min(map(date.fromisoformat, summary.as_of.values())) + ONE_DAY
        drawings = [self.drawing(day) for day in (today, fresh)]
        return judge_everything(everything, self.shard, lambda p, f: read_if_there(self.home(p) / f), drawings)

    def drawing(self, today: date) -> BadgeRenderer:
        """Return what draws badges as they read on a day."""
        return BadgeRenderer(self.look, today, self.site.stale_threshold_days)

    def home(self, package: str) -> StorePath:
        """Return the folder of a package."""
        return self.shard_folder(shard_of(package)) / package

    def shard_folder(self, key: str) -> StorePath:
        """Return the web directory, the folders of a shard in which are about to be looked at."""
        return list_ahead(self.folder, key) if len(key) == SHARD_LENGTH else self.folder

    def dropped(self, lengths: Collection[int]) -> list[str]:
        """Return the badges that each package has and the config does not ask for, if it asks for these windows."""
        configured, summary = self.site.looks.get(str(EVERYTHING), HEADLINE), self.summary()
        if summary is None:
            return []
        badges = [Badge(slug, int(days), {}) for days in summary.as_of for slug in summary.look.slugs]
        former = [b for b in badges if b.days not in lengths or b.slug not in configured.slugs]
        return [name for badge in former for name in (badge.file_name, badge.picture_name)]

    def remove_badges(self, names: Collection[str]) -> None:
        """Remove these badges of each package; forget the windows of which no badge is left."""
        summary = self.summary()
        if summary is None:
            return
        gone = set(filter(None, map(parse_name, names)))
        slugs = [slug for slug in summary.look.slugs if any((slug, int(days)) not in gone for days in summary.as_of)]
        lost = {int(days) for days in summary.as_of if all((slug, int(days)) in gone for slug in summary.look.slugs)}
        # What the shards name is found once more if this is cut off, and offered again.
        for package in sorted(self.names()):
            for name in names:
                remove(self.home(package) / name)
        for key in summary.shards:
            if shard := self.shard(key):
                self.write_shard(key, shard.without(lost))
        self.write_summary(summary.without(lost, slugs))

    def files(self) -> list[str]:
        """Return the names of the shards and of what lists them, the list last, which makes the rest known."""
        summary = self.summary()
        return [*(f"{key}.json" for key in summary.shards), PAGE_NAME, SUMMARY_NAME] if summary else []

    def remove(self) -> None:
        """Remove all that `*` published."""
        self.remove_packages(sorted(self.names()))
        for name in self.files():
            remove(self.shards / name)
        remove_folder(self.shards)

    def remove_packages(self, packages: Iterable[str]) -> None:
        """Remove what is published of these packages, but for those of which something else is."""
        for package in packages:
            folder = self.home(package)
            files = list_names(folder)
            for file in files if FILE_NAME not in files else ():
                if file == JSON_NAME or parse_name(file):
                    remove(folder / file)
            remove_folder(folder)

    def refresh(self, through: date, failures: Failures) -> None:
        """Let what is published grow stale where nothing else is known of it."""
        summary = self.summary()
        if summary is not None:
            Publication(self, through, failures).end(tuple(map(int, summary.windows)))
