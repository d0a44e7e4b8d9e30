"""The jobs: read days, and check everything."""

from __future__ import annotations

import dagster as dg

from winnow_dagster.defs.checks import CHECKS
from winnow_dagster.instance.runs import CHECK_ALL, READS_DAYS

COUNTS = dg.define_asset_job(
    READS_DAYS,
    dg.AssetSelection.assets("raw_downloads", "honest_downloads"),
    description="Reads days from the source and counts them.",
)
CHECKING = dg.define_asset_job(
    CHECK_ALL,
    # By name: the code location may also hold other teams' checks, which Winnow does not run.
    dg.AssetSelection.checks(*(check.key for check in CHECKS)),
    description="Runs every check and materialises nothing.",
)
