"""Which folders, storage and logs an instance has. Everything here is private Dagster API; `opening` does without it.

`DagsterInstance.from_config` is public, but it resolves relative folders from the working directory, and it keeps what
each step prints.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import yaml
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._serdes import ConfigurableClassData

if TYPE_CHECKING:
    from pathlib import Path


def read_reference(home: Path, folder: Path, beside: Path) -> InstanceRef:
    """Return the instance in `home` with the dagster.yaml in `folder`; relative folders are resolved from `beside`.

    It keeps no compute logs: for them Dagster would start two processes per step.
    """
    no_logs = {"module": NoOpComputeLogManager.__module__, "class": NoOpComputeLogManager.__name__}
    reference = InstanceRef.from_dir(str(home), config_dir=str(folder), overrides={"compute_logs": no_logs})
    return _with_whole_paths(reference, beside)


def _with_whole_paths(reference: InstanceRef, folder: Path) -> InstanceRef:
    # The working directory stays, since relative paths in the user's environment depend on it.
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
