"""Publication: the rules by which numbers take the place of published ones.

Packages, prefixes, groups and `*` follow the same rules. Which files there are is the business of their records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.files.errors import SampleOverRealError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from datetime import date

    from winnow_dagster.files.operations import Batch, Failures
    from winnow_dagster.files.paths import StorePath


class Record(Protocol):
    """Numbers that are published together: those of one package or group, or of a shard of packages."""

    @property
    def source(self) -> str:
        """The kind of source that the numbers come from."""

    @property
    def as_of(self) -> Collection[date]:
        """The newest day of each window that has numbers."""

    @property
    def place(self) -> StorePath:
        """Where the numbers are published."""

    def keep_newest(self, published: Self) -> Self:
        """Return this with the published numbers where they are newer, and with the published days that it lacks."""

    def remove_sample(self, published: Self) -> None:
        """Remove the files of sample data that this record does not replace. Raises StorageError."""

    def write(self) -> int:
        """Write the numbers, unless they are in the first file of each folder; return how many files change."""

    def folders(self, today: date) -> Iterator[tuple[StorePath | str, Callable[[], Mapping[str, bytes]]]]:
        """Yield each folder that shows the numbers, with what returns its files as they read on `today`."""


R = TypeVar("R", bound=Record)


class Publication:
    """Publishes records as they read on the day after `through`."""

    def __init__(self, through: date, failures: Failures, batch: Batch) -> None:
        """Start with no file changed. A folder that cannot be written is noted in `failures`."""
        self.changed = 0
        self.today = through + ONE_DAY
        self._through, self._failures, self._batch = through, failures, batch

    def publish(self, computed: R, published: R | None) -> R:
        """Publish the newer numbers of the two (R5), and return them.

        Raises StorageError, and SampleOverRealError.
        """
        if published is not None and mixes_sample(computed.source, published.source):
            refuse_sample_over_real(computed.source, published)
            computed.remove_sample(published)
        elif published is not None:
            if self.is_replay(published.as_of):
                return published
            computed = computed.keep_newest(published)
        self._write(computed)
        return computed

    def refresh(self, published: Record) -> None:
        """Let published numbers grow stale (R6). Raises StorageError."""
        if not self.is_replay(published.as_of):
            self._write(published)

    def is_replay(self, published: Collection[date]) -> bool:
        """Tell whether something newer is published, so that older days are being replayed: then it stays as it is."""
        return any(day > self._through for day in published)

    def end(self) -> None:
        """Put the files in place that wait for it."""
        self._batch.put()

    def _write(self, record: Record) -> None:
        # The record first: it may name a day that the badges do not show yet, never the other way round.
        self.changed += record.write()
        for folder, files_of in record.folders(self.today):
            with self._failures.collect():
                self.changed += self._batch.add(folder, files_of())


def mixes_sample(one: str, other: str) -> bool:
    """Tell whether one of two sources is the sample source, and the other is not: their numbers never mix (R8)."""
    return (one == "sample") != (other == "sample")


def refuse_sample_over_real(source: str, published: Record) -> None:
    """Raise SampleOverRealError if `source` is the sample source and real numbers are published."""
    if source == "sample" != published.source and published.as_of:
        raise SampleOverRealError(published.place)
