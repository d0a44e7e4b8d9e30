"""`winnow doctor`."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

import click

from winnow_dagster.cli.errors import CURRENT, INCOMPLETE, Failure
from winnow_dagster.cli.options import config_option, load
from winnow_dagster.core.escaping import for_terminal

if TYPE_CHECKING:
    from pathlib import Path

    from winnow_dagster.doctor import Finding

INDENT = 20
"""The column of the text after the mark and the name."""

MIN_WIDTH = 20


@click.command("doctor")
@config_option
def doctor_command(config_path: Path | None) -> None:
    """Examine everything that a collect needs, and print one line per requirement, with its fix.

    Costs nothing and publishes nothing. Exits with 1 if a requirement is not met.
    """
    from winnow_dagster.doctor import Finding, examine  # noqa: PLC0415 - imported late

    try:
        settings = load(config_path)
    except Failure as error:
        for problem in error.message.splitlines():
            _print(Finding("config", problem, is_ok=False))
        sys.exit(INCOMPLETE)
    is_ok = True
    for finding in examine(settings):
        _print(finding)
        is_ok &= finding.is_ok
    sys.exit(CURRENT if is_ok else INCOMPLETE)


def _print(finding: Finding) -> None:
    """Print a finding: wrapped on a terminal, on one line elsewhere."""
    mark = "ok" if finding.is_ok else "FAIL"
    text = for_terminal(finding.text)
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - INDENT
        # A path that is longer than a line stays in one piece, to be copied.
        lines = textwrap.wrap(text, max(width, MIN_WIDTH), break_long_words=False, break_on_hyphens=False)
        text = ("\n" + " " * INDENT).join(lines)
    head = click.style(f"{mark:<4}", fg="green" if finding.is_ok else "red")
    click.echo(f"{head}  {finding.name:<{INDENT - 6}}{text}")
