"""Errors of directories and files, each with the place, the cause and the fix."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

from winnow_dagster.core.causes import FILES
from winnow_dagster.core.escaping import visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from winnow_dagster.files.paths import StorePath

STAGED_PREFIX = ".winnow-"
"""The prefix of the name of a staged file. Web servers do not serve dotfiles."""


class StorageError(Exception):
    """A file or directory cannot be used. The message names it, what is wrong with it and the fix."""

    def __init__(self, message: str) -> None:
        super().__init__(visible(message))  # A file may be called anything.


class PreconditionFailedError(StorageError):
    """The object has another version than the one to replace."""


class UnreachableError(StorageError):
    """The bucket does not answer, or refuses this account. Requests for other objects fail too."""


class LeaseLostError(StorageError):
    """Another process holds the lease that this one held, so this one must write no more."""


@contextlib.contextmanager
def translating_os_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into a StorageError, of `path` where the system names none."""
    try:
        yield
    except OSError as error:
        raise to_storage_error(error, path) from None


def to_storage_error(error: OSError, path: Path | str) -> StorageError:
    """Return an OSError as a StorageError, of `path` where the system names none."""
    culprit = path if not error.filename or STAGED_PREFIX in str(error.filename) else error.filename
    cause = FILES.get(errno.errorcode.get(error.errno or 0, ""), FILES["unknown"])
    return StorageError(f"{culprit}: {error.strerror or error}. {cause.fix}")


class SampleOverRealError(Exception):
    """Sample data was about to take the place of real numbers."""

    def __init__(self, place: StorePath) -> None:
        """Name where the real numbers are."""
        super().__init__(
            f"{place} holds real numbers, and sample data does not replace them. "
            "Set service.output_dir to another directory, or source.kind to where the numbers came from"
        )


class NotOursError(Exception):
    """A web directory belongs to another installation, or is not Winnow's. The message says what to do."""


class Failures:
    """The failures of a loop that goes on after each of them."""

    def __init__(self) -> None:
        """Start with nothing failed."""
        self._found: list[str] = []

    @contextlib.contextmanager
    def collect(self) -> Iterator[None]:
        """Suppress a StorageError, and keep it for `raise_any`."""
        try:
            yield
        except StorageError as error:
            self._found.append(str(error))

    def raise_any(self) -> None:
        """Raise StorageError if anything failed."""
        if self._found:
            more = len(self._found) - 1
            raise StorageError(self._found[0] + (f" (and {more} more such failures)" if more else ""))
