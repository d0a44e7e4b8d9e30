"""What `*` publishes in the web directory: a folder of each package with its badges and days, and shards of names.

A shard is the record of its packages: it is written before their badges, and read back before anything newer is, so
that no number goes back to an older day (R5), whatever becomes of the store.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import is_stale, parse_name
from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.everything import shard_of
from winnow_dagster.core.names import EVERYTHING
from winnow_dagster.core.verdicts import Verdict
from winnow_dagster.site.audit import judge_everything
from winnow_dagster.site.everything import (
    FOLDER,
    SUMMARY_NAME,
    Drawing,
    Summary,
    format_days,
    format_page,
    format_shard,
    format_summary,
    parse_shard,
    parse_summary,
)
from winnow_dagster.site.history import JSON_NAME
from winnow_dagster.site.page import PAGE_NAME
from winnow_dagster.storage.files import (
    Batch,
    Failures,
    list_names,
    read_ahead,
    read_if_there,
    remove,
    remove_folder,
    replace_changed,
    version_of,
)
from winnow_dagster.storage.places import ObjectPath, part_of

if TYPE_CHECKING:
    from winnow_dagster.core.everything import Counted, Everything, Shard
    from winnow_dagster.site.site import Site
    from winnow_dagster.storage.files import Version
    from winnow_dagster.storage.places import Place

MOST_AT_ONCE = 20_000
"""How many files wait to be put in place together."""


@dataclass(frozen=True)
class WideDir:
    """The part of the web directory that `*` fills."""

    folder: Place
    site: Site

    _known: dict[Version, frozenset[str]] = field(default_factory=dict, repr=False)

    @property
    def shards(self) -> Place:
        """The folder of the shards."""
        return self.folder / FOLDER

    def summary(self) -> Summary | None:
        """Return what is published in all; None where nothing is."""
        return parse_summary(read_if_there(self.shards / SUMMARY_NAME))

    def shard(self, key: str) -> Shard | None:
        """Return what is published of a shard; None where nothing is."""
        return parse_shard(read_if_there(self.shards / f"{key}.json"))

    def names(self) -> frozenset[str]:
        """Return the packages that are published."""
        version = version_of(self.shards / SUMMARY_NAME)
        if version is None:
            return frozenset()
        if version not in self._known:
            summary = self.summary()
            if isinstance(self.shards, ObjectPath):
                read_ahead(self.shards / f"{key}.json" for key in (summary.shards if summary else ()))
            found = [self.shard(key) for key in summary.shards] if summary else []
            self._known.clear()
            self._known[version] = frozenset(name for shard in found if shard for name in shard.packages)
        return self._known[version]

    def publish(self, everything: Everything, least: int, through: date, failures: Failures) -> int:
        """Publish what was counted, as it reads on the day after `through`; return how many files changed.

        Only packages with `least` honest downloads over the first window, but for those that are published already.
        """
        run = _Run(self, through, failures)
        for counted in everything.shards():
            for key, found in counted.items():
                run.publish(key, found, everything, least)
        if everything.windows:
            for key in run.left():
                run.publish(key, everything.nothing(), everything, least)
        run.end(everything.source)
        return run.changed

    def judge(self, everything: Everything | None, today: date) -> Verdict:
        """Hold what is published against what the store says."""
        summary = self.summary()
        if everything is None or summary is None or summary.source != everything.source:
            return Verdict({}, 0)
        fresh = min(map(date.fromisoformat, summary.windows.values())) + ONE_DAY
        drawings = [self.drawing(day) for day in (today, fresh)]
        return judge_everything(everything, self.shard, lambda p, f: read_if_there(self.folder / p / f), drawings)

    def drawing(self, today: date) -> Drawing:
        """Return what draws badges as they read on a day."""
        return Drawing(self.site.looks.get(str(EVERYTHING)), today, self.site.stale_threshold_days)

    def files(self) -> list[str]:
        """Return the names of the shards and of what lists them, the list last, which makes the rest known."""
        summary = self.summary()
        return [*(f"{key}.json" for key in summary.shards), PAGE_NAME, SUMMARY_NAME] if summary else []

    def remove(self) -> None:
        """Remove all that `*` published."""
        for name in self.names():
            folder = part_of(self.folder, shard_of(name)) / name
            for file in list_names(folder):
                if file == JSON_NAME or parse_name(file):
                    remove(folder / file)
            remove_folder(folder)
        for name in self.files():
            remove(self.shards / name)
        remove_folder(self.shards)

    def refresh(self, through: date, failures: Failures) -> None:
        """Let what is published grow stale where nothing else is known of it."""
        summary = self.summary()
        if summary is not None:
            _Run(self, through, failures).end(summary.source)


class _Run:
    """One publication: shards as they come, then those that did not come."""

    def __init__(self, wide: WideDir, through: date, failures: Failures) -> None:
        self.changed = 0
        self._wide, self._through, self._failures = wide, through, failures
        self._before = wide.summary()
        self._done: dict[str, Shard] = {}
        # In one folder: where a run died, nobody wants to look for them in a million.
        self._batch = Batch(failures, MOST_AT_ONCE, wide.shards)
        self._drawing = wide.drawing(through + ONE_DAY)

    def publish(self, key: str, found: Counted, everything: Everything, least: int) -> None:
        before = self._wide.shard(key)
        if before:
            before = replace(before, packages={n: c for n, c in before.packages.items() if everything.selects(n)})
        known = before.packages if before else {}
        chosen = {name: n for name, n in found.shard.packages.items() if n[0] >= least or name in known}
        shard = replace(found.shard, packages=chosen).keep_newest(before)
        if shard.packages:
            self._show(key, shard, found)

    def left(self) -> dict[str, int]:
        """Return the published shards that did not come, each with its number of packages."""
        published = self._before.shards if self._before else {}
        return {key: packages for key, packages in published.items() if key not in self._done}

    def end(self, source: str) -> None:
        """Show the rest of the shards, if what they say of their age has changed, and list all."""
        before, left = self._before, self.left()
        as_of: dict[str, str] = {}
        for shard in self._done.values():
            for days, window in zip(shard.lengths, shard.windows, strict=True):
                as_of[str(days)] = max(as_of.get(str(days), ""), str(window.as_of))
        as_of = as_of or dict(before.windows if before else {})
        stale = any(self._is_stale(day) for day in as_of.values())
        if before and left and stale != before.stale:
            for key in left:
                if aged := self._wide.shard(key):
                    self._show(key, aged, None)
        self._batch.put()
        if before or self._done:
            listed = dict(sorted({**left, **{key: len(s.packages) for key, s in self._done.items()}}.items()))
            summary = Summary(source, as_of, stale, listed)
            with self._failures.noted():
                page = format_page(summary, self._wide.site.stale_threshold_days)
                files = {SUMMARY_NAME: format_summary(summary), PAGE_NAME: page}
                self.changed += replace_changed(self._wide.shards, files)

    def _is_stale(self, as_of: str) -> bool:
        return is_stale(date.fromisoformat(as_of), self._through + ONE_DAY, self._wide.site.stale_threshold_days)

    def _show(self, key: str, shard: Shard, found: Counted | None) -> None:
        self._done[key] = replace(shard, packages=dict.fromkeys(shard.packages, ()))
        if any(window.as_of > self._through for window in shard.windows):
            # An old day is being replayed.
            return
        with self._failures.noted():
            # The record first: it may name a day that the badges do not show yet, never the other way round.
            self.changed += replace_changed(self._wide.shards, {f"{key}.json": format_shard(shard)})
            self._show_packages(shard, found, part_of(self._wide.folder, key))

    def _show_packages(self, shard: Shard, found: Counted | None, folder: Place) -> None:
        # As text: to join a million Path takes as long as the disk.
        join = folder.__truediv__ if isinstance(folder, ObjectPath) else f"{folder}/{{}}".format
        for name, numbers in shard.packages.items():
            files = dict(self._drawing.files(shard, numbers))
            if found is not None:
                files[JSON_NAME] = format_days(shard.source, name, found.days.get(name, ""))
            with self._failures.noted():
                self.changed += self._batch.add(join(name), files)
