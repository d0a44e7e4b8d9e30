"""The plan of a config, as `winnow check` prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Column, Table
from rich.text import Text

from winnow_dagster.core.badge import split_slug
from winnow_dagster.core.escaping import for_terminal
from winnow_dagster.core.names import Group
from winnow_dagster.report.console import console, print_table
from winnow_dagster.site.folder import FILES_BESIDE_BADGES
from winnow_dagster.site.record import window_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from winnow_dagster.config.settings import Settings
    from winnow_dagster.core.names import Selector
    from winnow_dagster.defs.resources import Installation


def print_plan(winnow: Installation) -> None:
    """Print a config's source, the days to fetch, and its packages with their windows and folders."""
    settings, out = winnow.settings, console()
    gaps = winnow.gaps()
    prefixes = sum(p.selector.is_prefix for p in settings.packages)
    lines = {
        "config": settings.config_file or "none: sample packages",
        "source": settings.source,
        "output_dir": settings.output_dir,
        "data_dir": settings.data_dir,
        "first day": settings.start_date,
        "newest day": winnow.clock.through,
        "to publish": f"{count_files(settings)} files"
        + (f", and those of each package of {prefixes} prefix{'es' * (prefixes != 1)}" if prefixes else ""),
        "to fetch": ", ".join(f"{g.first} to {g.last} ({g.days * len(g.selectors)} days of packages)" for g in gaps)
        or "nothing",
    }
    for name, value in lines.items():
        out.print(for_terminal(f"{name:<12} {value}"), markup=False, soft_wrap=True)
    table = Table(
        Column("package", overflow="fold"), "windows (days)", Column("is published as", overflow="fold"), box=box.SIMPLE
    )
    for which, days in settings.published_windows.items():
        lengths = ", ".join(map(window_key, days))
        table.add_row(*map(Text, (str(which), lengths, ", ".join(f"{f}/" for f in _folders(settings, which)))))
    print_table(out, table)


def plan_as_json(winnow: Installation, warnings: Sequence[str]) -> dict[str, object]:
    """Return the plan and its warnings as JSON values."""
    settings = winnow.settings
    return {
        "config": str(settings.config_file) if settings.config_file else None,
        "source": settings.source.kind,
        "output_dir": str(settings.output_dir),
        "data_dir": str(settings.data_dir),
        "first_day": str(settings.start_date),
        "newest_day": str(winnow.clock.through),
        "files": count_files(settings),
        "packages": [
            {
                "name": str(which),
                "is_group": isinstance(which, Group),
                "windows": list(map(window_key, days)),
                "folders": _folders(settings, which),
            }
            for which, days in settings.published_windows.items()
        ],
        "to_fetch": [
            {"first_day": str(gap.first), "last_day": str(gap.last), "packages": list(map(str, gap.selectors))}
            for gap in winnow.gaps()
        ],
        "warnings": list(warnings),
    }


def count_files(settings: Settings) -> int:
    """Return how many files the packages and groups have. Prefixes do not count."""
    return sum(
        len(_folders(settings, which)) * _count_in_folder(settings, str(which), len(days))
        for which, days in settings.published_windows.items()
        if isinstance(which, Group) or not which.is_prefix
    )


def _count_in_folder(settings: Settings, which: str, windows: int) -> int:
    breakdowns = settings.breakdowns[which]
    # A group may have the badge of a breakdown that not all of its members have.
    dimensions = [parts[0] for slug in settings.styles[which].slugs if (parts := split_slug(slug))]
    badges = len(settings.styles[which].slugs) - sum(name not in breakdowns for name in dimensions)
    return len(FILES_BESIDE_BADGES) + 2 * badges * windows + (1 + len(breakdowns) if breakdowns else 0)


def _folders(settings: Settings, which: Selector | Group) -> list[str]:
    """Return the folders that an entry publishes to. For a prefix, return the prefix itself."""
    return list(dict.fromkeys([str(which), settings.spellings.get(str(which), str(which))]))
