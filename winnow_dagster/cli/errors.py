"""Exit codes, and errors that end a command with one line per problem."""

from __future__ import annotations

import contextlib
import errno
import sys
from typing import IO, Any

import click

from winnow_dagster.core.escaping import for_terminal
from winnow_dagster.files.errors import NotOursError, StorageError
from winnow_dagster.output import discard

CURRENT, INCOMPLETE, UNUSABLE = 0, 1, 2

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""The errors of a stream that leads to a full or broken disk, or to a terminal that is gone."""


class Failure(click.ClickException):
    """An error that ends a command, with one line per problem and the exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click declares it for the class, and reads the instance's

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the problem on standard error."""
        click.echo(for_terminal(f"winnow: {self.message}"), file=file, err=True)


class Commands(click.Group):
    """Commands that report an unusable directory or standard output in one line, unless they handle that themselves."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as click has it
        """Run a command line. click itself ends quietly if the reader of a pipe is gone."""
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            # Errors of files have a name, or are a StorageError: only a stream is left.
            if error.errno not in FULL or error.filename is not None:
                raise
            discard(sys.stdout)
            problem = f"standard output cannot be written: {error.strerror}. Write it to another place, or free space"
            with contextlib.suppress(OSError):  # standard error may be full too
                Failure(problem, INCOMPLETE).show()
            sys.exit(INCOMPLETE)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click has it
        """Run the named command."""
        try:
            return super().invoke(ctx)
        except (NotOursError, StorageError) as error:
            raise Failure(str(error), UNUSABLE) from None
