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
from winnow_dagster.defs.checks import check_after_failure
from winnow_dagster.defs.fetching import Fetch
from winnow_dagster.defs.notes import column_schema
from winnow_dagster.defs.partitions import day_partitions, selector_partitions, to_days, to_moment
from winnow_dagster.defs.resources import installation_of
from winnow_dagster.instance.naming import Names
from winnow_dagster.instance.retries import started_at
from winnow_dagster.sources.kinds import KINDS
from winnow_dagster.store.days import FORMAT

# One run over a range asks the source once per package instead of once per package and day.
ONE_RUN = dg.BackfillPolicy.single_run()

# The schedule materialises each asset once a day. A day and a half allows for a late source.
EVERY_DAY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=28))


class RawConfig(dg.Config):
    """How to read the days of a run."""

    refetch: bool = Field(default=False, description="Re-read days that are covered already.")
    asked_at: str = Field(
        default="",
        description="With `refetch`: re-read only what was last read before this moment, such as "
        "2026-11-10T09:00:00+00:00. By default it is the start of the run, or of the run that this one retries.",
    )
    backfill: list[str] = Field(
        default=[],
        description="Re-read days that are covered already, but without one of these breakdowns, such as python.",
    )
    packages: list[str] = Field(
        default=[], description="Read only these entries of `packages:` in the config; all if the list is empty."
    )


def make_assets(settings: Settings, names: Names) -> list[dg.AssetsDefinition]:
    """Return the assets of a config, source first, each with links to its code."""
    placement = settings.placement
    with warnings.catch_warnings():
        # These are in beta. Tests in tests/defs pin the behaviour that Winnow relies on.
        for what in ("Parameter `backfill_policy`", "Function `multi_observable_source_asset`", "Class `LocalFile"):
            warnings.filterwarnings("ignore", message=what, category=dg.BetaWarning)
        for what in ("Function `with_source_code_references`", "Class `CodeReferences"):
            warnings.filterwarnings("ignore", message=what, category=dg.BetaWarning)
        assets = [_source_table(settings, names), *_count_assets(settings, names), *_published_assets(settings, names)]
        owned = dg.map_asset_specs(
            lambda spec: spec.merge_attributes(owners=list(placement.owners), tags=dict(placement.tags)), assets
        )
        return [a for a in dg.with_source_code_references(owned) if isinstance(a, dg.AssetsDefinition)]


def _if_automated(
    settings: Settings, condition: dg.AutomationCondition[dg.AssetKey]
) -> dg.AutomationCondition[dg.AssetKey] | None:
    return condition if settings.placement.is_automated else None


def _source_table(settings: Settings, names: Names) -> dg.AssetsDefinition:
    key = names.asset("pypi_file_downloads")
    source = dg.AssetSpec(
        key,
        description="PyPI's download log, one row per download. Winnow reads it and never writes it. "
        "Observed once a day: which is the newest day that it holds whole?",
        automation_condition=_if_automated(settings, when_to_observe(settings)),
        group_name=names.group("source"),
        kinds={settings.source.kind},
    )

    def pypi_file_downloads(context: dg.AssetExecutionContext) -> dg.ObserveResult:
        winnow = installation_of(context.resources, names)
        today = winnow.clock.today
        newest = winnow.source.newest_day(today)
        return dg.ObserveResult(
            asset_key=key,
            data_version=dg.DataVersion(str(newest)),
            metadata={
                "newest_whole_day": str(newest or "not known"),
                "yesterday_is_whole": dg.MetadataValue.bool(newest == today - ONE_DAY),
            },
        )

    observed: dg.AssetsDefinition = dg.multi_observable_source_asset(
        specs=[source], name=names.op("pypi_file_downloads"), required_resource_keys={names.resource}
    )(pypi_file_downloads)
    return observed


