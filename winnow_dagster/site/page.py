"""The page of one package or group: its counts by day and category, and snippets that show its badge."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup, escape

from winnow_dagster.core.badge import PYTHONS, UNKNOWN, format_share, is_stale
from winnow_dagster.core.categories import CATEGORIES
from winnow_dagster.core.definition import LAST_MIXED_DAY, Definition
from winnow_dagster.core.names import GROUP_FOLDER, Selector
from winnow_dagster.core.remarks import remark_on
from winnow_dagster.core.values import MIN_PERCENTAGE_DOWNLOADS
from winnow_dagster.core.window import ALL
from winnow_dagster.site.bars import list_tables
from winnow_dagster.site.change import describe_change
from winnow_dagster.site.chart import plot, share_bar
from winnow_dagster.site.chart_file import CHART_DAYS, CHART_NAME, chart_lengths
from winnow_dagster.site.history import CSV_NAME, JSON_NAME, READINGS
from winnow_dagster.site.record import RECORD_NAME
from winnow_dagster.site.snippets import ROOT_PLACEHOLDER, describe, snippets_by_source
from winnow_dagster.site.svg import size
from winnow_dagster.site.template import render

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from winnow_dagster.core.badge import Badge
    from winnow_dagster.core.days import Package
    from winnow_dagster.core.history import Day, History
    from winnow_dagster.core.reader_query import ReaderQuery
    from winnow_dagster.core.window import PackageState, WindowCounts, WindowState
    from winnow_dagster.site.breakdown_sections import Section
    from winnow_dagster.site.site import SiteConfig

PAGE_NAME = "index.html"

TOP_SLUGS = {"downloads", "honest-share", PYTHONS}
"""The slugs of the badges at the top of the page. The section `Show a badge` has all badges."""

PYPI = "https://pypi.org/project"

TABLE_COLUMNS = 1 + len(CATEGORIES)
"""The number of NUMBERS in a chart's table: raw and the categories, which come first."""


class Panel(NamedTuple):
    """A chart of days."""

    days: int
    svg: Markup
    summary: str


def format_page(
    package: Package, badges: Sequence[Badge], site: SiteConfig, today: date, sections: Sequence[Section] = ()
) -> bytes:
    """Return the page as it reads on `today`. `badges`: the published badges, the headline first."""
    state, history = package.state, package.history
    counted = [window.counts for window in state.windows if window.counts]
    headline = state.headline.counts
    along = site.reader_queries.get(state.source)
    is_group = state.package.startswith(GROUP_FOLDER)
    root, folder = site.base_url or ROOT_PLACEHOLDER, state.package
    page = f"{root}/{folder}/"
    _, height = size(badges[0].payload)
    pictures = [_picture(badge) for badge in badges]
    releases = [(each.version, each.first_day) for s in sections if s.upgrades for each in s.upgrades.releases]
    return render(
        "package.html",
        "../../" if is_group else "../",
        name=folder.removeprefix(GROUP_FOLDER),
        folder=folder,
        is_group=is_group,
        state=state,
        sample=state.source == "sample",
        is_removed=site.style_of(state.package) is None,
        headline=headline,
        remark=remark_on(state),
        share=format_share(headline.honest, headline.raw) if headline else "",
        bar=Markup(share_bar(headline)) if headline else "",  # noqa: S704 - numbers and our own words
        shares=_shares(headline) if headline else [],
        change=describe_change(history, headline),
        pypi=f"{PYPI}/{state.package}/" if not is_group and state.source != "sample" else "",
        repository=site.repository_of(state.package),
        stale=headline is not None and is_stale(headline.window.as_of, today, site.stale_threshold_days),
        stale_threshold_days=site.stale_threshold_days,
        short_days=sorted({day for counts in counted for day in counts.short_days}),
        spans=[_span(window) for window in state.windows if window.counts],
        message=badges[0].payload.get("message", ""),
        headlines=[picture for badge, picture in zip(badges, pictures, strict=True) if badge.slug in TOP_SLUGS],
        choices=_choices(badges, pictures),
        panels=list(_panels(history, releases)),
        rows=_rows(history),
        log_changed=LAST_MIXED_DAY,
        releases=json.dumps([(version, str(day)) for version, day in releases]),
        sections=sections,
        min_percentage_downloads=MIN_PERCENTAGE_DOWNLOADS,
        categories=CATEGORIES,
        legend=_legend(),
        counted=counted,
        tables=list_tables(counted),
        unlisted=sorted((headline.unlisted or {}).items(), key=lambda item: -item[1]) if headline else [],
        snippets=snippets_by_source(root, folder, badges[0], page, height),
        filled=ROOT_PLACEHOLDER if not site.base_url else "",
        files=(RECORD_NAME, JSON_NAME, CSV_NAME, badges[0].file_name, CHART_NAME),
        base_url=site.base_url,
        page=page if site.base_url else "",
        dataset=site.dataset_of(state.source),
        remarks=site.remarks_of(state.source),
        from_others=[(_span(w)[0], w.counts.source) for w in state.windows if w.counts and w.counts.source],
        along=along.where if along else "",
        honest_ci=along.honest_ci if along else "",
        query=_query(state, headline, along) if headline and along else "",
    )


