"""The jobs: read days, and check everything."""

from __future__ import annotations

import dagster as dg

from winnow_dagster.defs.checks import CHECKS
from winnow_dagster.instance.naming import CHECK_ALL, READS_DAYS, Names


class Jobs:
    """The jobs of one installation. Each runs in one process: a process per step takes longer than the step's work."""

    def __init__(self, names: Names) -> None:
        """Define the jobs with these names."""
        self.reading = dg.define_asset_job(
            names.named(READS_DAYS),
            dg.AssetSelection.assets(*names.assets("raw_downloads", "honest_downloads")),
            description="Reads days from the source and counts them. The launchpad's config says which packages to "
            "read, and whether to re-read days that are stored.",
            executor_def=dg.in_process_executor,
        )
        self.checking = dg.define_asset_job(
            names.named(CHECK_ALL),
            # By name: the code location may also hold other teams' checks, which Winnow does not run.
            dg.AssetSelection.checks(*(check.key(names) for check in CHECKS)),
            description="Runs every check of Winnow's assets and materialises nothing.",
            executor_def=dg.in_process_executor,
        )
