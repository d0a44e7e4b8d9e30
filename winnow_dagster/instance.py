"""Which Dagster instance a config's runs belong to, so that the Dagster UI and `winnow collect` share one history."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from filelock import FileLock
from sqlalchemy.exc import SQLAlchemyError

from winnow_dagster.config_errors import ConfigError
from winnow_dagster.event_log import keep_connections
from winnow_dagster.settings import HOME_VARIABLE
from winnow_dagster.storage.files import StorageError, make_folder, replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from winnow_dagster.settings import Settings

BATCH_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
"""How many events that come together Dagster stores in one go."""

INSTANCE_FILE = "dagster.yaml"
DEFAULT_INSTANCE = Path(__file__).with_name("instance.yaml")

# Nothing that a collect's steps print is of use, and keeping it costs two processes per step.
_NO_STEP_OUTPUT = {
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
}


@contextlib.contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Open the instance of $DAGSTER_HOME; else of the config's folder, if it has a dagster.yaml; else of `data_dir`.

    Raises ConfigError, and StorageError where its history cannot be written, then or in the midst of things.
    """
    os.environ.setdefault(BATCH_VARIABLE, "1000")
    _make_local_dir(settings)
    home = settings.default_home
    given = os.environ.get(HOME_VARIABLE)
    if given:
        chosen = Path(given).expanduser().absolute()
        if not chosen.is_dir():
            raise ConfigError(chosen, [f"${HOME_VARIABLE} is not a directory. Make it, or unset the variable"])
        reference = InstanceRef.from_dir(str(chosen), overrides=_NO_STEP_OUTPUT)
        folder = settings.folder
    elif (settings.folder / INSTANCE_FILE).exists():
        make_folder(home)
        reference = InstanceRef.from_dir(str(home), config_dir=str(settings.folder), overrides=_NO_STEP_OUTPUT)
        folder = settings.folder
    else:
        make_folder(home)
        if not (home / INSTANCE_FILE).exists():
            replace_file(home / INSTANCE_FILE, DEFAULT_INSTANCE.read_bytes())
        reference = InstanceRef.from_dir(str(home), overrides=_NO_STEP_OUTPUT)
        folder = home
    # Relative paths in dagster.yaml follow the working directory, and `dagster dev` is started beside that file.
    with contextlib.chdir(folder):
        try:
            # Two processes that make the tables of a new instance at the same time get in each other's way.
            with FileLock(settings.local_dir / ".instance.lock"):
                instance = dg.DagsterInstance.from_ref(keep_connections(reference))
            with instance:
                yield instance
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise StorageError(
                f"{given or home}: the history of runs, which {INSTANCE_FILE} says where to keep, cannot be read or "
                f"written ({reason}). Look at the disk, or the database, that it is in. No number depends on it: if "
                "all else fails, move it away"
            ) from None


def _make_local_dir(settings: Settings) -> None:
    """Make the folder of what is this machine's own. Raises StorageError, also where somebody else made it in /tmp."""
    folder = settings.local_dir
    make_folder(folder)
    is_anywhere = folder != settings.data_dir and not folder.is_relative_to(settings.folder)
    if is_anywhere and folder.stat().st_uid != os.getuid():
        # An instance says what code is run.
        raise StorageError(f"{folder}: belongs to another user. Move it away, or make {settings.folder} writable")
