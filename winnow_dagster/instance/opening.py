"""Which Dagster instance a config's runs belong to, so that the Dagster UI and `winnow collect` share one history."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import ConfigurableClassData

from winnow_dagster.config.errors import ConfigError
from winnow_dagster.config.settings import HOME_VARIABLE, INSTANCE_FILE
from winnow_dagster.core.causes import INSTANCE
from winnow_dagster.files.errors import to_storage_error, translating_os_errors
from winnow_dagster.files.file_lock import file_lock
from winnow_dagster.files.operations import StorageError, make_folder, replace_file
from winnow_dagster.instance.errors import HistoryError, naming_file, naming_history
from winnow_dagster.instance.event_log import keep_connections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from winnow_dagster.config.settings import Settings

MAX_WAIT_SECONDS = 60.0
"""How long to wait while another process opens the same instance, which takes a moment."""

BATCH_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
"""How many events that come together Dagster stores in one go."""

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

    Raises ConfigError. Raises HistoryError if the history cannot be read or written, at the start or later.
    """
    os.environ.setdefault(BATCH_VARIABLE, "1000")
    # libpq waits for an address that does not answer for as long as the system does: minutes, several times over.
    os.environ.setdefault("PGCONNECT_TIMEOUT", "3")
    try:
        home, folder = _choose(settings)
    except HistoryError:
        raise
    except StorageError as error:
        raise HistoryError(f"{error}. {INSTANCE['history'].fix}") from None
    where = str(home if folder == home else folder / INSTANCE_FILE)
    with naming_history(where):
        with naming_file(folder / INSTANCE_FILE):
            instance = _open(settings, home, folder)
        with instance:
            yield instance


@contextlib.contextmanager
def open_nothing() -> Iterator[dg.DagsterInstance]:
    """Open an instance that keeps no history, for when the configured one cannot be used."""
    with translating_os_errors(Path(tempfile.gettempdir())), dg.DagsterInstance.ephemeral() as instance:
        yield instance


def _choose(settings: Settings) -> tuple[Path, Path]:
    """Return the instance's folder and the folder of its dagster.yaml. Raises ConfigError, and StorageError."""
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
    reference = InstanceRef.from_dir(str(home), config_dir=str(folder), overrides=_NO_STEP_OUTPUT)
    # `dagster dev` follows relative paths from where it is started: beside the config.
    beside = settings.folder if os.environ.get(HOME_VARIABLE) else folder
    try:
        # Two processes that create the tables of a new instance at the same time conflict.
        with file_lock(settings.local_dir / ".instance.lock", "opening the history of runs", MAX_WAIT_SECONDS):
            return dg.DagsterInstance.from_ref(keep_connections(_with_whole_paths(reference, beside)))
    except StorageError as error:
        raise HistoryError(f"{error}. {INSTANCE['history'].fix}") from None
    except OSError as error:
        raise HistoryError(f"{to_storage_error(error, home)}. {INSTANCE['history'].fix}") from None


def _with_whole_paths(reference: InstanceRef, folder: Path) -> InstanceRef:
    """Return an instance whose relative folders are resolved from `folder`.

    This does not change the working directory, since relative paths in the user's environment depend on it.
    """

    def whole(content: object, key: str = "") -> object:
        if isinstance(content, dict):
            return {name: whole(value, name) for name, value in content.items()}
        if key == "config_yaml" and isinstance(content, str):
            return yaml.safe_dump(whole(yaml.safe_load(content)))
        return os.path.join(folder, content) if key == "base_dir" and isinstance(content, str) else content  # noqa: PTH118

    changed: dict[str, Any] = {
        field: part._replace(config_yaml=str(whole(part.config_yaml, "config_yaml")))
        for field, part in reference._asdict().items()
        if isinstance(part, ConfigurableClassData)
    }
    return reference._replace(**changed)


def _make_local_dir(settings: Settings) -> None:
    """Make the folder of what is this machine's own. Raises StorageError, also where somebody else made it in /tmp."""
    folder = settings.local_dir
    make_folder(folder)
    is_anywhere = folder != settings.data_dir and not folder.is_relative_to(settings.folder)
    if is_anywhere and folder.stat().st_uid != os.getuid():
        # An instance says what code is run.
        raise StorageError(f"{folder}: belongs to another user. Move it away, or make {settings.folder} writable")
