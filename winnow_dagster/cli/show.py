"""`winnow show`."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from winnow_dagster.cli.errors import CURRENT, INCOMPLETE, UNUSABLE, Failure
from winnow_dagster.cli.options import complete_package_or_group, config_option, json_option, load, parse_name
from winnow_dagster.config.settings import PackageSettings
from winnow_dagster.core.dimensions import BREAKDOWNS
from winnow_dagster.core.names import Group, Selector, selector_of
from winnow_dagster.fields import MAX_WINDOW_DAYS
from winnow_dagster.sources.interface import SourceError
from winnow_dagster.sources.kinds import KIND_OF_NEW_CONFIGS, KINDS, costs_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from winnow_dagster.config.settings import Settings
    from winnow_dagster.core.names import NormalizedName
    from winnow_dagster.lookup import Found, Question
    from winnow_dagster.sources.interface import SourceSettings

DEFAULT_DAYS = 30


@click.command("show")
@click.argument("packages", nargs=-1, metavar="[PACKAGE ...]", shell_complete=complete_package_or_group)
@config_option
@click.option(
    "--days", type=click.IntRange(1, MAX_WINDOW_DAYS), help="The window. [default: the headline's; else 30 days]"
)
@click.option(
    "--by",
    "dimensions",
    multiple=True,
    type=click.Choice(BREAKDOWNS),
    help="Break the honest downloads down by this. May be repeated. [default: the breakdowns of the config]",
)
@click.option("-y", "--yes", is_flag=True, help="Ask the source even if that costs money.")
@json_option
def show_command(  # noqa: PLR0913 - an option each
    packages: tuple[str, ...],
    config_path: Path | None,
    days: int | None,
    dimensions: tuple[str, ...],
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Print the numbers of these packages and groups, or of all in the config.

    Numbers of packages in the config come from the store. All others come from the config's source, or from a public
    source if there is no config, and are not stored.

    Exits with 0 when every number is current, 1 when one is missing or behind, 2 for a bad config or bad arguments.
    """
    settings = load(config_path)
    chosen, others = _choose(settings, packages, days)
    from winnow_dagster.lookup import Question  # noqa: PLC0415 - imported late

    asked = Question(others, days or DEFAULT_DAYS, (), with_window_before=True)
    found = _find_others(settings, asked, dimensions, yes=yes) if others else []
    if chosen:
        from winnow_dagster.defs.resources import Installation  # noqa: PLC0415
        from winnow_dagster.lookup import find_stored  # noqa: PLC0415

        found = [*find_stored(Installation(settings), chosen, dimensions or None), *found]
    _print(found, settings.source, as_json=as_json, in_full=bool(dimensions))
    sys.exit(CURRENT if not any(each.problem for each in found) else INCOMPLETE)


def _choose(
    settings: Settings, packages: Sequence[str], days: int | None
) -> tuple[dict[Selector | Group, int], list[NormalizedName]]:
    """Return the windows of the selectors and groups of the config to show, and the names that it does not have."""
    if not packages:
        return {which: days or lengths[0] for which, lengths in settings.published_windows.items()}, []
    groups = {group.group.name: group for group in settings.groups}
    chosen: dict[Selector | Group, int] = {}
    others: dict[NormalizedName, None] = {}
    for text in packages:
        name = parse_name("PACKAGE", text)
        selector = selector_of(name, settings.windows)
        if selector:
            chosen[Selector(name)] = days or settings.windows[selector][0]
        elif name in groups:
            chosen[groups[name].group] = days or groups[name].window_days[0]
        else:
            others[name] = None
    return chosen, list(others)


def _find_others(settings: Settings, asked: Question, dimensions: Sequence[str], *, yes: bool) -> list[Found]:
    """Ask the source for packages that the config does not have. Say which source, and what that costs."""
    from winnow_dagster.lookup import find_at_source  # noqa: PLC0415 - imported late

    if settings.config_file is None:
        source = KINDS[KIND_OF_NEW_CONFIGS].section().resolve(settings.folder)
        settings = replace(settings, source=source)
    kind = KINDS[settings.source.kind]
    entries = tuple(PackageSettings(Selector(name), name, (asked.days,)) for name in asked.packages)
    settings = replace(settings, packages=entries, groups=())
    costs = costs_of(settings.source, settings.source_context)
    by = tuple(dimensions or kind.usual_breakdowns)
    # A second window would double the price.
    asked = replace(asked, dimensions=by, with_window_before=costs is None)
    names = ", ".join(asked.packages)
    now = datetime.now(UTC)
    try:
        if costs and not yes:
            price = costs.price_of_refetch(asked.days_to_read(now.date(), settings), list(settings.windows))
            raise Failure(f"{names}: not in the config. To ask {kind.name}: {price}. Add --yes to do it", UNUSABLE)
        click.echo(f"{names}: not in the config. Asking {settings.source}: {kind.summary}", err=True)
        return find_at_source(settings, asked, now)
    except SourceError as error:
        raise Failure(str(error), INCOMPLETE) from None


def _print(found: Sequence[Found], source: SourceSettings, *, as_json: bool, in_full: bool) -> None:
    from winnow_dagster.report.console import print_json  # noqa: PLC0415 - imported late
    from winnow_dagster.report.numbers import numbers_as_json, print_numbers  # noqa: PLC0415

    if as_json:
        print_json(numbers_as_json(found, source))
    else:
        print_numbers(found, source, in_full=in_full)
