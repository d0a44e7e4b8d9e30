"""The `winnow` command: it parses arguments and sets exit codes. Other modules do the work.

Modules that import Dagster are imported late, so that a mistyped option is reported at once.
"""

from __future__ import annotations

import contextlib
import difflib
import gc
import os
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from winnow_dagster import __version__
from winnow_dagster.config.loading import CONFIG_VARIABLE, ConfigError, load_settings
from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.escaping import for_terminal
from winnow_dagster.core.names import NormalizedName, normalise
from winnow_dagster.files.errors import NotOursError, StorageError
from winnow_dagster.files.paths import local_path
from winnow_dagster.output import open_streams

if TYPE_CHECKING:
    from collections.abc import Iterator

    from winnow_dagster.config.settings import Settings

CURRENT, INCOMPLETE, UNUSABLE = 0, 1, 2

config_option = click.option(
    "--config",
    "config_path",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="The config file. [default: $WINNOW_CONFIG, else ./winnow.yaml, else four sample packages]",
)


class Failure(click.ClickException):
    """An error that ends a command, with one line per problem and the exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click declares it for the class, and reads the instance's

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the problem on standard error."""
        click.echo(for_terminal(f"winnow: {self.message}"), file=file, err=True)


class _Commands(click.Group):
    """Commands that report an unusable directory in one line, unless they handle that error themselves."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click has it
        """Run the named command."""
        try:
            return super().invoke(ctx)
        except (NotOursError, StorageError) as error:
            raise Failure(str(error), UNUSABLE) from None


@contextlib.contextmanager
def _importing() -> Iterator[None]:
    """Import without garbage collection. Imports leave no garbage, and to search for it takes a sixth of the time."""
    gc.disable()
    yield
    gc.freeze()
    gc.enable()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="winnow")
def main() -> None:
    """Honest download counts of Python packages, as badges."""
    open_streams()


@main.command()
@config_option
@click.option("--through", metavar="YYYY-MM-DD", help="The newest day to include. [default: yesterday, UTC]")
@click.option("--package", "packages", multiple=True, metavar="NAME", help="Only this package. May be repeated.")
@click.option(
    "--refetch", metavar="DAY[..DAY]", help="Re-read this day or this range of days. Print first what that costs."
)
@click.option("--adopt", is_flag=True, help="Take over output_dir from another config, or after its data_dir was lost.")
@click.option("-v", "--verbose", is_flag=True, help="Show Dagster's own log.")
def collect(  # noqa: PLR0913 - an option each
    config_path: Path | None,
    through: str | None,
    packages: tuple[str, ...],
    refetch: str | None,
    *,
    adopt: bool,
    verbose: bool,
) -> None:
    """Bring every badge up to date.

    Exits with 0 when every badge is current, 1 when a package failed or is incomplete (the others are published),
    2 for a bad config or bad arguments.
    """
    settings = _load(config_path)
    newest = _parse_day("--through", through, settings) if through else None
    again = _parse_range("--refetch", refetch, settings) if refetch else None
    names = [_configured(name, settings) for name in packages]
    with _importing():
        from winnow_dagster import collect as collecting  # noqa: PLC0415 - see above
        from winnow_dagster import report  # noqa: PLC0415
        from winnow_dagster.defs.resources import Installation  # noqa: PLC0415
        from winnow_dagster.files.errors import SampleOverRealError  # noqa: PLC0415

    try:
        if adopt:
            collecting.claim(Installation(settings), adopt=True)
        with report.ProgressReporter(settings) as progress:
            scope = collecting.Scope(newest, names, again)
            result = collecting.collect(settings, scope, progress=progress, verbose=verbose)
    except (ConfigError, SampleOverRealError) as error:
        raise Failure(str(error), UNUSABLE) from None
    except StorageError as error:
        raise Failure(str(error), INCOMPLETE) from None
    report.print_result(result, progress.cost_line, progress.unnamed)
    sys.exit(CURRENT if result.is_current else INCOMPLETE)


@main.command()
@config_option
def check(config_path: Path | None) -> None:
    """Validate the config and list what it will publish. Fetches nothing and leaves no files behind.

    Exits with 2 if a key, a directory or a source file cannot be used.
    """
    settings = _load(config_path)
    from winnow_dagster import report  # noqa: PLC0415 - see above
    from winnow_dagster.defs.resources import Installation  # noqa: PLC0415
    from winnow_dagster.preflight import find_problems  # noqa: PLC0415

    problems = find_problems(settings)
    if problems:
        raise Failure("\nwinnow: ".join(problems), UNUSABLE)
    winnow = Installation(settings)
    report.print_plan(winnow)
    winnow.ownership.check()


@main.command()
@config_option
@click.option("--dry-run", is_flag=True, help="Ask BigQuery for its upper bound of a day's queries. This is free.")
def estimate(config_path: Path | None, *, dry_run: bool) -> None:
    """Print what the config costs with BigQuery, per day and month. Sends no query."""
    settings = _load(config_path)
    from winnow_dagster import report  # noqa: PLC0415 - see above
    from winnow_dagster.sources.interface import SourceError  # noqa: PLC0415

    report.print_estimate(settings)
    if dry_run:
        try:
            report.print_dry_run(settings)
        except SourceError as error:
            raise Failure(str(error), INCOMPLETE) from None


@main.command()
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
def serve(config_path: Path | None, host: str, port: int) -> None:
    """Serve the published directory to try it out. Only this machine can reach it, unless you set --host.

    Ctrl-C stops it with exit code 0. In production let a web server such as Caddy serve the directory: see deploy/.
    """
    settings = _load(config_path)
    from winnow_dagster.serve import run  # noqa: PLC0415 - see above

    folder = local_path(settings.output_dir)
    if folder is None:
        raise Failure(f"{settings.output_dir}: the bucket's service serves it. deploy/README.md says how", UNUSABLE)
    if not folder.is_dir():
        raise Failure(f"{folder}: nothing is published yet. Run `winnow collect` first", UNUSABLE)
    try:
        run(folder, host, port)
    except OSError as error:
        # The text in brackets repeats the address.
        why = str(error.strerror).partition(" (")[0]
        raise Failure(
            f"{host}, port {port}: {why}. Choose another address with --host, or port with --port", UNUSABLE
        ) from None


@main.command()
@config_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def prune(config_path: Path | None, *, yes: bool) -> None:
    """Remove the published files of packages and windows that the config no longer has.

    Asks first. A README that still shows such a badge shows nothing then. The days read so far stay, and so do files
    that Winnow did not publish.
    """
    settings = _load(config_path)
    if settings.config_file is None:
        raise Failure("there is no config to say which files to keep. Give its path with --config", UNUSABLE)
    from winnow_dagster.defs.resources import Installation  # noqa: PLC0415 - see above
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


def collect_like_predecessor() -> None:
    """Run `winnow collect` under the command name of pypi-winnow-downloads."""
    open_streams()
    collect.main(prog_name="winnow-collect")


def _load(path: Path | None) -> Settings:
    _leave_deleted_directory(path)
    try:
        return load_settings(path)
    except ConfigError as error:
        raise Failure(str(error), UNUSABLE) from None


def _leave_deleted_directory(config_path: Path | None) -> None:
    """Change to another directory if the current one was deleted and the config is not in it."""
    try:
        Path.cwd()
    except FileNotFoundError:
        path = config_path or Path(os.environ.get(CONFIG_VARIABLE, ""))
        problem = "the working directory was deleted"
        if not path.is_absolute():
            raise Failure(f"{problem}. Change to another one, and run again", UNUSABLE) from None
        click.echo(f"winnow: {problem}: relative paths in variables do not work", err=True)
        os.chdir("/")


def _parse_day(option: str, text: str, settings: Settings) -> date:
    today = datetime.now(UTC).date()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Failure(f"{option}: {text!r} is not a day. Write it as {today - ONE_DAY}", UNUSABLE) from None
    if day >= today:
        raise Failure(f"{option}: {day} is not over yet (UTC). The newest day is {today - ONE_DAY}", UNUSABLE)
    if day < settings.start_date:
        raise Failure(f"{option}: {day} is before start_date, {settings.start_date}. Choose a later day", UNUSABLE)
    return day


def _parse_range(option: str, text: str, settings: Settings) -> tuple[date, date]:
    """Return the first and last day of `2026-11-21` or `2026-11-01..2026-11-21`, or exit."""
    one, _, other = text.partition("..")
    first = _parse_day(option, one, settings)
    last = _parse_day(option, other, settings) if other else first
    if last < first:
        raise Failure(f"{option}: {last} is before {first}. Write the older day first", UNUSABLE)
    return first, last


def _configured(text: str, settings: Settings) -> NormalizedName:
    """Return the name of a configured package, or exit."""
    try:
        name = normalise(text)
    except ValueError as error:
        raise Failure(f"--package: {error}", UNUSABLE) from None
    if any(selector.matches(name) for selector in settings.windows):
        return name
    known = {selector.stem: str(selector) for selector in settings.windows}
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else "Add it under packages: first"
    raise Failure(f"--package: {text} is not in the config. {hint}", UNUSABLE)


if __name__ == "__main__":
    main()
