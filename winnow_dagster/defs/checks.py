"""Checks: what a maintainer has to know before trusting a number.

Not partitioned: each looks at all days that the windows need, and names the bad ones.
"""

# Without `from __future__ import annotations`: Dagster reads the annotations themselves.

import dagster as dg

from winnow_dagster.defs.resources import Installation


@dg.asset_check(asset="raw_downloads")
def every_package_covered(winnow: dg.ResourceParam[Installation]) -> dg.AssetCheckResult:
    """Every configured package is covered on every day that its longest window needs."""
    missing = winnow.missing()
    return dg.AssetCheckResult(
        passed=not missing,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(missing)} of {len(winnow.settings.packages)} packages are not covered" if missing else None,
        metadata={"missing": dg.MetadataValue.json(missing)},
    )
