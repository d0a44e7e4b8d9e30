"""Winnow's definitions, whose sensors tick whenever Dagster's daemon looks: every 5 seconds instead of every 30.

`dagster dev` of a test loads them. It has to wait for several ticks in a row.
"""

from winnow_dagster.defs import partitions

partitions.TICK_SECONDS = 1
# Their modules copy the number when they are imported.
from winnow_dagster.definitions import defs  # noqa: E402

__all__ = ["defs"]
