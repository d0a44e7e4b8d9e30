"""The assets: raw counts by day, honest counts by day, badges by selector, and the files that list all packages."""

# Without `from __future__ import annotations`: Dagster reads the annotations themselves.

import warnings
from datetime import timedelta

import dagster as dg
from pydantic import Field

from winnow_dagster.config.settings import Settings
from winnow_dagster.core import categories
from winnow_dagster.core.coverage import ONE_DAY
from winnow_dagster.core.days import Days
from winnow_dagster.core.everything import PackagesBySelector
from winnow_dagster.core.window import PackageState
from winnow_dagster.defs.automation import publishing_version, when_to_list, when_to_observe, when_to_publish
from winnow_dagster.defs.checks import judge_all_the_same
from winnow_dagster.defs.fetching import Fetch
from winnow_dagster.defs.notes import column_schema
from winnow_dagster.defs.partitions import day_partitions, selector_partitions, to_days
from winnow_dagster.defs.resources import Installation
from winnow_dagster.sources.kinds import KINDS
from winnow_dagster.store.days import FORMAT

# One run over a range asks the source once per package instead of once per package and day.
ONE_RUN = dg.BackfillPolicy.single_run()

OWNERS = ["team:maintainers"]

# The schedule materialises each asset once a day. A day and a half allows for a late source.
EVERY_DAY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=28))


class RawConfig(dg.Config):
    """How to read the days of a run."""

    refetch: bool = False
    """Re-read days that are covered already."""

    backfill: list[str] = Field(default=[])
    """Re-read days that are covered already, but without one of these breakdowns."""

    packages: list[str] = Field(default=[])
    """Read only these entries of `packages:`; all if the list is empty."""


def make_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Return the assets of a config, source first, each with links to its code."""
    with warnings.catch_warnings():
        # These are in beta. Tests in tests/defs pin the behaviour that Winnow relies on.
        for what in ("Parameter `backfill_policy`", "Function `multi_observable_source_asset`", "Class `LocalFile"):
            warnings.filterwarnings("ignore", message=what, category=dg.BetaWarning)
        for what in ("Function `with_source_code_references`", "Class `CodeReferences"):
            warnings.filterwarnings("ignore", message=what, category=dg.BetaWarning)
        assets = [_source_table(settings), *_count_assets(settings), *_published_assets(settings)]
        return [a for a in dg.with_source_code_references(assets) if isinstance(a, dg.AssetsDefinition)]


def _source_table(settings: Settings) -> dg.AssetsDefinition:
    source = dg.AssetSpec(
        "pypi_file_downloads",
        description="PyPI's download log, one row per download. Winnow reads it and never writes it. "
        "Observed once a day: which is the newest day that it holds whole?",
        group_name="source",
        owners=OWNERS,
        kinds={settings.source.kind},
        automation_condition=when_to_observe(settings),
    )

    def pypi_file_downloads(winnow: dg.ResourceParam[Installation]) -> dg.ObserveResult:
        today = winnow.clock.today
        newest = winnow.source.newest_day(today)
        return dg.ObserveResult(
            asset_key="pypi_file_downloads",
            data_version=dg.DataVersion(str(newest)),
            metadata={
                "newest_whole_day": str(newest or "not known"),
                "yesterday_is_whole": dg.MetadataValue.bool(newest == today - ONE_DAY),
            },
        )

    observed: dg.AssetsDefinition = dg.multi_observable_source_asset(specs=[source])(pypi_file_downloads)
    return observed


def _count_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    days = day_partitions(settings)

    @dg.asset(
        partitions_def=days,
        backfill_policy=ONE_RUN,
        deps=["pypi_file_downloads"],
        io_manager_key="raw_days",
        group_name="counts",
        owners=OWNERS,
        kinds={"parquet"},
        pool=KINDS[settings.source.kind].pool,
        code_version=str(FORMAT),
        metadata=column_schema(categories.RAW_SCHEMA),
        freshness_policy=EVERY_DAY,
        hooks={judge_all_the_same},
    )
    def raw_downloads(
        context: dg.AssetExecutionContext, config: RawConfig, winnow: dg.ResourceParam[Installation]
    ) -> Fetch:
        """All downloads of these days, bots and CI included, per package, installer, system and ci.

        Winnow asks the source only for what a day does not cover yet. If a package cannot be read, the day is stored
        without it and does not cover it. The next run asks for it again.
        """
        days = to_days(context.partition_keys)
        return winnow.fetch(days, config.packages, refetch=config.refetch, backfill=config.backfill)

    @dg.asset(
        partitions_def=days,
        backfill_policy=ONE_RUN,
        io_manager_key="honest_days",
        # This resource tags the run with its process.
        required_resource_keys={"winnow"},
        group_name="counts",
        owners=OWNERS,
        kinds={"parquet", "polars"},
        code_version=categories.RULES,
        metadata=column_schema(categories.HONEST_SCHEMA),
        freshness_policy=EVERY_DAY,
        hooks={judge_all_the_same},
    )
    def honest_downloads(raw_downloads: Days) -> Days:
        """The downloads of these days by category, per package, installer and system.

        Badges show `honest`: downloads by pip, pipenv, pipx, uv, poetry or pdm that did not say they were in CI. The
        six other categories hold the rest. All seven sum to the raw total.
        """
        return raw_downloads.derive(categories.winnow)

    return [raw_downloads, honest_downloads]


def _published_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    # All days, not the days of a window: the newest complete window differs by package, and may end on any day.
    all_days = dg.AssetDep("honest_downloads", partition_mapping=dg.AllPartitionMapping())

    @dg.asset(
        partitions_def=selector_partitions(settings),
        backfill_policy=ONE_RUN,
        deps=[all_days],
        io_manager_key="badges_io",
        automation_condition=when_to_publish(settings),
        code_version=publishing_version(settings),
        group_name="published",
        owners=OWNERS,
        kinds={"json", "svg", "html"},
        freshness_policy=EVERY_DAY,
        hooks={judge_all_the_same},
    )
    def badges(context: dg.AssetExecutionContext, winnow: dg.ResourceParam[Installation]) -> PackagesBySelector:
        """How many people installed each package and group, over each of its windows: badges, page, history.

        Winnow publishes a number once every day of its window is covered. An older number never replaces it.
        """
        return winnow.packages(context.partition_keys)

    @dg.asset(
        io_manager_key="site_io",
        group_name="published",
        owners=OWNERS,
        kinds={"html", "json"},
        automation_condition=when_to_list(),
        code_version=publishing_version(settings),
        freshness_policy=EVERY_DAY,
    )
    def index(badges: dict[str, list[PackageState]], winnow: dg.ResourceParam[Installation]) -> dict[str, bytes]:
        """The page that lists all packages and groups, the same as JSON, and `_health.json`."""
        return winnow.site_files(badges)

    return [badges, index]
