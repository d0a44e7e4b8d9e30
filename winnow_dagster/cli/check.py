"""`winnow check`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from winnow_dagster.cli.errors import UNUSABLE, Failure
from winnow_dagster.cli.options import config_option, json_option, load, quiet_option
from winnow_dagster.core.escaping import for_terminal
from winnow_dagster.files.errors import SampleOverRealError

if TYPE_CHECKING:
    from pathlib import Path


@click.command("check")
@config_option
@json_option
@quiet_option
def check_command(config_path: Path | None, *, as_json: bool, quiet: bool) -> None:
    """Validate the config and list what it will publish. Fetches nothing and leaves no files behind.

    Exits with 2 if a key, a directory or a source file cannot be used.
    """
    settings = load(config_path)
    from winnow_dagster.defs.resources import Installation  # noqa: PLC0415 - imported late
    from winnow_dagster.preflight import find_problems, find_warnings  # noqa: PLC0415
    from winnow_dagster.report.console import print_json  # noqa: PLC0415
    from winnow_dagster.report.plan import plan_as_json, print_plan  # noqa: PLC0415

    problems = find_problems(settings)
    if problems:
        raise Failure("\nwinnow: ".join(problems), UNUSABLE)
    winnow = Installation(settings)
    try:
        winnow.refuse_sample_over_real()
    except SampleOverRealError as error:
        raise Failure(str(error), UNUSABLE) from None
    if as_json:
        winnow.ownership.check()
        print_json(plan_as_json(winnow, find_warnings(settings)))
        return
    if not quiet:
        print_plan(winnow)
    for warning in find_warnings(settings):
        click.echo(for_terminal(f"winnow: warning: {warning}"), err=True)
    winnow.ownership.check()
