"""Options that several commands have, and the config that they load."""

from __future__ import annotations

import contextlib
import difflib
import gc
import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from winnow_dagster.cli.errors import UNUSABLE, Failure
from winnow_dagster.config.loading import CONFIG_VARIABLE, ConfigError, load_settings
from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.dimensions import OPEN_DIMENSIONS
from winnow_dagster.core.names import NormalizedName, normalise

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from winnow_dagster.config.settings import Settings

config_option = click.option(
    "--config",
    "config_path",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="The config file. [default: $WINNOW_CONFIG, else ./winnow.yaml, else four sample packages]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON. docs/commands.md describes it.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print only what is wrong.")


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Import modules meanwhile. Imports leave no garbage, and to search for it takes a sixth of their time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def load(path: Path | None) -> Settings:
    """Return the settings of the config, or exit."""
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


def parse_day(option: str, text: str, settings: Settings) -> date:
    """Return a day that is over and not before start_date, or exit."""
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


def parse_range(option: str, text: str, settings: Settings) -> tuple[date, date]:
    """Return the first and last day of `2026-11-21` or `2026-11-01..2026-11-21`, or exit."""
    one, dots, other = text.partition("..")
    if dots and not (one and other):
        yesterday = datetime.now(UTC).date() - ONE_DAY
        fix = f"Write both days, as {yesterday - ONE_DAY}..{yesterday}, or one day without dots"
        raise Failure(f"{option}: {text!r} has only one end. {fix}", UNUSABLE)
    first = parse_day(option, one, settings)
    last = parse_day(option, other, settings) if dots else first
    if last < first:
        raise Failure(f"{option}: {last} is before {first}. Write the older day first", UNUSABLE)
    return first, last


def check_backfill(names: Collection[str], settings: Settings, *, is_refetch: bool) -> None:
    """Exit if no package has one of these breakdowns, or if other days are re-read too."""
    for name in names:
        if not any(name in dimensions for dimensions in settings.dimensions.values()):
            key = OPEN_DIMENSIONS[name].asked_by
            fix = f"{key}: true" if key else f"breakdowns: [{name}]"
            raise Failure(f"--backfill: no package has this breakdown. Write `{fix}` first", UNUSABLE)
    if names and is_refetch:
        raise Failure("--backfill: --refetch reads its days with every breakdown. Give one of the two", UNUSABLE)


def parse_name(option: str, text: str) -> NormalizedName:
    """Return a normalised name, or exit."""
    try:
        return normalise(text)
    except ValueError as error:
        raise Failure(f"{option}: {error}", UNUSABLE) from None


def find_configured(option: str, text: str, settings: Settings) -> NormalizedName:
    """Return the name of a configured package, or exit."""
    name = parse_name(option, text)
    if any(selector.matches(name) for selector in settings.windows):
        return name
    if members := next((group.group.members for group in settings.groups if group.group.name == name), None):
        named = ", ".join(map(str, members))
        raise Failure(f"{option}: {text} is a group. Name its packages instead: {named}", UNUSABLE)
    known = {selector.stem: str(selector) for selector in settings.windows}
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]}?" if near else "Add it under packages: first"
    raise Failure(f"{option}: {text} is not in the config. {hint}", UNUSABLE)


def complete_package(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the configured packages that begin with the word that a shell completes."""
    del param
    return _complete(ctx, incomplete, with_groups=False)


def complete_package_or_group(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the configured packages and groups that begin with the word that a shell completes."""
    del param
    return _complete(ctx, incomplete, with_groups=True)


def _complete(ctx: click.Context, incomplete: str, *, with_groups: bool) -> list[str]:
    try:
        settings = load_settings(ctx.params.get("config_path"))
    except ConfigError:
        return []
    names = [selector.stem for selector in settings.windows if not selector.is_prefix]
    groups = [group.group.name for group in settings.groups] if with_groups else []
    return [name for name in (*names, *groups) if name.startswith(incomplete.lower())]
