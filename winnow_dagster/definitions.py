"""What Dagster loads: the assets, checks and resources of the configured installation."""

from __future__ import annotations

import dagster as dg

from winnow_dagster.config import load_settings
from winnow_dagster.defs.assets import make_assets
from winnow_dagster.defs.automation import make_automation
from winnow_dagster.defs.checks import every_package_covered
from winnow_dagster.defs.io_managers import BadgesIO, HonestDaysIO, RawDaysIO, SiteIO
from winnow_dagster.defs.resources import Installation


def build(winnow: Installation) -> dg.Definitions:
    """Return the definitions of an installation."""
    automation = make_automation(winnow)
    return dg.Definitions(
        assets=make_assets(winnow.settings),
        asset_checks=[every_package_covered],
        resources={
            "winnow": winnow,
            "raw_days": RawDaysIO(winnow),
            "honest_days": HonestDaysIO(winnow),
            "badges_io": BadgesIO(winnow),
            "site_io": SiteIO(winnow),
        },
        # A process per step costs more than all of a step's work.
        schedules=[a for a in automation if isinstance(a, dg.ScheduleDefinition)],
        sensors=[a for a in automation if isinstance(a, dg.SensorDefinition)],
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions for the config at $WINNOW_CONFIG, else ./winnow.yaml, else for sample data."""
    return build(Installation(load_settings()))
