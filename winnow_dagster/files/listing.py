"""A listing of objects, kept up to date with what this process writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from winnow_dagster.files.store import ObjectVersion


class Listing:
    """Objects by their keys, and the names in each folder."""

    def __init__(self, found: Iterable[ObjectVersion]) -> None:
        """Take what a store lists."""
        self.objects: dict[str, ObjectVersion] = {}
        self._folders: dict[str, dict[str, None]] = {}
        for known in found:
            self.set(known)

    def get(self, key: str) -> ObjectVersion | None:
        """Return what is known of an object; None if there is none."""
        return self.objects.get(key)

    def set(self, known: ObjectVersion) -> None:
        """Enter an object, and the folders that it is in."""
        self.objects[known.key] = known
        key = known.key
        while key:
            folder, _, name = key.rpartition("/")
            names = self._folders.setdefault(folder, {})
            if name in names:
                return
            names[name] = None
            key = folder

    def drop(self, key: str) -> None:
        """Remove an object, and its folders if they are empty."""
        if self.objects.pop(key, None) is None:
            return
        while key and key not in self.objects and key not in self._folders:
            folder, _, name = key.rpartition("/")
            del self._folders[folder][name]
            if not self._folders[folder]:
                del self._folders[folder]
            key = folder

    def names(self, folder: str) -> list[str]:
        """Return the names of what is directly in a folder."""
        return list(self._folders.get(folder, ()))
