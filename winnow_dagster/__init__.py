"""Winnow: honest download counts of Python packages, as badges.

`WinnowComponent` and `build_defs` add Winnow to a Dagster project. Dagster is imported when one of them is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from winnow_dagster.version import __version__

if TYPE_CHECKING:
    from winnow_dagster.component import WinnowComponent, build_defs, load_settings

__all__ = ["WinnowComponent", "__version__", "build_defs", "load_settings"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("winnow_dagster.component"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