def _count_assets(settings: Settings, names: Names) -> list[dg.AssetsDefinition]:
    days, hooks = day_partitions(settings), {check_after_failure(names)}

    @dg.asset(
        description=_describe_raw(settings),
        partitions_def=days,
        backfill_policy=ONE_RUN,
        deps=[names.asset("pypi_file_downloads")],
        pool=names.pool(KINDS[settings.source.kind].pool),
        code_version=str(FORMAT),
        metadata=column_schema(categories.RAW_SCHEMA),
        hooks=hooks,
        key=names.asset("raw_downloads"),
        io_manager_key=names.named("raw_days"),
        required_resource_keys={names.resource},
        group_name=names.group("counts"),
        kinds={"parquet"},
        freshness_policy=EVERY_DAY,
    )
    def raw_downloads(context: dg.AssetExecutionContext, config: RawConfig) -> Fetch:
        days, winnow = to_days(context.partition_keys), installation_of(context.resources, names)
        asked_at = to_moment(config.asked_at) if config.asked_at else started_at(context.instance, context.run)
        refetch = config.refetch and (asked_at or True)
        return winnow.fetch(days, config.packages, refetch=refetch, backfill=config.backfill)

    @dg.asset(
        partitions_def=days,
        backfill_policy=ONE_RUN,
        ins={"raw_downloads": dg.AssetIn(names.asset("raw_downloads"))},
        code_version=categories.RULES,
        metadata=column_schema(categories.HONEST_SCHEMA),
        hooks=hooks,
        key=names.asset("honest_downloads"),
        io_manager_key=names.named("honest_days"),
        required_resource_keys={names.resource},
        group_name=names.group("counts"),
        kinds={"parquet", "polars"},
        freshness_policy=EVERY_DAY,
    )
    def honest_downloads(raw_downloads: Days) -> Days:
        """The downloads of each day by category, per package, installer and system.

        Badges show `honest`: downloads by pip, pipenv, pipx, uv, poetry or pdm that did not say they were in CI. The
        six other categories hold the rest. All seven sum to the raw total.
        """
        return raw_downloads.derive(categories.winnow)

    return [raw_downloads, honest_downloads]


def _describe_raw(settings: Settings) -> str:
    return (
        "All downloads of each day, bots and CI included, per package, installer, system and ci.\n\n"
        f"Winnow reads by itself the newest {max(settings.longest_windows.values())} days, which the longest window of "
        f"the config needs. It reads older ones, from `start_date` ({settings.start_date}) on, only if you materialise "
        "them.\n\n"
        "Winnow asks the source only for what a day does not cover yet. If a package cannot be read, the day is stored "
        "without it and does not cover it. The next run asks for it again."
    )


def _published_assets(settings: Settings, names: Names) -> list[dg.AssetsDefinition]:
    # All days, not the days of a window: the newest complete window differs by package, and may end on any day.
    all_days = dg.AssetDep(names.asset("honest_downloads"), partition_mapping=dg.AllPartitionMapping())

    @dg.asset(
        partitions_def=selector_partitions(settings),
        backfill_policy=ONE_RUN,
        deps=[all_days],
        automation_condition=_if_automated(settings, when_to_publish(settings)),
        code_version=publishing_version(settings),
        hooks={check_after_failure(names)},
        key=names.asset("badges"),
        io_manager_key=names.named("badges_io"),
        required_resource_keys={names.resource},
        group_name=names.group("published"),
        kinds={"json", "svg", "html"},
        freshness_policy=EVERY_DAY,
    )
    def badges(context: dg.AssetExecutionContext) -> PackagesBySelector:
        """The honest downloads of each package and group over each of its windows: badges, page, history.

        Winnow publishes a number once every day of its window is covered. An older number never replaces it.
        """
        return installation_of(context.resources, names).packages(context.partition_keys)

    @dg.asset(
        ins={"badges": dg.AssetIn(names.asset("badges"))},
        automation_condition=_if_automated(settings, when_to_list()),
        code_version=publishing_version(settings),
        key=names.asset("index"),
        io_manager_key=names.named("site_io"),
        required_resource_keys={names.resource},
        group_name=names.group("published"),
        kinds={"html", "json"},
        freshness_policy=EVERY_DAY,
    )
    def index(context: dg.AssetExecutionContext, badges: dict[str, list[PackageState]]) -> dict[str, bytes]:
        """The page that lists all packages and groups, the same as JSON, and `_health.json`."""
        return installation_of(context.resources, names).site_files(badges)

    return [badges, index]
