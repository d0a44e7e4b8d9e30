"""The methods of a store that do nothing in a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class NoFolders:
    """The part of a Store that has no use in a bucket: it has no folders, and an object is whole or not there."""

    def read_ahead(self, keys: Iterable[str]) -> None:
        """Do nothing: only a publication keeps what it reads."""

    def list_ahead(self, prefix: str) -> None:
        """Do nothing: only a publication keeps a listing."""

    def make_folder(self, folder: str) -> None:
        """Do nothing."""

    def remove_folder(self, folder: str) -> None:
        """Do nothing."""

    def remove_staged(self, folder: str, passed_over: Collection[str]) -> None:
        """Do nothing."""
