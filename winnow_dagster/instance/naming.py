"""The names of an installation's assets, jobs, sensors and resources in Dagster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from winnow_dagster.config.settings import Placement

READS_DAYS = "read_days"
CHECK_ALL = "check_all"
JOBS = (READS_DAYS, CHECK_ALL)
ASSETS = ("pypi_file_downloads", "raw_downloads", "honest_downloads", "badges", "index")

STEM = "winnow"
"""The first part of a name without a prefix."""


@dataclass(frozen=True)
class Names:
    """The names of one installation. Without a prefix, assets keep the names that older releases stored."""

    prefix: tuple[str, ...] = ()
    group_prefix: str = ""
    is_merged: bool = False
    """Whether the definitions are part of a project's."""

    @classmethod
    def of(cls, placement: Placement, *, is_merged: bool = False) -> Names:
        """Return the names for this placement. By default its groups have the prefix of its assets."""
        said, usual = placement.group_prefix, "_".join(map(_identifier, placement.key_prefix))
        return cls(placement.key_prefix, _identifier(usual if said is None else said), is_merged)

    @property
    def is_alone(self) -> bool:
        """Whether the code location belongs to this installation. Its executor then runs all steps in one process."""
        return not (self.prefix or self.is_merged)

    @property
    def resource(self) -> str:
        """The key of the resource. The names of everything but assets begin with it."""
        return "_".join(map(_identifier, self.prefix)) or STEM

    def named(self, name: str) -> str:
        """Return the name of a job, a schedule, a sensor or an IO manager."""
        return f"{self.resource}_{name}"

    def asset(self, name: str) -> dg.AssetKey:
        """Return the key of an asset."""
        return dg.AssetKey([*self.prefix, name])

    def assets(self, *names: str) -> list[dg.AssetKey]:
        """Return the keys of these assets, or of all if none is named."""
        return [self.asset(name) for name in names or ASSETS]

    def op(self, name: str) -> str:
        """Return the name of an asset's step, or of the step with its checks."""
        return self.asset(name).to_python_identifier()

    def group(self, name: str) -> str:
        """Return the name of a group of assets."""
        return f"{self.group_prefix}_{name}" if self.group_prefix else name

    def pool(self, name: str | None) -> str | None:
        """Return the name of a source's pool."""
        return self.named(name) if name and self.prefix else name

    @property
    def jobs(self) -> frozenset[str]:
        """The names of the jobs. Without a prefix, also those of 0.1.0, which did not begin with `winnow_`."""
        return frozenset({*map(self.named, JOBS), *(() if self.prefix else JOBS)})

    def reads_days(self, job: str) -> bool:
        """Return whether a job reads days."""
        return job in self.jobs and job.endswith(READS_DAYS)


ALONE = Names()


def _identifier(text: str) -> str:
    return re.sub(r"\W", "_", text, flags=re.ASCII)
