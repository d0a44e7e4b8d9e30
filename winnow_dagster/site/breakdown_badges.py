"""Badges of breakdowns: the range of Pythons that most honest downloads use, and the honest downloads of one value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from winnow_dagster.core.badge import (
    DEFAULT_STYLE,
    GREY,
    NO_DOWNLOADS,
    SAMPLE_LABEL,
    SLUGS,
    Badge,
    color_of,
    format_count,
    label_of,
    parse_file_name,
    shown_on,
    split_slug,
)
from winnow_dagster.core.coverage import ONE_DAY, days_between
from winnow_dagster.core.day_ranges import days_in
from winnow_dagster.core.values import NOT_SAID, smallest_range
from winnow_dagster.core.window import Window
from winnow_dagster.site.breakdown_files import BadgeNumber
from winnow_dagster.site.words import NOT_SAID_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from winnow_dagster.core.breakdowns import Breakdown
    from winnow_dagster.core.window import PackageState, WindowState
    from winnow_dagster.site.breakdown_files import PublishedBreakdowns
    from winnow_dagster.site.site import SiteConfig


def breakdown_badges(
    site: SiteConfig, state: PackageState, found: PublishedBreakdowns, today: date
) -> Iterator[tuple[Badge, BadgeNumber | None]]:
    """Yield each badge of a breakdown that a package may have, as it reads on `today`, and its number or None.

    A badge keeps its last number while the breakdown of its window is unknown (R5).
    """
    style = site.style_of(state.package) or DEFAULT_STYLE
    published = {parsed[0] for stem in found.badges if (parsed := parse_file_name(f"{stem}.json"))}
    slugs = [slug for slug in dict.fromkeys([*style.slugs, *sorted(published)]) if slug not in SLUGS]
    prefix = SAMPLE_LABEL if state.source == "sample" else ""
    for slug in slugs:
        parts = split_slug(slug)
        if parts is None or parts[0] not in found.days:
            continue
        dimension, value = parts
        for at, window in enumerate((*state.windows, *state.former)):
            label = prefix + label_of(slug, style, window, is_headline=at == 0)
            breakdown = found.windows.get(window.days, {}).get(dimension)
            before = found.badges.get(Badge(slug, window.days, {}).stem)
            number = _number(breakdown, value) if breakdown else before
            content = (
                shown_on(
                    today,
                    site.stale_threshold_days,
                    number.message,
                    color_of(number.downloads, style.part_colors),
                    number.as_of,
                )
                if number
                else {"message": _collecting(found, dimension, window, today), "color": GREY}
            )
            payload = {"schemaVersion": 1, "label": label, **content, **style.extras}
            yield Badge(slug, window.days, payload), number


def _number(breakdown: Breakdown, value: str) -> BadgeNumber:
    """Return the honest downloads of a value; for an empty value, the range of versions that most of them use.

    Without a range the message says why. It is a fact like a range, so that it replaces a published one.
    """
    if value:
        count = breakdown.honest.get(value, 0)
        return BadgeNumber(format_count(count), count, breakdown.last_day)
    named = sum(count for version, count in breakdown.honest.items() if version != NOT_SAID)
    if ends := smallest_range(breakdown.honest):
        message = " – ".join(dict.fromkeys(ends))  # noqa: RUF001 - a dash, not a minus
    else:
        message = NOT_SAID_NAME if any(breakdown.honest.values()) else NO_DOWNLOADS
    return BadgeNumber(message, named, breakdown.last_day)


def _collecting(found: PublishedBreakdowns, dimension: str, window: WindowState, today: date) -> str:
    """Return how many days of a window are known."""
    shown = window.counts.window if window.counts else Window(window.days or 1, today - ONE_DAY)
    known = days_in(found.days[dimension]).intersection(days_between(shown.first_day, shown.as_of))
    return f"collecting {len(known)}/{shown.days}d"
