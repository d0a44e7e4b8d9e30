"""Exit codes, and errors that end a command with one line per problem."""

from __future__ import annotations

from typing import IO, Any

import click

from winnow_dagster.core.escaping import for_terminal
from winnow_dagster.files.errors import NotOursError, StorageError

CURRENT, INCOMPLETE, UNUSABLE = 0, 1, 2


class Failure(click.ClickException):
    """An error that ends a command, with one line per problem and the exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click declares it for the class, and reads the instance's

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the problem on standard error."""
        click.echo(for_terminal(f"winnow: {self.message}"), file=file, err=True)


class Commands(click.Group):
    """Commands that report an unusable directory in one line, unless they handle that error themselves."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click has it
        """Run the named command."""
        try:
            return super().invoke(ctx)
        except (NotOursError, StorageError) as error:
            raise Failure(str(error), UNUSABLE) from None
