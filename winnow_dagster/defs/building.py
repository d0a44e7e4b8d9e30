"""The definitions of an installation: assets, checks, resources, jobs and automation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from winnow_dagster.defs.alerts import make_alert_sensors
from winnow_dagster.defs.assets import make_assets
from winnow_dagster.defs.automation import make_automation
from winnow_dagster.defs.checks import make_checks
from winnow_dagster.defs.io_managers import make_io_managers
from winnow_dagster.defs.jobs import Jobs
from winnow_dagster.defs.run_resource import make_resource

if TYPE_CHECKING:
    from winnow_dagster.defs.resources import Installation


def build(winnow: Installation) -> dg.Definitions:
    """Return the definitions of an installation, which merge with any others."""
    names, jobs = winnow.names, Jobs(winnow.names)
    automation = (
        [*make_automation(winnow, jobs), *make_alert_sensors(winnow)] if winnow.settings.placement.is_automated else []
    )
    return dg.Definitions(
        assets=make_assets(winnow.settings, names),
        asset_checks=make_checks(names),
        resources={names.resource: make_resource(winnow), **make_io_managers(names)},
        jobs=[jobs.reading, jobs.checking],
        schedules=[a for a in automation if isinstance(a, dg.ScheduleDefinition)],
        sensors=[a for a in automation if isinstance(a, dg.SensorDefinition)],
    )
