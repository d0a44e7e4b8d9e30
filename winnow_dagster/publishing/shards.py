"""Publication of `*`: a shard of packages at a time, since there may be a million.

A shard is the record of the packages whose names begin alike. Winnow reads it back before it publishes anything newer,
so that no number goes back to an older day (R5), even if the store is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from winnow_dagster.files.operations import Batch, read_if_there
from winnow_dagster.files.paths import ObjectPath, part_of
from winnow_dagster.publishing.publication import Publication, mixes_sample
from winnow_dagster.site.all_packages import Summary
from winnow_dagster.site.badges import ShardRenderer
from winnow_dagster.site.history import JSON_NAME, ShortHistory, format_short_json, merge_short_histories

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from datetime import date

    from winnow_dagster.core.everything import Everything, ShardCounts
    from winnow_dagster.core.shard import Shard
    from winnow_dagster.files.operations import Failures
    from winnow_dagster.files.paths import StorePath
    from winnow_dagster.publishing.all_packages import AllPackagesDir

MAX_STAGED_FILES = 20_000
"""How many files wait to be put in place together."""


@dataclass(frozen=True)
class ShardRecord:
    """The numbers of a shard's packages, and the days of those that were just counted."""

    web: AllPackagesDir
    key: str
    shard: Shard
    renderer: ShardRenderer
    counts: ShardCounts | None = None
    """What was counted; None if the published numbers only grow stale, and the published days stay."""

    @property
    def source(self) -> str:
        """The kind of source that the numbers come from."""
        return self.shard.source

    @property
    def as_of(self) -> set[date]:
        """The newest day of each window, configured or not."""
        return {window.as_of for window in self.shard.windows}

    @property
    def place(self) -> StorePath:
        """The folder of all shards."""
        return self.web.shards

    def keep_newest(self, published: ShardRecord) -> ShardRecord:
        """Return this with the published windows where they are newer."""
        return replace(self, shard=self.shard.keep_newest(published.shard))

    def remove_sample(self, published: ShardRecord) -> None:
        """Remove the packages that the sample data made up."""
        self.web.remove_packages(published.shard.packages.keys() - self.shard.packages.keys())

    def write(self) -> int:
        """Write the numbers of all packages; return how many files change."""
        return self.web.write_shard(self.key, self.shard)

    def folders(self, today: date) -> Iterator[tuple[StorePath | str, Callable[[], Mapping[str, bytes]]]]:
        """Yield the folder of each package, with what returns its files as they read on `today`."""
        folder = part_of(self.web.folder, self.key)
        # As text: to join a million Path takes as long as the disk.
        join = folder.__truediv__ if isinstance(folder, ObjectPath) else f"{folder}/{{}}".format
        self.renderer.start(self.shard, today)
        for name in self.shard.packages:
            yield join(name), partial(self._files, folder, name)

    def _files(self, folder: StorePath, name: str) -> Mapping[str, bytes]:
        badges = self.renderer.files(self.shard.packages[name])
        if self.counts is None:
            return badges
        history = ShortHistory(self.counts.days.get(name, ""))
        counted, shown = self.counts.shard.windows, self.shard.windows
        if counted is not shown:
            # Some windows are published and were not counted this time.
            history = merge_short_histories(history.days, read_if_there(folder / name / JSON_NAME), counted, shown)
        return {**badges, JSON_NAME: format_short_json(self.source, name, history)}


def publish_everything(
    web: AllPackagesDir, everything: Everything, min_downloads: int, through: date, failures: Failures
) -> int:
    """Publish what was counted, as it reads on the day after `through`; return how many files change.

    Only packages with `min_downloads` honest downloads over the first window, and those that are published already.
    Raises SampleOverRealError.
    """
    web.refuse_sample_over_real(everything.source)
    before, style = web.summary(), web.style
    publication, renderer = _start(web, through, failures), ShardRenderer(style, web.site.stale_threshold_days)
    if before and not everything.windows:
        return web.write_summary(before.configured(everything.lengths))
    if before and not mixes_sample(everything.source, before.source) and publication.is_replay(before.days.values()):
        return 0
    numbers = dict(before.shards if before else {})
    shown: list[Shard] = []
    for key, counts in _count(everything, list(numbers)):
        with failures.collect():
            published = web.shard(key)
            computed = ShardRecord(web, key, _choose(counts.shard, published, min_downloads), renderer, counts)
            record = publication.publish(computed, replace(computed, shard=published) if published else None)
            numbers[key] = len(record.shard.packages)
            shown.append(replace(record.shard, packages={}))
    publication.end()
    if before or any(numbers.values()):
        summary = Summary(
            everything.source,
            _newest_days(shown) or (before.as_of if before else {}),
            {},
            frozenset(),
            {key: number for key, number in sorted(numbers.items()) if number},
            style,
            tuple(map(str, everything.short_days)),
        ).configured(everything.lengths)
        stale = summary.stale_on(publication.today, web.site.stale_threshold_days)
        with failures.collect():
            publication.changed += web.write_summary(replace(summary, stale=stale))
    return publication.changed


def _newest_days(shards: Iterable[Shard]) -> dict[str, str]:
    """Return the newest day of any shard, by the window's length in days, the headline's first."""
    found: dict[str, str] = {}
    for shard in shards:
        for days, window in zip(shard.lengths, shard.windows, strict=True):
            found[str(days)] = max(found.get(str(days), ""), str(window.as_of))
    return found


def refresh_everything(web: AllPackagesDir, through: date, failures: Failures) -> None:
    """Let what is published grow stale (R6), and its page with it."""
    summary, style = web.summary(), web.style
    publication = _start(web, through, failures)
    if summary is None or publication.is_replay(summary.days.values()):
        return
    stale = summary.stale_on(publication.today, web.site.stale_threshold_days)
    # Otherwise no badge changes, and there may be a million.
    if stale != summary.stale:
        renderer = ShardRenderer(style, web.site.stale_threshold_days)
        for key in summary.shards:
            with failures.collect():
                if shard := web.shard(key):
                    publication.refresh(ShardRecord(web, key, shard, renderer))
        summary = replace(summary, stale=stale, style=style)
    publication.end()
    with failures.collect():
        web.write_summary(summary)


def _start(web: AllPackagesDir, through: date, failures: Failures) -> Publication:
    # Files wait in one folder. If a run dies, the next one would not find them among a million folders.
    return Publication(through, failures, Batch(failures, MAX_STAGED_FILES, web.shards))


def _count(everything: Everything, published: Collection[str]) -> Iterator[tuple[str, ShardCounts]]:
    """Yield each shard with what was counted; at last the published shards without a download."""
    left = dict.fromkeys(published)
    for part in everything.shards():
        for key, counts in part.items():
            left.pop(key, None)
            yield key, counts
    for key in left:
        yield key, everything.nothing()


def _choose(counted: Shard, published: Shard | None, min_downloads: int) -> Shard:
    """Return a shard with the packages that have enough honest downloads, and those that are published already."""
    is_real = published is not None and not mixes_sample(counted.source, published.source)
    known = published.packages if published and is_real else {}
    chosen = {
        name: numbers
        for name, numbers in counted.packages.items()
        if (numbers[0] or 0) >= min_downloads or name in known
    }
    return replace(counted, packages=chosen)
