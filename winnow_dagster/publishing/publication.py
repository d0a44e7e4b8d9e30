"""Publication: the rules by which new numbers replace published ones.

Packages, prefixes, groups and `*` follow the same rules. This module does not decide what their files contain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.days import Package
from winnow_dagster.core.shard import Shard
from winnow_dagster.core.window import mixes_sample
from winnow_dagster.files.errors import SampleOverRealError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from datetime import date

    from winnow_dagster.files.operations import Batch, Failures
    from winnow_dagster.files.paths import StorePath


N = TypeVar("N", Package, Shard)
"""The unit of a publication: a package or group, or a shard of packages."""


class Publication:
    """Publishes numbers as they read on the day after `through`. Collects errors of writing in `failures`."""

    def __init__(self, through: date, failures: Failures, batch: Batch) -> None:
        self.changed = 0
        self.today = through + ONE_DAY
        self._through, self._failures, self._batch = through, failures, batch

    def newest(self, computed: N, published: N | None) -> N | None:
        """Return the newer numbers of the two (R5). None: this replays an older day, so the published files stay."""
        if published is None or mixes_sample(computed.source, published.source):
            return computed
        return None if self.is_replay(published.as_of) else computed.keep_newest(published)

    def is_replay(self, published: Collection[date]) -> bool:
        """Return whether the published numbers are newer than `through`."""
        return any(day > self._through for day in published)

    def write(
        self,
        folders: Iterable[tuple[StorePath | str, Callable[[], Mapping[str, bytes]]]],
        write_record: Callable[[], int] | None = None,
    ) -> None:
        """Write the record, then the folders. Without `write_record`, the first file of each folder is its record."""
        # The record first: it may be newer than the badges, never older.
        self.changed += write_record() if write_record else 0
        for folder, files in folders:
            with self._failures.collect():
                self.changed += self._batch.add(folder, files())

    def flush(self) -> None:
        """Put the staged files in place."""
        self._batch.put()


def refuse_sample_over_real(source: str, published: str, place: StorePath) -> None:
    """Raise SampleOverRealError if `source` is the sample source and the published numbers are real."""
    if source == "sample" != published:
        raise SampleOverRealError(place)
