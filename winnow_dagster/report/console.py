"""Standard output for text, tables and JSON."""

from __future__ import annotations

import json
import sys
from typing import IO, TYPE_CHECKING, cast

from rich.console import Console
from rich.measure import Measurement

from winnow_dagster.output import Output

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

LOG_WIDTH = 240
"""The width of a log. A table takes only the width that it needs."""

MIN_FOLDED = 12
"""The smallest width of a column that folds what it holds."""

FORMAT = 1
"""The version of the JSON that commands print."""


def console() -> Console:
    """Return a console on standard output."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(width=LOG_WIDTH, highlight=False)


def console_that_may_fail(*, quiet: bool = False) -> Console:
    """Return a console that ignores a full disk or a closed pipe, for a command that does more than print."""
    output = cast("IO[str]", Output(sys.stdout))
    width = None if output.isatty() else LOG_WIDTH
    return Console(file=output, width=width, highlight=False, quiet=quiet)


def print_table(out: Console, table: Table) -> None:
    """Print a table of which only the columns with `overflow="fold"` may be narrower than what they hold.

    A narrow terminal wraps the lines, which is ugly. rich would cut numbers and dates, which is wrong.
    """
    unlimited = out.options.update(width=LOG_WIDTH)
    for column in table.columns:
        widest = max(Measurement.get(out, unlimited, cell).maximum for cell in (column.header, *column.cells))
        folds = column.overflow == "fold"
        column.no_wrap = not folds
        column.min_width = column.max_width = min(widest, MIN_FOLDED) if folds else widest
    needed = Measurement.get(out, unlimited, table).maximum
    for column in table.columns:
        column.max_width = None
    if needed > out.width:
        table.width = needed
    out.print(table, crop=False)


def print_json(content: Mapping[str, object], *, may_fail: bool = False) -> None:
    """Print JSON for programs: indented, keys in the given order, ASCII only.

    `may_fail`: ignore a full disk or a closed pipe, for a command that does more than print.
    """
    text = json.dumps({"format": FORMAT, **content}, indent=2, default=str)
    output = Output(sys.stdout) if may_fail else sys.stdout
    output.write(text + "\n")
    output.flush()
