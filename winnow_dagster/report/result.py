"""The result of `winnow collect`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.table import Column, Table
from rich.text import Text

from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.escaping import for_terminal
from winnow_dagster.files.paths import local_path
from winnow_dagster.report.console import console_that_may_fail, print_table
from winnow_dagster.site.comparison import name_window
from winnow_dagster.site.index import package_entry
from winnow_dagster.site.page import PAGE_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from winnow_dagster.collect import Result
    from winnow_dagster.config.settings import Settings
    from winnow_dagster.report.progress import ProgressReporter
    from winnow_dagster.site.index import Row


@dataclass(frozen=True)
class Report:
    """The result of a collect, its progress and its duration."""

    settings: Settings
    result: Result
    progress: ProgressReporter
    seconds: float

    def print(self, *, quiet: bool = False) -> None:
        """Print a table of packages, then what is wrong, the cost, and one line that sums up.

        With `quiet`, print only what is wrong.
        """
        out = console_that_may_fail()
        if not quiet:
            print_table(out, self._table())
        for line in self._notes(quiet=quiet):
            out.print(for_terminal(line), markup=False, soft_wrap=True)
        if not quiet:
            self._print_sums(out)

    def as_json(self) -> dict[str, object]:
        """Return the result as JSON values."""
        result, cost = self.result, self.progress.cost
        return {
            "is_current": result.is_current,
            "seconds": round(self.seconds, 1),
            "look_at": _page(self.settings),
            "packages": [_entry(row, result) for row in result.rows],
            "errors": list(result.errors),
            "remarks": list(result.remarks),
            "rows_without_file_name": self.progress.unnamed,
            "cost": {
                "queries": cost.queries,
                "bytes_processed": cost.bytes_processed,
                "bytes_billed": cost.bytes_billed,
            },
        }

    def _table(self) -> Table:
        right = [Column(name, justify="right") for name in ("honest", "of raw")]
        table = Table(Column("package", overflow="fold"), "badge", "window", *right, "as of", box=box.SIMPLE)
        for row in self.result.rows:
            counts = row.window.counts
            cells = (
                _name(row),
                str(row.badge.payload["message"]),
                name_window(row.window),
                f"{counts.honest:,}" if counts else "-",
                f"{counts.raw:,}" if counts else "-",
                str(counts.window.as_of) if counts else "-",
            )
            # As Text, because a name or a message may contain rich's markup.
            table.add_row(*map(Text, map(for_terminal, cells)))
        return table

    def _notes(self, *, quiet: bool) -> Iterator[str]:
        by_row = [(row, row.status if quiet else row.note) for row in self.result.rows]
        notes = [f"{_name(row)}: {note}" for row, note in by_row if note]
        yield from notes
        # The line of a package may have ended with the same reason.
        yield from (error for error in self.result.errors if not any(note.endswith(f": {error}") for note in notes))
        if not quiet:
            yield from self.result.remarks

    def _print_sums(self, out: Console) -> None:
        if self.progress.unnamed:
            line = (
                f"{self.progress.unnamed:,} rows of days up to {LAST_MIXED_DAY} have no file name and are not counted"
            )
            out.print(line, markup=False, soft_wrap=True)
        if self.progress.cost_line:
            out.print(self.progress.cost_line, markup=False, soft_wrap=True)
        out.print(for_terminal(self.last_line()), markup=False, soft_wrap=True)

    def last_line(self) -> str:
        """Return a line that says what changed, how long it took, and where to look."""
        rows = self.result.rows
        new = sum(row.state.package in self.result.changed for row in rows)
        behind = sum(row.status is not None for row in rows)
        what = f"New numbers for {new} of {len(rows)} packages" if new else f"No new number for {len(rows)} packages"
        what = what.removesuffix("s") if len(rows) == 1 else what
        if behind:
            what += f", {behind} incomplete"
        elif not new and self.result.is_current:
            what += ": every badge is current"
        how = (
            ""
            if self.settings.base_url or local_path(self.settings.output_dir) is None
            else " (`winnow serve` shows it)"
        )
        return f"{what}, in {self.seconds:.1f} s. See {_page(self.settings)}{how}"


def _page(settings: Settings) -> str:
    """Return where the page that lists all packages is."""
    return f"{settings.base_url}/" if settings.base_url else str(settings.output_dir / PAGE_NAME)


def _name(row: Row) -> str:
    return f"{row.name} (group)" if row.is_group else row.name


def _entry(row: Row, result: Result) -> dict[str, object]:
    payload = row.badge.payload
    return {
        **package_entry(row),
        "is_group": row.is_group,
        "badge": {key: payload[key] for key in ("label", "message", "color")},
        "is_new": row.state.package in result.changed,
        "remark": None if row.status else row.note,
    }
