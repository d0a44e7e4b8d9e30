"""The version of this installation of Winnow."""

from importlib.metadata import version

__version__ = version("winnow-dagster")
