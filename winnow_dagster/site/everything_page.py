"""The page of `*`: it searches everything that is published, and shows any package that has no page of its own.

Its address names the package: `_packages/?structlog`. Pages of their own for a million packages would add
a third to the files, and their numbers are in `history.json` and the shards already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from winnow_dagster.core.badge import Badge
from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.shard import SHOWN_COLUMNS
from winnow_dagster.site.all_packages import SHARDS_FOLDER
from winnow_dagster.site.snippets import ROOT_PLACEHOLDER, describe, snippets_by_source
from winnow_dagster.site.svg import size
from winnow_dagster.site.template import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from winnow_dagster.site.all_packages import Summary
    from winnow_dagster.site.site import SiteConfig

NAME_PLACEHOLDER = "PACKAGE"
"""Stands for the name of the package, which is in lower case. The page's script replaces it."""


class Choice(NamedTuple):
    """A badge that every package of `*` may have, what it shows in words, and the columns of a shard that it shows."""

    badge: Badge
    alt: str
    columns: Sequence[str]


def format_page(summary: Summary, site: SiteConfig) -> bytes:
    """Return the page of `*`."""
    # No window is left after a prune if none of the published ones is configured.
    windows = sorted(summary.as_of.items(), key=lambda window: window[0] not in summary.configured)
    days, as_of = windows[0] if windows else (None, "")
    badges = [Badge(slug, length, {}) for length, _ in windows for slug in summary.style.slugs]
    root = site.base_url or ROOT_PLACEHOLDER
    page = f"{root}/{SHARDS_FOLDER}/?{NAME_PLACEHOLDER}"
    return render(
        "everything.html",
        "../",
        base_url=site.base_url,
        sample=summary.source == "sample",
        dataset=site.dataset_of(summary.source),
        remarks=site.remarks_of(summary.source),
        packages=summary.packages,
        days=days,
        as_of=str(as_of),
        short_days=summary.short_days,
        stale_threshold_days=site.stale_threshold_days,
        log_changed=LAST_MIXED_DAY,
        placeholder=NAME_PLACEHOLDER,
        choices=[Choice(each, describe(each.slug, each.days), sorted(SHOWN_COLUMNS[each.slug])) for each in badges],
        snippets=snippets_by_source(root, NAME_PLACEHOLDER, badges[0], page, size(summary.style.extras)[1])
        if badges
        else {},
        filled=ROOT_PLACEHOLDER if not site.base_url else "",
    )
