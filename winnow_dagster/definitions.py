"""The definitions that Dagster loads: the assets, checks, resources and automation of an installation."""

from __future__ import annotations

import dagster as dg

from winnow_dagster.config.loading import load_settings
from winnow_dagster.defs.alerts import make_alerts
from winnow_dagster.defs.assets import make_assets
from winnow_dagster.defs.automation import make_automation
from winnow_dagster.defs.checks import make_checks
from winnow_dagster.defs.io_managers import make_io_managers
from winnow_dagster.defs.jobs import Jobs
from winnow_dagster.defs.resources import Installation
from winnow_dagster.defs.run_resource import make_resource


def build(winnow: Installation) -> dg.Definitions:
    """Return the definitions of an installation, which merge with any others."""
    names, jobs = winnow.names, Jobs(winnow.names)
    automation = (
        [*make_automation(winnow, jobs), *make_alerts(winnow)] if winnow.settings.placement.is_automated else []
    )
    return dg.Definitions(
        assets=make_assets(winnow.settings, names),
        asset_checks=make_checks(names),
        resources={names.resource: make_resource(winnow), **make_io_managers(names)},
        jobs=[jobs.reading, jobs.checking],
        schedules=[a for a in automation if isinstance(a, dg.ScheduleDefinition)],
        sensors=[a for a in automation if isinstance(a, dg.SensorDefinition)],
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions for the config at $WINNOW_CONFIG, else for ./winnow.yaml, else for sample data."""
    # A process per step takes longer than the step's work.
    return dg.Definitions.merge(build(Installation(load_settings())), dg.Definitions(executor=dg.in_process_executor))