def _span(window: WindowState) -> tuple[str, tuple[date, date]]:
    """Return the length of a counted window in words, and its first and last day."""
    if window.counts is None:
        raise ValueError("a window without counts has no days")
    counted = window.counts.window
    length = "1 day" if counted.days == 1 else f"{counted.days} days"
    return ("all days" if window.days == ALL else length), (counted.first_day, counted.as_of)


def _shares(counts: WindowCounts) -> list[tuple[str, str]]:
    """Return each category that has downloads, and its share."""
    return [(name, format_share(count, counts.raw)) for name in CATEGORIES if (count := counts.categories[name])]


def _picture(badge: Badge) -> Markup:
    """Return a badge as an image. In a template, a page with a dozen badges takes twice as long."""
    width, height = size(badge.payload)
    alt = escape(f"{badge.payload.get('label', '')}: {badge.payload['message']}")
    source = escape(badge.picture_name)
    # All texts are escaped.
    return Markup(f'<img src="{source}" alt="{alt}" width="{width}" height="{height}" loading="lazy">')  # noqa: S704


def _choices(badges: Sequence[Badge], pictures: Sequence[Markup]) -> Markup:
    """Return the badges to choose from as items of a list."""
    items = [
        f'<li data-stem="{escape(badge.stem)}" data-alt="{escape(describe(badge.slug, badge.days))}">{picture}</li>\n'
        for badge, picture in zip(badges, pictures, strict=True)
    ]
    return Markup("".join(items))  # noqa: S704 - all texts are escaped


@cache
def _legend() -> Markup:
    """Return the categories as items of a legend, which all pages share."""
    items = [
        f'<li data-name="{name}"><svg width="12" height="12" aria-hidden="true"><path class="c-{name}" '
        f'd="M0 0h12v12H0z"/></svg>{name}</li>\n'
        for name in CATEGORIES
    ]
    return Markup("".join(items))  # noqa: S704 - our own words


def _panels(history: History, releases: Sequence[tuple[str, date]]) -> Iterator[Panel]:
    for days in chart_lengths(history):
        found = plot(history, days, f"days{days}", releases=releases)
        yield Panel(days, Markup(found.svg), found.summary)  # noqa: S704 - numbers and our own words


def _rows(history: History) -> Markup:
    """Return the days of the longest chart as lines of a table, the newest first."""
    rows = [_row(day) for day in reversed(history.newest(CHART_DAYS[-1]).days)]
    return Markup("".join(rows))  # noqa: S704 - numbers and our own words


def _row(day: Day) -> str:
    """Return a day as a line of a chart's table. For a year of days, a template takes four times as long."""
    cells = "".join([f"<td>{UNKNOWN if count is None else f'{count:,}'}</td>" for count in day.numbers[:TABLE_COLUMNS]])
    notes = [UNKNOWN if day.provisional is None else READINGS[day.provisional]]
    notes += ["requests"] if day.definition is Definition.REQUESTS else []
    notes += ["rows lost"] if day.is_short else []
    notes += [escape(f"from {day.source}")] if day.source else []
    return f'<tr><th scope="row">{day.date}</th>{cells}<td>{", ".join(notes)}</td></tr>\n'


def _query(state: PackageState, counts: WindowCounts, along: ReaderQuery) -> str:
    """Return the query that counts the headline's window."""
    parts = [Selector.parse(member) for member in state.members] or [Selector(state.package)]
    return along.query(parts, counts.window.first_day, counts.window.as_of)
