"""What Dagster loads: the assets, checks and resources of the configured installation."""

from __future__ import annotations

import dagster as dg

from winnow_dagster.config import load_settings
from winnow_dagster.defs.alerts import make_alerts
from winnow_dagster.defs.assets import make_assets
from winnow_dagster.defs.automation import make_automation
from winnow_dagster.defs.checks import make_checks
from winnow_dagster.defs.io_managers import BadgesIO, HonestDaysIO, RawDaysIO, SiteIO
from winnow_dagster.defs.resources import Installation
from winnow_dagster.runs import process_tag


def build(winnow: Installation) -> dg.Definitions:
    """Return the definitions of an installation."""
    automation = [*make_automation(winnow), *make_alerts(winnow.settings)]
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
        # A process per step costs more than all of a step's work.
        executor=dg.in_process_executor,
    )


def _marking_its_process(winnow: Installation) -> dg.ResourceDefinition:
    """Return the resource that is the installation, and that notes in each run the process which uses it.

    A run whose process dies tells nobody; `close_dead_runs` finds it by this.
    """

    def give(context: dg.InitResourceContext) -> Installation:
        if context.instance is not None and context.run is not None:
            context.instance.add_run_tags(context.run.run_id, process_tag())
        return winnow

    return dg.ResourceDefinition(give)


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions for the config at $WINNOW_CONFIG, else ./winnow.yaml, else for sample data."""
    return build(Installation(load_settings()))
