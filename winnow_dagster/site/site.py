"""The site: settings of the config that hold for everything published."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import DEFAULT_STYLE, BadgeStyle, badges_of
from winnow_dagster.core.names import Selector, selector_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from winnow_dagster.core.badge import Badge
    from winnow_dagster.core.reader_query import ReaderQuery
    from winnow_dagster.core.window import PackageState


@dataclass(frozen=True)
class SiteConfig:
    """Settings that hold for everything published."""

    stale_threshold_days: int
    base_url: str = ""
    looks: Mapping[str, BadgeStyle] = field(default_factory=dict)
    """The style of each selector's and group's badges, by its text."""

    reader_queries: Mapping[str, ReaderQuery] = field(default_factory=dict)
    """How readers check a number themselves, by the kind of its source; no entry if they cannot."""

    def dataset_of(self, source: str) -> str:
        """Return the name of the public dataset behind a kind of source; empty without one."""
        return self.reader_queries[source].dataset if source in self.reader_queries else ""

    def look_of(self, package: str) -> BadgeStyle | None:
        """Return the style of a package's or group's badges; None if the config no longer has it."""
        if package in self.looks:
            return self.looks[package]
        selector = selector_of(package, [Selector.parse(key) for key in self.looks if key.endswith("*")])
        return self.looks[str(selector)] if selector else None

    def badges(self, state: PackageState, today: date) -> list[Badge]:
        """Return all badges that a package could have, the headline first, as they read on `today`."""
        look = self.look_of(state.package) or DEFAULT_STYLE
        return badges_of(state, look, today=today, stale_threshold_days=self.stale_threshold_days)

    def chosen(self, state: PackageState, today: date) -> list[Badge]:
        """Return the badges that the config asks for, the headline first."""
        slugs = (self.look_of(state.package) or DEFAULT_STYLE).slugs
        return [badge for badge in self.badges(state, today) if badge.slug in slugs]
