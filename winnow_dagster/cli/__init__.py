"""The `winnow` command: a module per command parses arguments and sets exit codes. Other modules do the work.

Modules that import Dagster are imported late, so that a mistyped option is reported at once.
"""

from __future__ import annotations

import click

from winnow_dagster.cli.check import check_command
from winnow_dagster.cli.collect import collect_command
from winnow_dagster.cli.doctor import doctor_command
from winnow_dagster.cli.errors import Commands
from winnow_dagster.cli.estimate import estimate_command
from winnow_dagster.cli.init import init_command
from winnow_dagster.cli.prune import prune_command
from winnow_dagster.cli.serve import serve_command
from winnow_dagster.cli.show import show_command
from winnow_dagster.output import open_streams
from winnow_dagster.version import __version__


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    commands=[
        init_command,
        doctor_command,
        show_command,
        collect_command,
        check_command,
        estimate_command,
        serve_command,
        prune_command,
    ],
)
@click.version_option(__version__, prog_name="winnow")
def main() -> None:
    """Honest download counts of Python packages, as badges."""
    open_streams()


def collect_like_predecessor() -> None:
    """Run `winnow collect` under the command name of pypi-winnow-downloads."""
    open_streams()
    collect_command.main(prog_name="winnow-collect")
