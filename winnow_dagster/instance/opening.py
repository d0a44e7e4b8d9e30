"""Open the Dagster instance of a config. The Dagster UI and `winnow collect` share its history of runs."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from winnow_dagster.config.errors import ConfigError
from winnow_dagster.config.settings import HOME_VARIABLE, INSTANCE_FILE
from winnow_dagster.core.causes import INSTANCE
from winnow_dagster.files.errors import to_storage_error, translating_os_errors
from winnow_dagster.files.file_lock import file_lock
from winnow_dagster.files.operations import StorageError, make_folder, replace_file
from winnow_dagster.instance.errors import HistoryError, translating_file_errors, translating_history_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dagster._core.instance.ref import InstanceRef

    from winnow_dagster.config.settings import Settings

MAX_WAIT_SECONDS = 60.0
"""How long to wait while another process opens the same instance."""

BATCH_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
"""The variable that sets how many events Dagster stores in one batch."""

DEFAULT_INSTANCE = Path(__file__).with_name("instance.yaml")

CHANGED = (ImportError, AttributeError, TypeError)
"""What a private name raises if another version of Dagster has moved it, removed it, or changed its parameters."""

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Open the instance of $DAGSTER_HOME, else of the config's folder if it has a dagster.yaml, else of `data_dir`.

    Raises ConfigError. Raises HistoryError if the history cannot be read or written, now or while the instance is open.
    """
    os.environ.setdefault(BATCH_VARIABLE, "1000")
    # By default libpq waits several minutes for an address that does not answer.
    os.environ.setdefault("PGCONNECT_TIMEOUT", "3")
    try:
        home, folder = _choose(settings)
    except HistoryError:
        raise
    except StorageError as error:
        raise HistoryError(f"{error}. {INSTANCE['history'].fix}") from None
    where = str(home if folder == home else folder / INSTANCE_FILE)
    with translating_history_errors(where):
        with translating_file_errors(folder / INSTANCE_FILE):
            instance = _open(settings, home, folder)
        with instance:
            yield instance


def describe_instance(settings: Settings) -> str:
    """Return where the history of runs is, and how many runs it has. Does not create an instance.

    Raises ConfigError and HistoryError.
    """
    if HOME_VARIABLE not in os.environ and not any(
        (folder / INSTANCE_FILE).exists() for folder in (settings.folder, settings.default_home)
    ):
        return f"{settings.default_home}: the first collect creates it"
    with open_instance(settings) as instance:
        return f"{instance.root_directory}: {instance.get_runs_count()} runs"


@contextlib.contextmanager
def open_without_history() -> Iterator[dg.DagsterInstance]:
    """Open an instance that keeps no history, in place of one that cannot be used."""
    with translating_os_errors(Path(tempfile.gettempdir())), dg.DagsterInstance.ephemeral() as instance:
        yield instance


def _choose(settings: Settings) -> tuple[Path, Path]:
    """Return the instance's folder and the folder of its dagster.yaml. Raises ConfigError and StorageError."""
    _make_local_dir(settings)
    home = settings.default_home
    if given := os.environ.get(HOME_VARIABLE):
        chosen = Path(given).expanduser().absolute()
        if not chosen.is_dir():
            raise ConfigError(chosen, [f"${HOME_VARIABLE} is not a directory. Make it, or unset the variable"])
        return chosen, chosen
    make_folder(home)
    if (settings.folder / INSTANCE_FILE).exists():
        return home, settings.folder
    if not (home / INSTANCE_FILE).exists():
        replace_file(home / INSTANCE_FILE, DEFAULT_INSTANCE.read_bytes())
    return home, home


def _open(settings: Settings, home: Path, folder: Path) -> dg.DagsterInstance:
    # `dagster dev` resolves relative paths from its working directory, which is the config's folder.
    beside = settings.folder if os.environ.get(HOME_VARIABLE) else folder
    reference = _read_reference(home, folder, beside)
    try:
        # Two processes that create the tables of a new instance at the same time conflict.
        with file_lock(settings.local_dir / ".instance.lock", "opening the history of runs", MAX_WAIT_SECONDS):
            if reference is None:
                return dg.DagsterInstance.from_config(str(home), str(folder / INSTANCE_FILE))
            return _open_reference(reference)
    except StorageError as error:
        raise HistoryError(f"{error}. {INSTANCE['history'].fix}") from None
    except OSError as error:
        raise HistoryError(f"{to_storage_error(error, home)}. {INSTANCE['history'].fix}") from None


def _read_reference(home: Path, folder: Path, beside: Path) -> InstanceRef | None:
    """Return the instance with whole paths; None if Dagster has changed."""
    try:
        from winnow_dagster.instance.reference import read_reference  # noqa: PLC0415 - it needs private names

        return read_reference(home, folder, beside)
    except CHANGED as error:
        _warn(error, "resolves relative folders from the working directory, as Dagster does. Runs take longer")
        return None


def _open_reference(reference: InstanceRef) -> dg.DagsterInstance:
    """Open an instance with connections that stay open, or with Dagster's own storage if Dagster has changed."""
    try:
        from winnow_dagster.instance.event_log import keep_connections  # noqa: PLC0415 - it needs private names

        return dg.DagsterInstance.from_ref(keep_connections(reference))
    except CHANGED as error:
        _warn(error, "keeps the history of runs in Dagster's own storage. Runs take longer")
        return dg.DagsterInstance.from_ref(reference)


def _warn(error: Exception, consequence: str) -> None:
    logger.warning("Dagster %s has changed inside (%s). Winnow %s", dg.__version__, error, consequence)


def _make_local_dir(settings: Settings) -> None:
    """Create the folder for this machine's own files. Raises StorageError, also if another user owns it in /tmp."""
    folder = settings.local_dir
    make_folder(folder)
    is_anywhere = folder != settings.data_dir and not folder.is_relative_to(settings.folder)
    if is_anywhere and folder.stat().st_uid != os.getuid():
        # An instance decides which code Dagster runs.
        raise StorageError(f"{folder}: belongs to another user. Move it away, or make {settings.folder} writable")
