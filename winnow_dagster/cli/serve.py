"""`winnow serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from winnow_dagster.cli.errors import UNUSABLE, Failure
from winnow_dagster.cli.options import config_option, load
from winnow_dagster.files.paths import local_path

if TYPE_CHECKING:
    from pathlib import Path


@click.command("serve")
@config_option
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The address to listen on; 0.0.0.0 means every address."
)
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="0 takes a free port.",
)
@click.option("--open", "opens_browser", is_flag=True, help="Open the page in your browser.")
def serve_command(config_path: Path | None, host: str, port: int, *, opens_browser: bool) -> None:
    """Serve the published directory to try it out. Only this machine can reach it, unless you set --host.

    Ctrl-C stops it with exit code 0. In production let a web server such as Caddy serve the directory: see deploy/.
    """
    settings = load(config_path)
    from winnow_dagster.serve import run  # noqa: PLC0415 - imported late

    folder = local_path(settings.output_dir)
    if folder is None:
        raise Failure(f"{settings.output_dir}: the bucket's service serves it. deploy/README.md says how", UNUSABLE)
    if not folder.is_dir():
        raise Failure(f"{folder}: nothing is published yet. Run `winnow collect` first", UNUSABLE)
    try:
        run(folder, host, port, path=urlsplit(settings.base_url).path, opens_browser=opens_browser)
    except OSError as error:
        # The text in brackets repeats the address.
        why = str(error.strerror).partition(" (")[0]
        raise Failure(
            f"{host}, port {port}: {why}. Choose another address with --host, or port with --port", UNUSABLE
        ) from None
