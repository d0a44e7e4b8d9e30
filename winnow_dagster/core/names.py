"""Package names and selectors. Only this module normalises names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl
from packaging.utils import InvalidName, NormalizedName, canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["EVERYTHING", "Group", "NormalizedName", "Selector", "is_name", "matches_any", "normalise", "selector_of"]

# A name is also a folder name in the web directory, and file systems allow 255 bytes.
MAX_NAME_LENGTH = 200

MAX_KNOWN_SELECTORS = 10_000
"""The maximum number of parsed selectors that Winnow remembers."""

GROUP_FOLDER = "_group/"

_NORMALISED = rf"^[a-z0-9](?:-?[a-z0-9]){{0,{MAX_NAME_LENGTH - 1}}}$"
_is_normalised = re.compile(_NORMALISED, re.ASCII).fullmatch


def normalise(name: str) -> NormalizedName:
    """Return the PEP 503 form of `name`: lower case, runs of `-_.` become `-`.

    Raises ValueError with the rules if `name` is not a PyPI name.
    """
    if len(name) > MAX_NAME_LENGTH:
        raise ValueError(f"a name of {len(name)} characters is too long. Use at most {MAX_NAME_LENGTH}")
    try:
        # isascii: the library's pattern ignores case, and by Unicode's rules the Kelvin sign is a k.
        return canonicalize_name(name if name.isascii() else "", validate=True)
    except InvalidName:
        raise ValueError(
            f"{name!r} is not a PyPI name. Use letters, digits, '-', '_' or '.', with a letter or digit first and last"
        ) from None


@dataclass(frozen=True, order=True)
class Selector:
    """An entry of `packages:`: one package, every package whose name starts with a prefix, or every package.

    `stem` is the normalised name, the normalised prefix with its final '-', or '' for every package.
    """

    stem: str
    is_prefix: bool = False

    @classmethod
    @lru_cache(maxsize=MAX_KNOWN_SELECTORS)
    def parse(cls, text: str) -> Selector:
        """Parse `name`, `name-*` or `*`. Raises ValueError that names the correct spelling.

        Each stored day names the same selectors. They share one object, because there are years of days.
        """
        if not text.endswith("*"):
            return cls(normalise(text))
        stem = text[:-1]
        if stem == "":
            return EVERYTHING
        if stem[-1] not in "-_.":
            raise ValueError(f"{text!r} is not a selector. A prefix ends in '-*': write '{stem}-*'")
        return cls(normalise(stem.rstrip("-_.")) + "-", is_prefix=True)

    def __str__(self) -> str:
        """Return the selector as the config spells it, normalised."""
        return self.stem + "*" if self.is_prefix else self.stem

    @property
    def is_all(self) -> bool:
        """Whether this is `*`, which selects every package."""
        return self == EVERYTHING

    def matches(self, package: str) -> bool:
        """Return whether this selector selects the package with this normalised name.

        A prefix never selects other text, such as the folder of a group.
        """
        if not self.is_prefix:
            return package == self.stem
        return package.startswith(self.stem) and len(package) <= MAX_NAME_LENGTH and _is_normalised(package) is not None

    def covers(self, other: Selector) -> bool:
        """Return whether this selector selects every package that `other` selects."""
        if other.is_prefix:
            return self.is_prefix and other.stem.startswith(self.stem)
        return self.matches(other.stem)


EVERYTHING = Selector("", is_prefix=True)
"""`*`"""


@dataclass(frozen=True)
class Group:
    """Packages whose downloads Winnow adds up under one name."""

    name: NormalizedName
    members: tuple[Selector, ...]

    def __str__(self) -> str:
        """Return the folder of the group. It starts with `_`, so no package has the same folder."""
        return GROUP_FOLDER + self.name


def selector_of(package: str, selectors: Iterable[Selector]) -> Selector | None:
    """Return the selector that publishes a package: its own, else the longest prefix; None if none selects it."""
    return max((s for s in selectors if s.matches(package)), key=lambda s: (not s.is_prefix, len(s.stem)), default=None)


def is_name(column: str) -> pl.Expr:
    """Return the polars condition that `column` holds a normalised name.

    A source may hold any text, and a name becomes a folder name.
    """
    return pl.col(column).str.contains(_NORMALISED) & (pl.col(column).str.len_bytes() <= MAX_NAME_LENGTH)


def matches_any(selectors: Iterable[Selector], column: str) -> pl.Expr:
    """Return the polars condition that `column` holds a name that one of these selectors selects."""
    chosen = sorted(selectors)
    condition = pl.col(column).is_in([s.stem for s in chosen if not s.is_prefix])
    for selector in chosen:
        if selector.is_prefix:
            condition |= pl.col(column).str.starts_with(selector.stem) & is_name(column)
    return condition
