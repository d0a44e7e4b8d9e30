"""The values of open dimensions: their order, and the range of Pythons that most honest downloads use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from winnow_dagster.core.dimensions import SEPARATOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from winnow_dagster.core.dimensions import OpenDimension

NOT_SAID = ""
"""The value of downloads that do not name one."""

MIN_PERCENTAGE_DOWNLOADS = 30
"""The minimum number of honest downloads for which pages show percentages."""

RANGE_PERCENT = 95
"""The minimum percentage of the honest downloads that the range of Pythons has."""


def order_values(dimension: OpenDimension, values: Iterable[str]) -> list[str]:
    """Return values in the dimension's order: versions from old to new, others by text; not said last.

    Text that is no version comes before all versions.
    """
    return sorted(values, key=version_key if dimension.has_versions else _text_key)


def version_key(text: str) -> tuple[int, Version | str, str]:
    """Return the sort key of a version."""
    if text == NOT_SAID:
        return 2, "", ""
    try:
        return 1, Version(text), text
    except InvalidVersion:
        return 0, text, ""


def _text_key(text: str) -> tuple[int, str]:
    return text == NOT_SAID, text


def sum_first_parts(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts by joined values, added up by the first parts: `azure` for `azure/3.12`."""
    found: dict[str, int] = {}
    for value, count in counts.items():
        first = value.partition(SEPARATOR)[0]
        found[first] = found.get(first, 0) + count
    return found


def smallest_range(counts: Mapping[str, int]) -> tuple[str, str] | None:
    """Return the oldest and newest version of the smallest range with RANGE_PERCENT of the downloads that name one.

    A range has every counted version between its ends. Of ranges with equally many versions, this prefers the one with
    the most downloads, then the newest. None if no download names a version.
    """
    versions = sorted((value for value, count in counts.items() if value != NOT_SAID and count), key=version_key)
    total = sum(counts[version] for version in versions)
    best: tuple[int, int, int] | None = None
    chosen = None
    for first in range(len(versions)):
        inside = 0
        for last in range(first, len(versions)):
            inside += counts[versions[last]]
            if 100 * inside >= RANGE_PERCENT * total:
                rank = first - last, inside, first
                if best is None or rank > best:
                    best, chosen = rank, (versions[first], versions[last])
                break
    return chosen
