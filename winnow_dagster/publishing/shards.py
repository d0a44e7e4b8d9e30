"""Publish `*` shard by shard, since there may be a million packages.

A shard is the record of its packages. Winnow reads it back before it publishes anything newer. So no number goes back
to an older day (R5), even if the store is lost.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

from winnow_dagster.core.window import mixes_sample
from winnow_dagster.files.operations import Batch, read_if_there
from winnow_dagster.files.paths import joiner
from winnow_dagster.publishing.publication import Publication
from winnow_dagster.site.all_packages import Summary
from winnow_dagster.site.badges import ShardRenderer
from winnow_dagster.site.history import JSON_NAME, ShortHistory, format_short_json, merge_short_histories

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from winnow_dagster.core.everything import Everything, ShardCounts
    from winnow_dagster.core.shard import Shard
    from winnow_dagster.files.operations import Failures
    from winnow_dagster.files.paths import StorePath
    from winnow_dagster.publishing.all_packages import AllPackagesDir

MAX_STAGED_FILES = 20_000
"""The maximum number of files that Winnow stages before it puts them in place."""


def publish_everything(
    web: AllPackagesDir, everything: Everything, min_downloads: int, through: date, failures: Failures
) -> int:
    """Publish the packages of `*` as they read on the day after `through`; return how many files change.

    A new package needs `min_downloads` honest downloads over the first window. A published package stays. Raises
    SampleOverRealError.
    """
    web.refuse_sample_over_real(everything.source)
    before = web.summary()
    if before and not everything.windows:
        return web.write_summary(replace(before, configured=everything.lengths))
    writer = ShardWriter(web, through, failures)
    publication = writer.publication
    is_sample = before is not None and mixes_sample(everything.source, before.source)
    if before and not is_sample and publication.is_replay(before.as_of.values()):
        return 0
    shards, as_of = dict(before.shards if before else {}), dict[int, date]()
    for key, counts in _count(everything, list(shards)):
        with failures.collect():
            published = web.shard(key)
            made_up = set[str]()
            if published and mixes_sample(everything.source, published.source):
                made_up, published = {*published.packages}, None
            if shard := publication.newest(_choose(counts.shard, published, min_downloads), published):
                shards[key] = len(shard.packages)
                for days, window in zip(shard.lengths, shard.windows, strict=True):
                    as_of[days] = max(as_of.get(days, window.as_of), window.as_of)
                # The log may not know the packages that the sample source made up.
                web.remove_packages(made_up.difference(shard.packages))
                writer.write(key, shard, counts)
    publication.flush()
    if before or any(shards.values()):
        summary = Summary(
            everything.source,
            as_of or (before.as_of if before else {}),
            everything.lengths,
            {key: number for key, number in sorted(shards.items()) if number},
            style=writer.renderer.style,
            short_days=tuple(map(str, everything.short_days)),
        )
        with failures.collect():
            publication.changed += web.write_summary(summary.aged(publication.today, web.site.stale_threshold_days))
    return publication.changed


def refresh_everything(web: AllPackagesDir, through: date, failures: Failures) -> None:
    """Redraw the published badges and the page of `*` as they grow stale (R6)."""
    summary, writer = web.summary(), ShardWriter(web, through, failures)
    if summary is None or writer.publication.is_replay(summary.as_of.values()):
        return
    aged = summary.aged(writer.publication.today, web.site.stale_threshold_days)
    # If no window has turned stale, no badge changes. There may be millions of badges.
    if aged != summary:
        for key in summary.shards:
            with failures.collect():
                if shard := web.shard(key):
                    writer.write(key, shard)
        writer.publication.flush()
        aged = replace(aged, style=writer.renderer.style)
    with failures.collect():
        web.write_summary(aged)


class ShardWriter:
    """Writes shards, and then the files of their packages."""

    def __init__(self, web: AllPackagesDir, through: date, failures: Failures) -> None:
        self._web = web
        self.renderer = ShardRenderer(web.style, web.site.stale_threshold_days)
        # Stage all files in one folder. After a crash, the next run could not find them among a million folders.
        self.publication = Publication(through, failures, Batch(failures, MAX_STAGED_FILES, web.shards))

    def write(self, key: str, shard: Shard, counts: ShardCounts | None = None) -> None:
        """Write a shard, the badges of its packages and, with `counts`, their days. Raises StorageError."""
        folder = self._web.shard_folder(key)
        join = joiner(folder)
        self.renderer.start(shard, self.publication.today)
        folders = ((join(name), partial(self._files, folder, name, shard, counts)) for name in shard.packages)
        self.publication.write(folders, partial(self._web.write_shard, key, shard))

    def _files(self, folder: StorePath, name: str, shard: Shard, counts: ShardCounts | None) -> Mapping[str, bytes]:
        badges = self.renderer.files(shard.packages[name])
        if counts is None:
            return badges
        days, counted, shown = counts.days.get(name, ""), counts.shard.windows, shard.windows
        history = ShortHistory(days)
        if counted is not shown:
            # The shard keeps published windows that this run did not count.
            history = merge_short_histories(days, read_if_there(folder / name / JSON_NAME), counted, shown)
        return {**badges, JSON_NAME: format_short_json(shard.source, name, history)}


def _count(everything: Everything, published: Collection[str]) -> Iterator[tuple[str, ShardCounts]]:
    """Yield the counts of each shard, then of the published shards without a download."""
    left = dict.fromkeys(published)
    for part in everything.shards():
        for key, counts in part.items():
            left.pop(key, None)
            yield key, counts
    for key in left if everything.windows else ():
        yield key, everything.empty_shard()


def _choose(counted: Shard, published: Shard | None, min_downloads: int) -> Shard:
    """Return a shard with the packages that have enough honest downloads or are published already."""
    known = published.packages if published else {}
    chosen = {n: found for n, found in counted.packages.items() if (found[0] or 0) >= min_downloads or n in known}
    return replace(counted, packages=chosen)
