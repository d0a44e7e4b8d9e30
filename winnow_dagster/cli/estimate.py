"""`winnow estimate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from winnow_dagster.cli.errors import INCOMPLETE, Failure
from winnow_dagster.cli.options import config_option, json_option, load

if TYPE_CHECKING:
    from pathlib import Path


@click.command("estimate")
@config_option
@click.option("--dry-run", is_flag=True, help="Ask BigQuery for its upper bound of a day's queries. This is free.")
@json_option
def estimate_command(config_path: Path | None, *, dry_run: bool, as_json: bool) -> None:
    """Print what the config costs with BigQuery, per day and month. Sends no query."""
    settings = load(config_path)
    from winnow_dagster.report import estimate  # noqa: PLC0415 - imported late
    from winnow_dagster.report.console import print_json  # noqa: PLC0415
    from winnow_dagster.sources.interface import SourceError  # noqa: PLC0415

    try:
        if as_json:
            bound = {"upper_bound": estimate.upper_bound(settings)} if dry_run else {}
            print_json(estimate.estimate_as_json(settings) | bound)
            return
        estimate.print_estimate(settings)
        if dry_run:
            estimate.print_dry_run(settings)
    except SourceError as error:
        raise Failure(str(error), INCOMPLETE) from None
