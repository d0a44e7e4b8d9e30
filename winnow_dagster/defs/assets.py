"""The assets: raw counts by day, honest counts by day, badges by selector, and what spans packages."""

# Without `from __future__ import annotations`: Dagster reads the annotations themselves.

import warnings

import dagster as dg
from pydantic import Field

from winnow_dagster.core import honesty
from winnow_dagster.core.days import Days
from winnow_dagster.core.names import Selector
from winnow_dagster.core.window import PackageState
from winnow_dagster.defs.automation import publishing_version, when_to_publish
from winnow_dagster.defs.partitions import day_partitions, selector_partitions, to_days
from winnow_dagster.defs.resources import Fetch, Installation
from winnow_dagster.settings import Settings

# One run over a range asks the source once per package instead of once per package and day.
ONE_RUN = dg.BackfillPolicy.single_run()


class RawConfig(dg.Config):
    """How to read the days of a run."""

    refetch: bool = False
    """Ask again for what is covered already."""

    packages: list[str] = Field(default=[])
    """Ask only for these entries of `packages:`; for all where the list is empty."""


def make_assets(settings: Settings) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Return the assets of a config, source first."""
    with warnings.catch_warnings():
        # backfill_policy is in beta; tests/defs/test_counts.py pins what is relied on, so that a change of it shows.
        warnings.filterwarnings("ignore", message="Parameter `backfill_policy`", category=dg.BetaWarning)
        return [_source_table(settings), *_count_assets(settings), *_published_assets(settings)]


def _source_table(settings: Settings) -> dg.AssetSpec:
    return dg.AssetSpec(
        "pypi_file_downloads",
        description="PyPI's download log, one row per download. Winnow reads it and never writes it.",
        group_name="source",
        kinds={settings.source.kind},
    )


def _count_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    days = day_partitions(settings)

    @dg.asset(
        partitions_def=days,
        backfill_policy=ONE_RUN,
        deps=["pypi_file_downloads"],
        io_manager_key="raw_days",
        group_name="counts",
        kinds={"parquet"},
    )
    def raw_downloads(
        context: dg.AssetExecutionContext, config: RawConfig, winnow: dg.ResourceParam[Installation]
    ) -> Fetch:
        """All downloads of these days, bots and CI included, per package, installer, system and ci.

        Asks the source only for what a day does not cover yet. A package that cannot be read is left out of the day,
        which then does not cover it; the next run asks for it again.
        """
        return winnow.fetch(to_days(context.partition_keys), config.packages, refetch=config.refetch)

    @dg.asset(
        partitions_def=days,
        backfill_policy=ONE_RUN,
        io_manager_key="honest_days",
        group_name="counts",
        kinds={"parquet", "polars"},
    )
    def honest_downloads(raw_downloads: Days) -> Days:
        """What people installed on these days and what was winnowed, per package, category, installer and system."""
        return raw_downloads.derive(honesty.winnow)

    return [raw_downloads, honest_downloads]


def _published_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    # All days, not a window's: the newest complete window may end on any of them, and differs by package.
    all_days = dg.AssetDep("honest_downloads", partition_mapping=dg.AllPartitionMapping())

    @dg.asset(
        partitions_def=selector_partitions(settings),
        backfill_policy=ONE_RUN,
        deps=[all_days],
        io_manager_key="badges_io",
        automation_condition=when_to_publish(settings),
        code_version=publishing_version(settings),
        group_name="published",
        kinds={"json"},
    )
    def badges(
        context: dg.AssetExecutionContext, winnow: dg.ResourceParam[Installation]
    ) -> dict[str, list[PackageState]]:
        """How many people installed each package, over each of its windows, as badges for its README.

        A number is published once every day of its window is covered, and never gives way to an older one.
        """
        return winnow.states(context.partition_keys)

    @dg.asset(
        io_manager_key="site_io",
        group_name="published",
        kinds={"html", "json"},
        automation_condition=when_to_publish(settings),
        code_version=publishing_version(settings),
    )
    def index(badges: dict[Selector, list[PackageState]], winnow: dg.ResourceParam[Installation]) -> dict[str, bytes]:
        """The page that lists all packages, and `_health.json`."""
        return winnow.site_files(badges)

    return [badges, index]
