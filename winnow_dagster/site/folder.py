"""The published folder of one package or group: its record, history, badges (JSON and SVG) and page."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import keep_style, may_replace
from winnow_dagster.site.badges import badge_files
from winnow_dagster.site.breakdown_badges import breakdown_badges
from winnow_dagster.site.breakdown_files import JSON_NAME as BREAKDOWNS_NAME
from winnow_dagster.site.breakdown_files import format_breakdowns, renew
from winnow_dagster.site.breakdown_sections import format_sections
from winnow_dagster.site.chart_file import CHART_NAME, format_chart
from winnow_dagster.site.history import CSV_NAME, JSON_NAME, format_csv, format_json
from winnow_dagster.site.page import PAGE_NAME, format_page
from winnow_dagster.site.record import RECORD_NAME, format_record, parse_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date

    from winnow_dagster.core.badge import Badge, BadgeStyle
    from winnow_dagster.core.days import Package
    from winnow_dagster.site.site import SiteConfig

    Published = Callable[[str], bytes | None]

FILES_BESIDE_BADGES = (RECORD_NAME, JSON_NAME, CSV_NAME, CHART_NAME, PAGE_NAME)
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
        CSV_NAME: format_csv(state.source, package.history),
    }
    breakdowns, days = renew(package, published) or (None, {})
    files |= days
    broken_down = list(breakdown_badges(site, state, breakdowns, today)) if breakdowns else []
    shown = []
    computed = [*site.badges(state, today), *(badge for badge, _ in broken_down)]
    style = site.style_of(state.package)
    for badge, is_new in _renewed(style, computed, published):
        drawn = badge_files(badge)
        files |= drawn if is_new else {badge.picture_name: drawn[badge.picture_name]}
        shown.append(badge)
    sections = []
    if breakdowns:
        stems = {badge.stem for badge in shown}
        numbers = {badge.stem: number for badge, number in broken_down if number and badge.stem in stems}
        files[BREAKDOWNS_NAME] = format_breakdowns(state.package, replace(breakdowns, badges=numbers))
        sections = list(format_sections(state, breakdowns, lambda name: files.get(name) or published(name)))
    lengths = {window.days for window in state.windows}
    asked_for = [badge for badge in shown if badge.days in lengths and badge.slug in style.slugs] if style else shown
    badges = asked_for or computed[:1]
    files[CHART_NAME] = format_chart(package)
    files[PAGE_NAME] = format_page(package, badges, site, today, sections)
    return files


def _renewed(style: BadgeStyle | None, computed: Sequence[Badge], published: Published) -> Iterator[tuple[Badge, bool]]:
    """Yield each badge of a folder. The flag is False if the published payload stays."""
    slugs = style.slugs if style else ()
    for badge in computed:
        before = parse_payload(published(badge.file_name))
        if before or badge.slug in slugs:
            renewed = badge if style else keep_style(before, badge)
            is_new = may_replace(before, renewed.payload)
            yield (renewed if is_new else replace(badge, payload=before)), is_new
