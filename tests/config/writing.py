"""Write a config into the current folder, and list its problems."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from winnow_dagster.config.loading import CONFIG_NAME, ConfigError, load_settings


def write(text: str, path: str = CONFIG_NAME) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(text))
    return file


def problems(text: str) -> list[str]:
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    lines = str(caught.value).splitlines()
    prefix = f"{path.absolute()}: "
    assert all(line.startswith((prefix, f"{path}: ")) for line in lines)
    return [line.partition(": ")[2] for line in lines]
