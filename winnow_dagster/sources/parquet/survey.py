"""Survey a Parquet file: its columns, the rows of each day, and whether Winnow can use the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from winnow_dagster.core.coverage import ONE_DAY, end_of
from winnow_dagster.core.dimensions import OPEN_DIMENSIONS
from winnow_dagster.sources.interface import SourceError
from winnow_dagster.sources.parquet.schema import OPEN_COLUMNS, Columns, parse_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What polars may raise for a damaged Parquet file. Some files make it panic."""


class UnusableFileError(Exception):
    """Winnow cannot use a file. The message has the reason and the fix, but not the file's name."""


@dataclass(frozen=True)
class DaySpan:
    """The rows of one day in one file: their number, and their first and last moment."""

    rows: int
    first: datetime
    last: datetime

    def overlaps(self, other: DaySpan) -> bool:
        """Return whether the two spans share a moment."""
        return self.first <= other.last and other.first <= self.last


MIN_EARLY_END = timedelta(hours=2)
"""Winnow warns if the newest day's rows end this much earlier than those of every other day."""


@dataclass(frozen=True)
class Survey:
    """The content of a file. `problem`: why the file is unusable. `refused`: the first and last day that it fails."""

    file: str
    schema: pl.Schema = field(default_factory=pl.Schema)
    columns: Columns = field(default_factory=lambda: Columns({}, {}, {}))
    spans: Mapping[date, DaySpan] = field(default_factory=dict)
    problem: str = ""
    refused: tuple[date, date] | None = None

    def refuses(self, day: date) -> bool:
        """Return whether the file is unusable and may have rows of this day."""
        return self.refused is not None and self.refused[0] <= day <= self.refused[1]

    def scan(self) -> pl.LazyFrame:
        """Return the file's rows."""
        return pl.scan_parquet(self.file, glob=False, hive_partitioning=False)


def survey_file(file: str) -> Survey:
    """Return the survey of a file. Raises SourceError if it is unusable and its days are unknown."""
    try:
        # Not read_parquet_schema, which treats `x[1].parquet` as a glob.
        schema = Survey(file).scan().collect_schema()
    except UNREADABLE as error:
        return mark_unusable(Survey(file), _not_parquet(error))
    found = Survey(file, schema, parse_columns(schema))
    try:
        return _survey_rows(found)
    except UNREADABLE as error:
        return mark_unusable(found, damage(error))


def find_footer_problem(file: str) -> str:
    """Return why a file is unusable as far as its footer tells; empty if nothing is wrong. Reads no rows."""
    try:
        scan = Survey(file).scan()
        wrong = list(parse_columns(scan.collect_schema()).wrong.values())
        is_usable = not wrong or scan.select(pl.len()).collect().item() == 0
    except UNREADABLE as error:
        return f"{file}: {_not_parquet(error)}"
    return "" if is_usable else f"{file}: {wrong[0]}"


def _not_parquet(error: BaseException) -> str:
    return f"cannot be read as Parquet ({reason_of(error)}). Remove it from source.path, or export it again"


def _survey_rows(found: Survey) -> Survey:
    scan, columns = found.scan(), found.columns
    rows = scan.select(pl.len()).collect().item()
    if rows == 0:
        return found
    problems = list(columns.wrong.values())
    checked = [column for column in columns.null_or_wrong if column not in OPEN_COLUMNS]
    problems += filter(None, (_complain(found, column) for column in checked))
    if "timestamp" not in columns.values or isinstance(found.schema["timestamp"], pl.Null):
        return mark_unusable(found, problems[0])
    if not isinstance(found.schema["timestamp"], pl.Datetime):
        return mark_unusable(found, columns.wrong["timestamp"])
    moment = columns.values["timestamp"].alias("moment")
    days = (
        scan.select(moment)
        .group_by(pl.col("moment").dt.date().alias("date"))
        .agg(rows=pl.len(), first=pl.col("moment").min(), last=pl.col("moment").max())
        .collect()
    )
    spans = {day: DaySpan(*rest) for day, *rest in days.sort("date").iter_rows() if day}
    if len(spans) < days.height:
        problems.append("column timestamp is NULL in some rows. Export it again without them")
    found = Survey(found.file, found.schema, columns, spans)
    return mark_unusable(found, problems[0]) if problems else found


def _complain(found: Survey, column: str) -> str:
    """Return what is wrong with a column of another type. Nothing is wrong with it if it is NULL in every row."""
    value, complaint = found.columns.null_or_wrong[column]
    return complaint if found.scan().select(value.is_not_null().any()).collect().item() else ""


def why_unknown(survey: Survey, dimension: str) -> str:
    """Return why a file does not have the values of an open dimension, and the fix. Empty if it has them."""
    columns = OPEN_DIMENSIONS[dimension].columns
    missing = [column for column in columns if column not in survey.columns.values]
    if missing:
        if OPEN_DIMENSIONS[dimension].is_recent:
            return ""
        return f"has no column {missing[0]}. Export it with the schema of file_downloads"
    try:
        complaints = (_complain(survey, column) for column in columns if column in survey.columns.null_or_wrong)
        return next(filter(None, complaints), "")
    except UNREADABLE as error:
        return damage(error)


def find_early_end(surveys: Iterable[Survey], last: date) -> datetime | None:
    """Return the last moment of the newest day if its rows end hours earlier than those of every other day.

    Ignores rows from two days after `last` on, whose dates may be wrong: some tools write 9999-12-31 for "never".
    """
    ends: dict[date, datetime] = {}
    days = ((day, span) for survey in surveys for day, span in survey.spans.items() if day <= last + ONE_DAY)
    for day, span in days:
        ends[day] = max(span.last, ends.get(day, span.last))
    missing = {day: end_of(day) - end for day, end in ends.items()}
    newest = max(missing, default=None)
    if newest is None or len(missing) == 1:
        return None
    longest_of_others = max(gap for day, gap in missing.items() if day != newest)
    return ends[newest] if missing[newest] >= longest_of_others + MIN_EARLY_END else None


def mark_unusable(found: Survey, problem: str) -> Survey:
    """Return an unusable survey that fails the days between the first and last timestamp. Raises SourceError."""
    first_and_last = (min(found.spans), max(found.spans)) if found.spans else _days_by_footer(found.file)
    problem = f"{found.file}: {problem}"
    if first_and_last is None:
        raise SourceError(problem)
    return Survey(found.file, found.schema, found.columns, {}, problem, first_and_last)


def damage(error: BaseException) -> str:
    """Return the problem of a file with unreadable rows."""
    return f"is damaged ({reason_of(error)}). Remove it from source.path, or export it again"


def reason_of(error: BaseException) -> str:
    """Return the first line of the library's message."""
    return (str(error) or type(error).__name__).splitlines()[0]


def _days_by_footer(file: str) -> tuple[date, date] | None:
    """Return the first and last day from the footer's statistics, for a file with unreadable rows."""
    # The import takes a third of a second, and only damaged files need it.
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    try:
        footer = parquet.read_metadata(file)
        groups = [footer.row_group(n) for n in range(footer.num_row_groups)]
        columns = [group.column(n) for group in groups for n in range(group.num_columns)]
        found = [column.statistics for column in columns if column.path_in_schema == "timestamp"]
    except (pa.ArrowException, OSError):
        return None
    moments = [moment for bounds in found if bounds for moment in (bounds.min, bounds.max)]
    if not moments or len(moments) < 2 * len(groups) or not all(isinstance(moment, datetime) for moment in moments):
        return None
    days = [moment.astimezone(UTC).date() if moment.tzinfo else moment.date() for moment in moments]
    return min(days), max(days)
