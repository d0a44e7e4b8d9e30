"""Winnow: honest download counts of Python packages, as badges."""

from importlib.metadata import version

__version__ = version("winnow-dagster")
