"""The definitions that Dagster loads: the assets, checks, resources and automation of the configured installation."""

from __future__ import annotations

import contextlib

import dagster as dg

from winnow_dagster.config.loading import load_settings
from winnow_dagster.defs.alerts import make_alerts
from winnow_dagster.defs.assets import make_assets
from winnow_dagster.defs.automation import make_automation
from winnow_dagster.defs.checks import make_checks
from winnow_dagster.defs.io_managers import BadgesIO, HonestDaysIO, RawDaysIO, SiteIO
from winnow_dagster.defs.resources import Installation
from winnow_dagster.files.errors import StorageError
from winnow_dagster.instance.runs import run_tags, selects_only_ours


def build(winnow: Installation) -> dg.Definitions:
    """Return the definitions of an installation."""
    automation = [*make_automation(winnow), *make_alerts(winnow)]
    return dg.Definitions(
        assets=make_assets(winnow.settings),
        asset_checks=make_checks(),
        resources={
            "winnow": _marking_its_process(winnow),
            "raw_days": RawDaysIO(winnow),
            "honest_days": HonestDaysIO(winnow),
            "badges_io": BadgesIO(winnow),
            "site_io": SiteIO(winnow),
        },
        schedules=[a for a in automation if isinstance(a, dg.ScheduleDefinition)],
        sensors=[a for a in automation if isinstance(a, dg.SensorDefinition)],
        # A process per step takes longer than the step's work.
        executor=dg.in_process_executor,
    )


def _marking_its_process(winnow: Installation) -> dg.ResourceDefinition:
    """Return the installation as a resource that tags each of its runs with the process.

    A run cannot report that its process died. `OwnRuns.close_dead` finds it by this tag. A run that also has other
    teams' assets gets no tag.
    """

    def give(context: dg.InitResourceContext) -> Installation:
        run = context.run
        if context.instance is not None and run is not None and selects_only_ours(run):
            context.instance.add_run_tags(run.run_id, run_tags(run.run_id, _site(winnow)))
        return winnow

    return dg.ResourceDefinition(give)


def _site(winnow: Installation) -> str:
    """Return the id of the site; '' if `data_dir` cannot be read. Each step reports that error itself."""
    with contextlib.suppress(StorageError):
        return winnow.ownership.site
    return ""


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions for the config at $WINNOW_CONFIG, else for ./winnow.yaml, else for sample data."""
    return build(Installation(load_settings()))
