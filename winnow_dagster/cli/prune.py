"""`winnow prune`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from winnow_dagster.cli.errors import UNUSABLE, Failure
from winnow_dagster.cli.options import config_option, load
from winnow_dagster.core.escaping import for_terminal

if TYPE_CHECKING:
    from pathlib import Path


@click.command("prune")
@config_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def prune_command(config_path: Path | None, *, yes: bool) -> None:
    """Remove the published files of packages and windows that the config no longer has.

    Asks first. A README that still shows such a badge shows nothing then. The days read so far stay, and so do files
    that Winnow did not publish.
    """
    settings = load(config_path)
    if settings.config_file is None:
        raise Failure("there is no config to say which files to keep. Give its path with --config", UNUSABLE)
    from winnow_dagster.defs.resources import Installation  # noqa: PLC0415 - imported late
    from winnow_dagster.files.session import publishing  # noqa: PLC0415
    from winnow_dagster.publishing.prune import count_orphans, find_orphans, remove_orphans  # noqa: PLC0415

    winnow = Installation(settings)
    winnow.ownership.check()
    web = winnow.web
    orphans = find_orphans(web, settings.published_windows)
    if not orphans:
        click.echo("There is nothing to remove: every published file belongs to the config.")
        return
    for folder, files in orphans.items():
        click.echo(for_terminal(f"{web.folder / folder}: {', '.join(files)}"))
    number = count_orphans(web, orphans)
    if yes or click.confirm(f"Remove these {number} files for good?"):
        with publishing(settings.data_dir, web.folder) as session:
            winnow.ownership.claim()
            web = replace(web, folder=session.folder)
            # A run may have published while the user decided. Files that the user was not asked about stay.
            now = find_orphans(web, settings.published_windows)
            agreed = {
                folder: [f for f in files if f in orphans[folder]] for folder, files in now.items() if folder in orphans
            }
            number = count_orphans(web, agreed)
            remove_orphans(web, agreed)
        click.echo(f"Removed {number} files.")
