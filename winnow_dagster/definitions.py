"""The code location of one installation: what `dg dev -m winnow_dagster.definitions` loads."""

from __future__ import annotations

import sys
from pathlib import Path

import dagster as dg

from winnow_dagster.config.loading import find_config, load_settings
from winnow_dagster.defs.building import build
from winnow_dagster.defs.resources import Installation

__all__ = ["build", "defs"]

# While Dagster imports this module, the location's `working_directory` is first in sys.path. Dagster has no other
# public way to tell it.
FOLDERS = (*map(Path, sys.path[:1]), Path())
"""Where to look for the config: in the working directory of the code location, then in that of the process."""


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions for the config that `find_config` finds, else for sample data."""
    winnow = Installation(load_settings(find_config(FOLDERS)))
    # A process per step takes longer than the step's work.
    return dg.Definitions.merge(build(winnow), dg.Definitions(executor=dg.in_process_executor))
