"""`winnow collect`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from winnow_dagster.cli.errors import CURRENT, INCOMPLETE, UNUSABLE, Failure
from winnow_dagster.cli.options import (
    check_backfill,
    complete_package,
    config_option,
    find_configured,
    json_option,
    load,
    parse_day,
    parse_range,
    quiet_option,
    without_garbage_collection,
)
from winnow_dagster.config.loading import ConfigError
from winnow_dagster.core.dimensions import OPEN_DIMENSIONS
from winnow_dagster.files.errors import NotOursError, SampleOverRealError, StorageError

if TYPE_CHECKING:
    from pathlib import Path


@click.command("collect")
@config_option
@click.option("--through", metavar="YYYY-MM-DD", help="The newest day to include. [default: yesterday, UTC]")
@click.option(
    "--package",
    "packages",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_package,
    help="Only this package. May be repeated.",
)
@click.option(
    "--refetch", metavar="DAY[..DAY]", help="Re-read this day or this range of days. Print first what that costs."
)
@click.option(
    "--backfill",
    multiple=True,
    type=click.Choice(tuple(OPEN_DIMENSIONS)),
    help="Re-read the days that were read without this breakdown. Print first what that costs. May be repeated.",
)
@click.option("--adopt", is_flag=True, help="Take over output_dir from another config, or after its data_dir was lost.")
@json_option
@quiet_option
@click.option("-v", "--verbose", is_flag=True, help="Show Dagster's own log.")
def collect_command(  # noqa: PLR0913 - an option each
    config_path: Path | None,
    through: str | None,
    packages: tuple[str, ...],
    refetch: str | None,
    backfill: tuple[str, ...],
    *,
    adopt: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Bring every badge up to date.

    Exits with 0 when every badge is current, 1 when a package failed or is incomplete (the others are published),
    2 for a bad config or bad arguments.
    """
    began = time.monotonic()
    settings = load(config_path)
    newest = parse_day("--through", through, settings) if through is not None else None
    again = parse_range("--refetch", refetch, settings) if refetch is not None else None
    check_backfill(backfill, settings, is_refetch=again is not None)
    names = [find_configured("--package", name, settings) for name in packages]
    with without_garbage_collection():
        from winnow_dagster import collect as collecting  # noqa: PLC0415 - imported late
        from winnow_dagster.defs.resources import Installation  # noqa: PLC0415
        from winnow_dagster.report.console import print_json  # noqa: PLC0415
        from winnow_dagster.report.progress import ProgressReporter  # noqa: PLC0415
        from winnow_dagster.report.result import Report  # noqa: PLC0415

    try:
        if adopt:
            collecting.claim(Installation(settings), adopt=True)
        with ProgressReporter(settings, quiet=quiet or as_json) as progress:
            scope = collecting.Scope(newest, names, again, backfill)
            result = collecting.collect(settings, scope, progress=progress, verbose=verbose)
    except (ConfigError, NotOursError, SampleOverRealError) as error:
        raise Failure(str(error), UNUSABLE) from None
    except StorageError as error:
        raise Failure(str(error), INCOMPLETE) from None
    report = Report(settings, result, progress, time.monotonic() - began)
    if as_json:
        print_json(report.as_json(), may_fail=True)
    else:
        report.print(quiet=quiet)
    sys.exit(CURRENT if result.is_current else INCOMPLETE)
