"""The `winnow` command: arguments in, exit codes out. What it does is done elsewhere.

Modules that import Dagster are imported late: nobody should wait for them to hear of a typing error.
"""

from __future__ import annotations

import difflib
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NoReturn

import click

from winnow_dagster import __version__
from winnow_dagster.config import ConfigError, Settings, load_settings
from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.names import NormalizedName, Selector, normalise

CURRENT, INCOMPLETE, UNUSABLE = 0, 1, 2

config_option = click.option(
    "--config",
    "config_path",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="The config file. [default: $WINNOW_CONFIG, else ./winnow.yaml, else four sample packages]",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="winnow")
def main() -> None:
    """Honest download counts of Python packages, as badges."""


@main.command()
@config_option
@click.option("--through", metavar="YYYY-MM-DD", help="The newest day to include. [default: yesterday, UTC]")
@click.option("--package", "packages", multiple=True, metavar="NAME", help="Only this package. May be repeated.")
@click.option("-v", "--verbose", is_flag=True, help="Show Dagster's own log.")
def collect(config_path: Path | None, through: str | None, packages: tuple[str, ...], *, verbose: bool) -> None:
    """Bring every badge up to date.

    Exits with 0 when every badge is current, 1 when some package failed or is incomplete (the others are
    published), 2 for bad config or arguments.
    """
    settings = _load(config_path)
    newest = _parse_through(through, settings) if through else None
    names = [_configured(name, settings) for name in packages]
    from winnow_dagster import collect as collecting, report  # noqa: PLC0415 - see above
    from winnow_dagster.storage.web import SampleOverRealError  # noqa: PLC0415

    try:
        with report.Progressing() as progress:
            result = collecting.collect(settings, newest, names, progress=progress, verbose=verbose)
    except SampleOverRealError as error:
        _fail(str(error), UNUSABLE)
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}. Make it a directory that this user can write to", INCOMPLETE)
    report.print_result(result)
    sys.exit(CURRENT if result.is_current else INCOMPLETE)


@main.command()
@config_option
def check(config_path: Path | None) -> None:
    """Print what the config comes to; fetch and write nothing."""
    settings = _load(config_path)
    from winnow_dagster import report  # noqa: PLC0415 - see above
    from winnow_dagster.defs.resources import Installation  # noqa: PLC0415

    report.print_plan(Installation(settings))


@main.command()
@config_option
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
def serve(config_path: Path | None, port: int) -> None:
    """Serve the published directory on this machine only."""
    settings = _load(config_path)
    from winnow_dagster.serve import run  # noqa: PLC0415 - see above

    if not settings.output_dir.is_dir():
        _fail(f"{settings.output_dir}: nothing is published yet. Run `winnow collect` first", UNUSABLE)
    try:
        run(settings.output_dir, port)
    except OSError as error:
        _fail(f"port {port}: {error.strerror}. Choose another with --port", UNUSABLE)


def collect_like_predecessor() -> None:
    """Run `winnow collect` under the name of pypi-winnow-downloads' command."""
    collect.main(prog_name="winnow-collect")


def _load(path: Path | None) -> Settings:
    try:
        return load_settings(path)
    except ConfigError as error:
        _fail(str(error), UNUSABLE)


def _parse_through(text: str, settings: Settings) -> date:
    today = datetime.now(UTC).date()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        _fail(f"--through: {text!r} is not a day. Write it as {today - ONE_DAY}", UNUSABLE)
    if day >= today:
        _fail(f"--through: {day} is not over yet (UTC). The newest day is {today - ONE_DAY}", UNUSABLE)
    if day < settings.start_date:
        _fail(f"--through: {day} is before start_date, {settings.start_date}. Choose a later day", UNUSABLE)
    return day


def _configured(text: str, settings: Settings) -> NormalizedName:
    """Return the name of a configured package, or exit."""
    try:
        name = normalise(text)
    except ValueError as error:
        _fail(f"--package: {error}", UNUSABLE)
    if any(selector.matches(name) for selector in settings.windows):
        return name
    known = {selector.stem: str(selector) for selector in settings.windows}
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else "Add it under packages: first"
    _fail(f"--package: {text} is not in the config. {hint}", UNUSABLE)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"winnow: {message}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
