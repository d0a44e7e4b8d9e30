"""Dimensions: what honest downloads are broken down by. Each is one entry of DIMENSIONS.

The query, the columns of stored days, the numbers of a day and a window, the parts of published files, the badges and
the tables of a page derive from the entry. Knows nothing of how counts are made or shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Family:
    """Values that one more badge adds up."""

    label: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Dimension:
    """One way to break honest downloads down."""

    name: str
    """The column of stored counts. Published files have the part `by_<name>`."""

    column: str
    """The text field of file_downloads, dotted. Queries read it, and so do exports, which have the same fields."""

    values: Mapping[str, str]
    """The values that are counted apart, as the source spells them, by their keys in published names."""

    slug: str
    """What the slugs of its badges begin with; without it the dimension has no badges."""

    health_key: str
    """Its key in `_health.json`."""

    bytes_per_row: float
    """The size of the column in the log, derived from rows with real user agents."""

    rest: str = ""
    """The key of the downloads with another value or none; without it, every honest download has one of the values."""

    families: Mapping[str, Family] = field(default_factory=dict)
    """Further badges, by their keys."""

    label: str = "{}"
    """The label of a badge: `{}` is the key."""

    prefix: str = ""
    """What the names of its numbers begin with, before the key."""

    pattern: str = ""
    """A regular expression; only its first match in the source's text is kept. Without it all of the text is."""

    is_later: bool = False
    """Whether an earlier release stored days without it.

    Then NULL is unknown, and the source's NULL is stored as "". Otherwise NULL is the source's.
    """

    @property
    def part(self) -> str:
        """Its key in published files."""
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
"""All dimensions, in the order of columns and published parts. A later one comes last."""
