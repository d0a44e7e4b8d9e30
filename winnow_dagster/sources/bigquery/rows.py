"""The number of rows of each day in BigQuery's table, over all packages.

A day's rows are those of its partition. `tables.get` on a partition is free, but no document says that its `numRows`
counts only the partition. INFORMATION_SCHEMA.PARTITIONS has the number, but bills 10 MB for each query.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import polars as pl
from google.api_core.exceptions import BadRequest, Forbidden, NotFound
from google.cloud import bigquery

from winnow_dagster.core.billing import MB, Entry
from winnow_dagster.core.coverage import days_between, end_of
from winnow_dagster.sources.bigquery.errors import is_transient
from winnow_dagster.sources.bigquery.jobs import Jobs, Statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from winnow_dagster.sources.bigquery.budget import Budget

logger = logging.getLogger(__name__)

PARTITIONS = "partitions"
"""The `strategy` of such a query in the ledger."""

MAX_FREE_CALLS = 120
"""The maximum number of free calls, one for each day. For more days, Winnow sends one query for 10 MB instead."""

MAX_PARALLEL_CALLS = 8
"""BigQuery allows 100 calls a second per user."""

PARTITIONS_CAP = int(100 * MB)


@dataclass(frozen=True)
class PartitionRows:
    """Counts the rows of a table's partitions, as far as the account may read them."""

    jobs: Jobs
    table: bigquery.Table

    @property
    def are_days(self) -> bool:
        """Whether each partition of the table is a day of `timestamp`. A view has no partitions."""
        partitioning = self.table.time_partitioning
        return bool(
            self.table.table_type == "TABLE"
            and partitioning is not None
            and partitioning.type_ == bigquery.TimePartitioningType.DAY
            and partitioning.field == "timestamp"
        )

    def count(self, first: date, last: date, budget: Budget) -> Mapping[date, int]:
        """Return the number of rows of each complete day; empty if the account may not read them.

        Raises transient errors.
        """
        modified = self.table.modified
        days = [day for day in days_between(first, last) if modified is None or end_of(day) <= modified]
        if not self.are_days or not days:
            return {}
        try:
            found = self._from_metadata(days) if len(days) <= MAX_FREE_CALLS else None
            return self._from_query(days, budget) if found is None else found
        except (Forbidden, NotFound, BadRequest) as error:
            if is_transient(error):
                raise
            logger.info("BigQuery does not report the number of rows of each day: %s", error.message)
            return {}

    def _from_metadata(self, days: Sequence[date]) -> dict[date, int] | None:
        """Return the rows of each partition from `tables.get`; None if they may be the rows of the whole table."""
        *earlier, newest = days
        whole, probe = self.table.num_rows, self._rows_of(newest)
        if probe in (None, whole):
            return None
        with ThreadPoolExecutor(MAX_PARALLEL_CALLS, thread_name_prefix="partitions") as pool:
            found = {newest: probe, **dict(zip(earlier, pool.map(self._rows_of, earlier), strict=True))}
        rows = {day: count or 0 for day, count in found.items()}
        return rows if len(set(rows.values())) > 1 and whole not in rows.values() else None

    def _rows_of(self, day: date) -> int | None:
        reference = bigquery.TableReference(
            bigquery.DatasetReference(self.table.project, self.table.dataset_id), f"{self.table.table_id}${day:%Y%m%d}"
        )
        retry_policy = self.jobs.retry_policy
        try:
            rows = self.jobs.client.get_table(reference, retry=retry_policy.retry(), timeout=retry_policy.call).num_rows
        except NotFound:
            return None
        return None if rows is None else int(rows)

    def _from_query(self, days: Sequence[date], budget: Budget) -> dict[date, int]:
        if budget.refuses(budget.figures.minimum_query_bytes):
            logger.warning("the month's budget does not allow asking BigQuery how many rows each day has")
            return {}
        dataset = f"{self.table.project}.{self.table.dataset_id}"
        text = (
            f"SELECT partition_id, SUM(total_rows) AS total_rows\nFROM `{dataset}`.INFORMATION_SCHEMA.PARTITIONS\n"
            "WHERE table_name = @table AND partition_id BETWEEN @first AND @last\nGROUP BY partition_id"
        )
        values: dict[str, datetime | str | list[str]] = {
            "table": self.table.table_id,
            "first": f"{days[0]:%Y%m%d}",
            "last": f"{days[-1]:%Y%m%d}",
        }
        size = budget.figures.minimum_query_bytes
        entry = Entry("", datetime.now(UTC), days[0], days[-1], [], PARTITIONS, size, columns=())
        frame, ended = self.jobs.run(Statement(text, values, PARTITIONS_CAP, entry))
        self.jobs.ledger.enter(replace(ended, rows=None))
        found = dict(frame.select(pl.col("partition_id").str.to_date("%Y%m%d", strict=False), "total_rows").iter_rows())
        return {day: int(found.get(day) or 0) for day in days}
