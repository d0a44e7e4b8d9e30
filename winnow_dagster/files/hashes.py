"""Notes beside the data: the hashes of objects in stores whose versions are no hashes, and names of folders.

Losing a note costs requests, never a number: a hash counts only for the version that it was noted with.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from typing import TYPE_CHECKING

from winnow_dagster.files.errors import StorageError
from winnow_dagster.files.opening import key_of, store_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from winnow_dagster.files.paths import StorePath
    from winnow_dagster.files.store import Version

logger = logging.getLogger(__name__)


class Note:
    """A small JSON file about a directory in a bucket."""

    def __init__(self, place: StorePath, of: str) -> None:
        """Use the file at `place`, which need not exist yet. One about another directory than `of` counts as none."""
        self._place, self._of = place, of

    def load(self) -> dict[str, list[str]]:
        """Return what is noted; nothing if the file is damaged. Raises StorageError."""
        try:
            found = json.loads(store_of(self._place).read(key_of(self._place)) or b"{}")
            if found["of"] == self._of:
                return {str(key): [str(each) for each in values] for key, values in found["notes"].items()}
        except (ValueError, LookupError, TypeError, AttributeError):
            # The file is not a note.
            pass
        return {}

    def save(self, notes: dict[str, list[str]]) -> None:
        """Replace what is noted. Raises StorageError."""
        store_of(self._place).make_folder(key_of(self._place.parent))
        content = json.dumps({"of": self._of, "notes": notes}, separators=(",", ":")).encode()
        store_of(self._place).overwrite(key_of(self._place), content)


class Hashes:
    """The hashes of what Winnow wrote to a store whose versions are no hashes."""

    def __init__(self, note: Note) -> None:
        """Read the note once it is needed."""
        self._note = note
        self._known: dict[str, list[str]] | None = None
        self._is_dirty = False
        # Uploads side by side must not load the note twice: what the first has noted would be lost.
        self._lock = threading.Lock()

    def _load(self) -> dict[str, list[str]]:
        with self._lock:
            if self._known is None:
                self._known = self._note.load()
            return self._known

    def get(self, key: str, version: Version) -> str:
        """Return the MD5 of this version of an object; '' if it is not noted. Raises StorageError."""
        noted = self._load().get(key, ["", ""])
        return noted[1] if noted[0] == version else ""

    def set(self, key: str, version: Version, md5: str) -> None:
        """Note the MD5 of a version of an object. Raises StorageError."""
        self._load()[key] = [version, md5]
        self._is_dirty = True

    def save(self, is_gone: Callable[[str], bool]) -> None:
        """Write what is known of the objects that are not gone, if anything is new."""
        if self._is_dirty and self._known is not None:
            try:
                self._note.save({key: noted for key, noted in self._known.items() if not is_gone(key)})
            except StorageError as error:
                logger.warning("%s. The next publication writes these files again", error)
            self._is_dirty = False


def md5_of(content: bytes) -> str:
    """Return the MD5 of content, in hexadecimal digits."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
