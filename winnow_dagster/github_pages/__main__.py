"""The commands that the workflow's steps call: `python -m winnow_dagster.github_pages restore` and `save`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from winnow_dagster.config.loading import ConfigError, load_settings
from winnow_dagster.core.escaping import for_terminal
from winnow_dagster.files.paths import local_path
from winnow_dagster.github_pages.git import GitError
from winnow_dagster.github_pages.state import State, StateError
from winnow_dagster.output import open_streams

OUTPUT_VARIABLE = "GITHUB_OUTPUT"
"""The variable with the path of the file to which a step appends its outputs."""


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        """Run a command. Print an error in one line."""
        try:
            return super().invoke(ctx)
        except (ConfigError, GitError, StateError, OSError) as error:
            click.echo(for_terminal(f"winnow: {error}"), err=True)
            ctx.exit(1)


branch_option = click.option(
    "--branch",
    envvar="WINNOW_STATE_BRANCH",
    default="winnow-state",
    show_default=True,
    help="The branch that keeps the state. [env: WINNOW_STATE_BRANCH]",
)


@click.group(cls=_Commands)
def main() -> None:
    """Keep Winnow's state in a branch of the checkout's repository."""
    open_streams()


@main.command()
@branch_option
def restore(branch: str) -> None:
    """Write the days, the ledger and the published files of the branch into the config's folders."""
    commit = State(load_settings(), branch).restore()
    click.echo(f"Restored {commit} of {branch}." if commit else f"There is no branch {branch} yet.")


@main.command()
@branch_option
def save(branch: str) -> None:
    """Replace the branch by the present state, and set the step's output `site` to the folder of the site."""
    settings = load_settings()
    commit = State(settings, branch).save()
    click.echo(f"Saved {commit} as {branch}." if commit else "There is nothing to save yet.")
    if commit and (path := os.environ.get(OUTPUT_VARIABLE)):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"site={local_path(settings.output_dir)}\n")


if __name__ == "__main__":
    main()
