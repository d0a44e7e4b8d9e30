"""`winnow estimate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from winnow_dagster.cli.errors import INCOMPLETE, Failure
from winnow_dagster.cli.options import config_option, load

if TYPE_CHECKING:
    from pathlib import Path


@click.command("estimate")
@config_option
@click.option("--dry-run", is_flag=True, help="Ask BigQuery for its upper bound of a day's queries. This is free.")
def estimate_command(config_path: Path | None, *, dry_run: bool) -> None:
    """Print what the config costs with BigQuery, per day and month. Sends no query."""
    settings = load(config_path)
    from winnow_dagster import report  # noqa: PLC0415 - imported late
    from winnow_dagster.sources.interface import SourceError  # noqa: PLC0415

    report.print_estimate(settings)
    if dry_run:
        try:
            report.print_dry_run(settings)
        except SourceError as error:
            raise Failure(str(error), INCOMPLETE) from None
