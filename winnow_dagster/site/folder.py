"""The published folder of one package or group: its record, history, badges (JSON and SVG) and page."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import keep_style, may_replace
from winnow_dagster.site.badges import badge_files
from winnow_dagster.site.history import CSV_NAME, JSON_NAME, format_csv, format_json
from winnow_dagster.site.page import PAGE_NAME, format_page
from winnow_dagster.site.record import RECORD_NAME, format_record, parse_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import date

    from winnow_dagster.core.badge import Badge
    from winnow_dagster.core.days import Package
    from winnow_dagster.core.window import PackageState
    from winnow_dagster.site.site import SiteConfig

    Published = Callable[[str], bytes | None]

FILES_BESIDE_BADGES = (RECORD_NAME, JSON_NAME, CSV_NAME, PAGE_NAME)
"""The files of a folder beside its badges."""


def format_folder(site: SiteConfig, package: Package, today: date, published: Published) -> dict[str, bytes]:
    """Return the files of a package's folder by name, the record first and the page last.

    `published`: returns the content of a published file. Winnow also renews published badges that are no longer
    configured. A published number stays unless a new number replaces it (R5).
    """
    state = package.state
    files = {
        RECORD_NAME: format_record(state),
        JSON_NAME: format_json(state, package.history),
        CSV_NAME: format_csv(package.history),
    }
    shown = []
    for badge, is_new in _renewed(site, state, today, published):
        drawn = badge_files(badge)
        files |= drawn if is_new else {badge.picture_name: drawn[badge.picture_name]}
        shown.append(badge)
    listed = {(b.slug, b.days) for b in site.chosen(replace(state, former=()), today)}
    asked_for = [b for b in shown if (b.slug, b.days) in listed] if site.style_of(state.package) else shown
    badges = asked_for or site.badges(state, today)[:1]
    files[PAGE_NAME] = format_page(state, package.history, badges, site, today)
    return files


def _renewed(site: SiteConfig, state: PackageState, today: date, published: Published) -> Iterator[tuple[Badge, bool]]:
    """Yield each badge of a folder. The flag is False if the published payload stays."""
    style = site.style_of(state.package)
    asked_for = {badge.stem for badge in site.chosen(state, today)} if style else set()
    for computed in site.badges(state, today):
        before = parse_payload(published(computed.file_name))
        if computed.stem in asked_for or before:
            badge = computed if style else keep_style(before, computed)
            is_new = may_replace(before, badge.payload)
            yield (badge if is_new else replace(computed, payload=before)), is_new
