"""Uploads to a listed directory, side by side."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from winnow_dagster.files.errors import LeaseLostError, UnreachableError
from winnow_dagster.files.listed import MAX_PARTS
from winnow_dagster.files.paths import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from winnow_dagster.files.errors import Failures
    from winnow_dagster.files.listed import ListedStore


class ParallelUploader:
    """Files of many folders that are put in place side by side, those of one folder in their order."""

    def __init__(self, store: ListedStore, failures: Failures, max_files: int) -> None:
        """Start with no file. Upload the files whenever there are `max_files`, or files of many parts of `*`."""
        self._store = store
        self._failures = failures
        self._max_files = max_files
        self._folders: list[list[tuple[str, bytes]]] = []
        self._files = 0

    def add(self, folder: str, files: Mapping[str, bytes]) -> int:
        """Take those of `files` (name -> content) that `folder` does not have yet; return how many."""
        found = self._store.changed(folder, files)
        if found:
            self._folders.append(found)
            self._files += len(found)
        if self._files >= self._max_files or self._store.parts_in_hand > MAX_PARTS:
            self.put()
        return len(found)

    def put(self) -> None:
        """Put the files in place; collect what fails, and leave the rest once no more can be written."""
        taken, self._folders, self._files = self._folders, [], 0
        if taken:
            self._upload(taken)
        with self._failures.collect():
            self._store.release()

    def _upload(self, taken: Sequence[Sequence[tuple[str, bytes]]]) -> None:
        is_lost = threading.Event()

        def upload(objects: Sequence[tuple[str, bytes]]) -> None:
            if not is_lost.is_set():
                try:
                    self._store.put(objects)
                except (UnreachableError, LeaseLostError):
                    is_lost.set()
                    raise

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for done in [pool.submit(upload, objects) for objects in taken]:
                with self._failures.collect():
                    done.result()
