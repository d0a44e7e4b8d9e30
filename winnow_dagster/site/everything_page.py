"""The page of `*`: it searches everything that is published, and shows any package that has no page of its own.

Its address names the package: `_packages/?structlog`. A page for each of a million packages would be a third more
files, and every one of them would say the same: their numbers are in `history.json` and the shards already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from winnow_dagster.core.definition import LAST_MIXED_DAY
from winnow_dagster.core.shard import SHOWN_COLUMNS
from winnow_dagster.core.window import name_length
from winnow_dagster.site.all_packages import SHARDS_FOLDER
from winnow_dagster.site.snippets import ROOT_PLACEHOLDER, describe, own_picture, shields_picture, snippets
from winnow_dagster.site.svg import size
from winnow_dagster.site.template import render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from winnow_dagster.site.all_packages import Summary
    from winnow_dagster.site.site import SiteConfig
    from winnow_dagster.site.snippets import Snippet

NAME_PLACEHOLDER = "PACKAGE"
"""Stands for the name of the package, which is in lower case. The page's script replaces it."""


@dataclass(frozen=True)
class OfferedBadge:
    """A badge that every package of `*` may have."""

    slug: str
    days: int

    @property
    def stem(self) -> str:
        """The name of its files without their endings."""
        return f"{self.slug}-{name_length(self.days)}-non-ci"

    @property
    def alt(self) -> str:
        """What it shows."""
        return describe(self.slug, self.days)

    @property
    def columns(self) -> list[str]:
        """The columns of a shard that it shows."""
        return sorted(SHOWN_COLUMNS[self.slug])


def format_page(summary: Summary, site: SiteConfig) -> bytes:
    """Return the page of `*`."""
    # No window is left after a prune if none of the published ones is configured.
    windows = sorted(summary.as_of.items(), key=lambda window: window[0] not in summary.configured)
    days, as_of = windows[0] if windows else (None, "")
    badges = list(_badges(summary, [days for days, _ in windows]))
    root = site.base_url or ROOT_PLACEHOLDER
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
        badges=badges,
        snippets=_snippets(root, badges[0], size(summary.style.extras)[1]) if badges else {},
        filled=ROOT_PLACEHOLDER if not site.base_url else "",
    )


def _badges(summary: Summary, lengths: list[int]) -> Iterator[OfferedBadge]:
    for days in lengths:
        for slug in summary.style.slugs:
            yield OfferedBadge(slug, days)


def _snippets(root: str, badge: OfferedBadge, height: int) -> dict[str, list[Snippet]]:
    page = f"{root}/{SHARDS_FOLDER}/?{NAME_PLACEHOLDER}"
    return {
        "drawn here": snippets(own_picture(root, NAME_PLACEHOLDER, badge.stem), page, badge.alt, height),
        "drawn by shields.io": snippets(shields_picture(root, NAME_PLACEHOLDER, badge.stem), page, badge.alt, height),
    }
