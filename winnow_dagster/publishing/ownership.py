"""Ownership: only one config publishes to a web directory.

Each config has a random id in its `data_dir`. The web directory holds the id of the config that publishes to it, in
`_site.json`. That file is served like any other, and its id reveals nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from winnow_dagster.config.settings import IDS_FOLDER
from winnow_dagster.files.errors import NotOursError, StorageError
from winnow_dagster.files.operations import create_file, list_names, overwrite_file, read_if_there, remove
from winnow_dagster.site.index import PACKAGES_NAME
from winnow_dagster.site.page import PAGE_NAME
from winnow_dagster.site.template import STATIC_FOLDER
from winnow_dagster.store.folders import RAW

if TYPE_CHECKING:
    from winnow_dagster.files.paths import StorePath

ID_NAME = "_site.json"
"""The name of the id's file in the web directory."""

STYLE_SHEET = f"{STATIC_FOLDER}/winnow.css".encode()
"""Every page that Winnow publishes contains this text."""


@dataclass(frozen=True)
class Ownership:
    """The right of the config at `config`, whose days are in `data_dir`, to publish to `output_dir`."""

    data_dir: StorePath
    output_dir: StorePath
    config: Path

    @property
    def site(self) -> str:
        """The id of this config; empty before it has one. Raises StorageError."""
        return _read(self._own_file).get("site", "")

    def check(self) -> None:
        """Raise NotOursError if another config owns the web directory; write nothing. Raises StorageError."""
        self._check(self.site, _read(self._id_file).get("site", ""))

    def claim(self, *, adopt: bool = False) -> str:
        """Claim the web directory if it has no owner; return the id. Raises NotOursError if another config owns it.

        `adopt`: take it over from its owner. Raises NotOursError for a page that Winnow did not make, and StorageError.
        """
        own, found = self.site, _read(self._id_file).get("site", "")
        if found and found == own:
            return own
        if not adopt:
            former = self._check(own, found)
            if found and not own:
                # The config file was renamed or moved.
                own = _create(self._own_file, found, config=str(self.config))
                if former:
                    remove(former)
                return own
        elif not found:
            self._refuse_page_of_others()
        own = own or _create(self._own_file, secrets.token_hex(16), config=str(self.config))
        if found:
            _write(self._id_file, {"site": own})
            return own
        first = _create(self._id_file, own)
        if first != own:
            # Another process claimed it first: perhaps a worker with a copy of this config.
            if self._former_config(first) is None:
                raise self._refusal()
            _write(self._own_file, {"site": first, "config": str(self.config)})
        return first

    def _check(self, own: str, found: str) -> StorePath | None:
        """Return the id file of this config under its former name, if that owns the web directory; otherwise None.

        Raises NotOursError.
        """
        if not found:
            self._refuse_files_of_others(own)
            return None
        former = None if found == own else self._former_config(found)
        # Re-read: another process of this config may have taken it over meanwhile.
        if former is None and found not in {own, self.site}:
            raise self._refusal()
        return former

    @property
    def _id_file(self) -> StorePath:
        return self.output_dir / ID_NAME

    @property
    def _own_file(self) -> StorePath:
        return self.data_dir / IDS_FOLDER / f"{hashlib.sha256(str(self.config).encode()).hexdigest()[:16]}.json"

    def _refusal(self) -> NotOursError:
        return NotOursError(
            f"{self.output_dir}: another config publishes there, or this one did before its data_dir ({self.data_dir}) "
            "was lost or changed. Give each config an output_dir of its own; if this one is to take over, run "
            "`winnow collect --adopt`"
        )

    def _former_config(self, site: str) -> StorePath | None:
        """Return the id file with this id, if it belongs to this config under another name."""
        folder = self.data_dir / IDS_FOLDER
        for name in list_names(folder):
            # Another process may be writing a file, under another name as yet.
            known = _read(folder / name) if name.endswith(".json") and name != self._own_file.name else {}
            if known.get("site") == site and _is_same(known.get("config", ""), self.config):
                return folder / name
        return None

    def _refuse_files_of_others(self, own: str) -> None:
        """Raise NotOursError if publishing would replace a page that is not this config's.

        A site that an older version published has no id. It belongs to a config that has days in its store.
        """
        is_published = self._refuse_page_of_others() or read_if_there(self.output_dir / PACKAGES_NAME) is not None
        if is_published and not own and not self._has_days():
            raise NotOursError(
                f"{self.output_dir}: a site is published there, and {self.data_dir} has no day of it. Give each config "
                "an output_dir of its own; if this one is to take over, run `winnow collect --adopt`"
            )

    def _refuse_page_of_others(self) -> bool:
        """Return whether Winnow's first page is published. Raises NotOursError for a page that Winnow did not make."""
        page = read_if_there(self.output_dir / PAGE_NAME)
        if page is not None and not is_own_page(page):
            raise NotOursError(
                f"{self.output_dir / PAGE_NAME}: Winnow did not make this page, and does not replace it. Give Winnow "
                "an output_dir of its own, or move the page away"
            )
        return page is not None

    def _has_days(self) -> bool:
        return any(list_names(self.data_dir / name / RAW) for name in list_names(self.data_dir))


def is_own_page(content: bytes) -> bool:
    """Return whether Winnow made a page."""
    return STYLE_SHEET in content


def _is_same(other: str, config: Path) -> bool:
    """Return whether a config is this one under another name: its file is gone, or has the same content."""
    if not os.path.exists(other):  # noqa: PTH110 - Path raises for another user's folder; here that is gone
        return True
    with suppress(OSError):
        # Workers on one machine may each have a copy of the config.
        return config.samefile(other) or config.read_bytes() == Path(other).read_bytes()
    return False


def _read(place: StorePath) -> dict[str, str]:
    """Return the content of an id file; empty without one. Raises StorageError."""
    content = read_if_there(place)
    if content is None:
        return {}
    with suppress(ValueError):
        found = json.loads(content)
        if isinstance(found, dict) and isinstance(found.get("site"), str):
            return found
    raise StorageError(f"{place}: is damaged. Remove it, and run `winnow collect --adopt`")


def _write(place: StorePath, about: dict[str, str]) -> None:
    overwrite_file(place, _format(about))


def _create(place: StorePath, site: str, **about: str) -> str:
    """Write an id unless there is one; return the id in the file. If two processes write, one of them wins."""
    create_file(place, _format({"site": site, **about}))
    return _read(place).get("site", "")


def _format(about: dict[str, str]) -> bytes:
    return (json.dumps(about) + "\n").encode()
