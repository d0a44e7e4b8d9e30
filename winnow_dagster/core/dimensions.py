"""The tables of dimensions, by which Winnow breaks down downloads.

A `Dimension` has a fixed set of values, and every count has it. Its entry defines the columns of queries and stored
days, the numbers of a day or window, the parts of published files, the badges and the tables of a page.

An `OpenDimension` may have any value. Winnow reads it only for the entries of the config that ask for a breakdown by
it.

This module knows nothing of how Winnow counts or shows them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from winnow_dagster.core import kernels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True)
class Family:
    """Values whose sum has a badge of its own."""

    label: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Dimension:
    """One way to break down honest downloads."""

    name: str
    """The column of stored counts. The part of published files is `by_<name>`."""

    column: str
    """The dotted name of the text field of file_downloads. Exports have the same fields."""

    values: Mapping[str, str]
    """The values with a number of their own, as the source spells them, keyed as in published names."""

    slug: str
    """How the slugs of its badges begin. If empty, the dimension has no badges."""

    health_key: str
    """Its key in `_health.json`."""

    bytes_per_row: float
    """The average size of the column in the log, derived from rows with real user agents."""

    rest: str = ""
    """The key of downloads with another value or none. If empty, every honest download has one of the values."""

    families: Mapping[str, Family] = field(default_factory=dict)
    """The families of values, keyed as in published names."""

    label: str = "{}"
    """The label of a badge: `{}` is the key."""

    prefix: str = ""
    """How the names of its numbers begin, before the key."""

    pattern: str = ""
    """A regular expression. Winnow keeps its first match in the source's text; if empty, the whole text."""

    is_later: bool = False
    """Whether earlier releases stored days without it.

    If so, a stored NULL means unknown, and Winnow stores the source's NULL as "". If not, NULL is the source's NULL.
    """

    @property
    def part(self) -> str:
        """Its key in published JSON."""
        return f"by_{self.name}"

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of its numbers, the rest last."""
        return (*self.values, *([self.rest] if self.rest else []))

    @property
    def numbers(self) -> tuple[str, ...]:
        """The names of its numbers in a day or window, in the order of `keys`."""
        return tuple(map(self.number, self.keys))

    def number(self, key: str) -> str:
        """Return the name of the number of a value."""
        return f"{self.prefix}{key}"


INSTALLER = Dimension(
    name="installer",
    column="details.installer.name",
    # The allowlist of honest installers, exact and case-sensitive.
    values={name: name for name in ("pip", "pipenv", "pipx", "uv", "poetry", "pdm")},
    slug="installer",
    health_key="counts",
    bytes_per_row=5.0,
    families={"pip-family": Family("pip*", ("pip", "pipenv", "pipx"))},
)

SYSTEM = Dimension(
    name="system",
    column="details.system.name",
    values={"linux": "Linux", "macos": "Darwin", "windows": "Windows"},
    slug="os",
    health_key="counts_by_system",
    bytes_per_row=6.8,
    rest="other_system",
)

DIMENSIONS: tuple[Dimension, ...] = (INSTALLER, SYSTEM)
"""All dimensions, in the order of columns and published parts. Add a new one at the end."""

SEPARATOR = "/"
"""The text between the two parts of a joined value. No class of kernels contains it."""


@dataclass(frozen=True)
class OpenDimension:
    """One way to break down downloads, with any number of values."""

    name: str
    """Its name in the config, in stored days and in published files."""

    column: str
    """The dotted name of the field of file_downloads. Exports have the same fields."""

    title: str
    """Its name on pages."""

    bytes_per_row: float
    """The average size of the column in the log, derived from rows with real user agents."""

    pattern: str = ""
    """A regular expression. Winnow keeps its first match in the source's text; if empty, the whole text."""

    has_versions: bool = False
    """Whether its values are versions, in whose order files and pages list them. Others are ordered by size."""

    adds_up: bool = True
    """Whether the values mean the same for every package, so that a group can add them up."""

    is_repeated: bool = False
    """Whether the field is a list of texts. The value is the list, joined with spaces."""

    classes: Sequence[tuple[str, str]] = ()
    """Classes with a regular expression each. The value is the first class that matches a part of the text, or else
    `kernels.OTHER`. If empty, the value is the text itself."""

    asked_by: str = ""
    """The config key that asks for the dimension; empty for `breakdowns:`."""

    is_recent: bool = False
    """Whether many exports lack the field, because PyPI added it late. Downloads in them count as not said."""

    joined: OpenDimension | None = None
    """Another dimension, whose value follows after SEPARATOR: `azure/3.12`, or `azure/` if it is not said.

    If its own field is not said, the whole value is not said.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """The dotted names of all fields that it needs, its own first."""
        return (self.column, *(self.joined.columns if self.joined else ()))


PYTHON = OpenDimension("python", "details.python", "Python", 7.5, pattern=r"^[0-9]+\.[0-9]+", has_versions=True)
VERSION = OpenDimension("version", "file.version", "Version", 7.7, has_versions=True, adds_up=False)
COUNTRY = OpenDimension("country", "country_code", "Country", 4.0)
LIBC = OpenDimension("libc", "details.distro.libc.lib", "C library", 4.7)
CPU = OpenDimension("cpu", "details.cpu", "Processor", 7.0)
FILE_TYPE = OpenDimension("file_type", "file.type", "File type", 11.1)
# A fifth of the rows are uv's. Their subcommand has 4 to 18 bytes: `sync`, `pip install`, `tool run`.
SUBCOMMAND = OpenDimension(
    "subcommand", "details.installer.subcommand", "uv command", 2.0, is_repeated=True, is_recent=True
)
# pip, uv, poetry and pdm name the version of their interpreter here. poetry and pdm leave `details.python` out.
INTERPRETER = OpenDimension("interpreter", "details.implementation.version", "Interpreter", 7.9, pattern=PYTHON.pattern)
# The name has the version of the classes, so that Winnow never mixes days of two versions.
KERNEL = OpenDimension(
    f"kernel_v{kernels.VERSION}",
    "details.system.release",
    "Kernel",
    19.7,
    classes=kernels.CLASSES,
    asked_by="estimate_unsaid_ci",
    joined=INTERPRETER,
)

OPEN_DIMENSIONS: Mapping[str, OpenDimension] = {
    dimension.name: dimension for dimension in (PYTHON, VERSION, COUNTRY, LIBC, CPU, FILE_TYPE, SUBCOMMAND, KERNEL)
}
"""All open dimensions by name, in the order of published files and pages."""

OPEN_FIELDS: Sequence[OpenDimension] = (
    *OPEN_DIMENSIONS.values(),
    *(dimension.joined for dimension in OPEN_DIMENSIONS.values() if dimension.joined),
)
"""All open dimensions, and those that Winnow reads only as a part of others."""

FORMER_DIMENSIONS = tuple(f"kernel_v{version}" for version in range(1, kernels.VERSION))
"""The names of kernels by former versions of their classes. Winnow no longer reads or publishes them."""

BREAKDOWNS = tuple(name for name, dimension in OPEN_DIMENSIONS.items() if not dimension.asked_by)
"""The open dimensions that `breakdowns:` and badges may name."""

USUAL_BREAKDOWNS = (PYTHON.name, VERSION.name)
"""The breakdowns that maintainers need first: they show which Pythons and versions one may drop."""


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of open dimensions in the order of the table, each once."""
    chosen = set(names)
    return tuple(name for name in OPEN_DIMENSIONS if name in chosen)
