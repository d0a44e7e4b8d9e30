"""One publication of `*`: each shard's record and then its packages' badges and days, as they are counted."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import is_stale
from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.files.operations import Batch, read_if_there
from winnow_dagster.files.paths import joiner
from winnow_dagster.site.everything import PackageDays, Summary, format_days, merge_days
from winnow_dagster.site.history import JSON_NAME

if TYPE_CHECKING:
    from collections.abc import Collection

    from winnow_dagster.core.everything import Everything, ShardCounts
    from winnow_dagster.core.shard import Shard
    from winnow_dagster.files.operations import Failures
    from winnow_dagster.files.paths import StorePath
    from winnow_dagster.publishing.all_packages import AllPackagesDir

MAX_STAGED_FILES = 20_000
"""How many files wait to be put in place together."""


class Publication:
    """One publication: shards as they come, then those that did not come."""

    def __init__(self, wide: AllPackagesDir, through: date, failures: Failures) -> None:
        self.changed = 0
        self._wide, self._through, self._failures = wide, through, failures
        self._before = wide.summary()
        self._done: dict[str, Shard] = {}
        # In one folder: where a run died, nobody wants to look for them in a million.
        self._batch = Batch(failures, MAX_STAGED_FILES, wide.shards)
        self._drawing = wide.drawing(through + ONE_DAY)

    def publish(self, key: str, found: ShardCounts, everything: Everything, least: int) -> None:
        """Publish a shard of packages with `least` honest downloads over the first window, and of those published."""
        published = self._wide.shard(key)
        is_made_up = published is not None and published.source == "sample" != everything.source
        before = None if is_made_up or published is None else _chosen(published, everything)
        known = before.packages if before else {}
        found_here = found.shard.packages.items()
        chosen = {name: numbers for name, numbers in found_here if (numbers[0] or 0) >= least or name in known}
        shard = replace(found.shard, packages=chosen).keep_newest(before)
        if is_made_up and published:
            # The log may not know them.
            with self._failures.collect():
                self._wide.remove_packages(published.packages.keys() - shard.packages.keys())
        self._show(key, shard, found)

    def left(self) -> dict[str, int]:
        """Return the published shards that did not come, each with its number of packages."""
        published = self._before.shards if self._before else {}
        return {key: packages for key, packages in published.items() if key not in self._done}

    def end(self, lengths: Collection[int], short_days: Collection[date] | None = None) -> None:
        """Show the rest of the shards, if what they say of their age has changed, and list all.

        `lengths`: those of the windows in the config. `short_days`: the short days within what was counted; None if
        nothing was counted.
        """
        before, left = self._before, self.left()
        as_of: dict[str, str] = {}
        for shard in self._done.values():
            for days, window in zip(shard.lengths, shard.windows, strict=True):
                as_of[str(days)] = max(as_of.get(str(days), ""), str(window.as_of))
        as_of = as_of or (before.as_of if before else {})
        stale = frozenset(days for days, day in as_of.items() if self._is_stale(day))
        if before and left and stale != before.stale:
            for key in left:
                if aged := self._wide.shard(key):
                    self._show(key, aged, None)
        self._batch.put()
        done = {key: len(shard.packages) for key, shard in self._done.items()}
        if before or any(done.values()):
            sources = [shard.source for shard in self._done.values()]
            summary = Summary(
                sources[0] if sources else before.source if before else "",
                {days: day for days, day in as_of.items() if int(days) in lengths},
                {days: day for days, day in as_of.items() if int(days) not in lengths},
                stale,
                {key: number for key, number in sorted({**left, **done}.items()) if number},
                self._drawing.look,
                before.short_days if before and short_days is None else tuple(map(str, short_days or ())),
            )
            with self._failures.collect():
                self.changed += self._wide.write_summary(summary)

    def _is_stale(self, as_of: str) -> bool:
        return is_stale(date.fromisoformat(as_of), self._through + ONE_DAY, self._wide.site.stale_threshold_days)

    def _show(self, key: str, shard: Shard, found: ShardCounts | None) -> None:
        self._done[key] = replace(shard, packages=dict.fromkeys(shard.packages, ()))
        if any(window.as_of > self._through for window in shard.windows):
            # An old day is being replayed.
            return
        with self._failures.collect():
            # The record first: it may name a day that the badges do not show yet, never the other way round.
            if shard.packages or (self._before and key in self._before.shards):
                self.changed += self._wide.write_shard(key, shard)
            self._show_packages(shard, found, self._wide.shard_folder(key))

    def _show_packages(self, shard: Shard, found: ShardCounts | None, folder: StorePath) -> None:
        join = joiner(folder)
        counted = found.shard.windows if found else ()
        for name, numbers in shard.packages.items():
            with self._failures.collect():
                files = dict(self._drawing.files(shard, numbers))
                if found:
                    days = PackageDays(found.days.get(name, ""))
                    if counted is not shard.windows:
                        # Some are published of windows that were not counted this time.
                        days = merge_days(days.text, read_if_there(folder / name / JSON_NAME), counted, shard.windows)
                    files[JSON_NAME] = format_days(shard.source, name, days)
                self.changed += self._batch.add(join(name), files)


def _chosen(shard: Shard, everything: Everything) -> Shard:
    """Return a shard without what something else publishes by now."""
    return replace(shard, packages={name: n for name, n in shard.packages.items() if everything.selects(name)})
