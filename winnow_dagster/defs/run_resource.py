"""The Dagster resource: it gives runs the installation, and shows the installation's values in the UI."""

# Without `from __future__ import annotations`: Dagster reads the annotations themselves.

import contextlib

import dagster as dg
from pydantic import Field

from winnow_dagster.defs.refusals import refuse_other_values
from winnow_dagster.defs.resources import Installation
from winnow_dagster.files.errors import StorageError
from winnow_dagster.instance.runs import run_tags, selects_only_ours, site_tags, tags_its_process


def make_resource(winnow: Installation) -> dg.ConfigurableResource[Installation]:
    """Return the installation as a resource."""

    class WinnowResource(dg.ConfigurableResource[Installation]):
        """One installation of Winnow: its config, source and directories.

        The config file sets these values. Change them there: Winnow refuses a run whose config has other values.
        """

        config_file: str = Field(description="The file that sets all values.")
        source: str = Field(description="The kind of source that Winnow reads downloads from.")
        output_dir: str = Field(description="The web directory with badges and pages.")
        data_dir: str = Field(description="Where Winnow stores the days that it has read.")

        def create_resource(self, context: dg.InitResourceContext) -> Installation:
            """Return the installation, and tag the run with its site, and with its process if it has only one.

            Raises RefusedError if the run's config has other values.

            A run cannot report that its process died. `OwnRuns.close_dead` finds it by this tag. A run that also has
            other teams' assets gets no tag.
            """
            refuse_other_values(self.model_dump(), values, winnow.names.resource)
            run, instance = context.run, context.instance
            if instance is not None and run is not None and selects_only_ours(run, winnow.names):
                site = _site(winnow)
                is_one_process = tags_its_process(run, winnow.names)
                instance.add_run_tags(run.run_id, run_tags(run.run_id, site) if is_one_process else site_tags(site))
            return winnow

    settings = winnow.settings
    values = {
        "config_file": str(settings.config_file or "none: sample data"),
        "source": settings.source.kind,
        "output_dir": str(settings.output_dir),
        "data_dir": str(settings.data_dir),
    }
    return WinnowResource(**values)


def _site(winnow: Installation) -> str:
    """Return the id of the site; '' if `data_dir` cannot be read. Each step reports that error itself."""
    with contextlib.suppress(StorageError):
        return winnow.ownership.site
    return ""
