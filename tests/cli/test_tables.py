"""Tables on a terminal: a name may take several lines, a number and a date never."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich import box
from rich.console import Console
from rich.table import Column, Table

from tests.cli.terminal import on_terminal
from winnow_dagster.report.console import MIN_FOLDED, print_table

NAME = "a-name-of-a-package-that-is-long-enough-to-take-several-lines"
CELLS = ["30 days", "223,609", "4.34 TiB", "2026-11-27"]


def printed(width: int) -> list[str]:
    text = StringIO()
    others = (Column(title, justify="right") for title in ("window", "honest", "bytes", "as of"))
    table = Table(Column("package", overflow="fold"), *others, box=box.SIMPLE)
    table.add_row(NAME, *CELLS)
    print_table(Console(width=width, file=text), table)
    return text.getvalue().splitlines()


@pytest.mark.parametrize("width", [200, 80, 60, 40, 1])
def test_a_narrow_terminal_cuts_no_number_and_no_date(width: int) -> None:
    lines = printed(width)
    (row,) = (line for line in lines if "2026" in line)
    assert row.endswith("   ".join(CELLS) + "  ")
    names = [line[: line.index("   ", 2)].strip() if line is row else line.strip() for line in lines]
    assert NAME in "".join(names)


def test_the_name_folds_and_lines_are_longer_than_the_terminal_only_if_they_must_be() -> None:
    assert max(map(len, printed(80))) == 80
    others = sum(map(len, CELLS)) + 3 * len(CELLS)
    assert max(map(len, printed(1))) == 2 + MIN_FOLDED + others + 2


def test_a_collect_on_a_narrow_terminal_shows_whole_days() -> None:
    Path("winnow.yaml").write_text(f"packages: [{{name: {NAME}, window_days: 1}}]\nsource: {{kind: sample}}")
    _, shown = on_terminal("collect", columns=40)
    assert "…" not in shown
