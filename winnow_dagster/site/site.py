"""The settings that apply to all published files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from winnow_dagster.core.badge import DEFAULT_STYLE, BadgeStyle, badges_of
from winnow_dagster.core.names import Selector, selector_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from winnow_dagster.core.badge import Badge
    from winnow_dagster.core.reader_query import ReaderQuery
    from winnow_dagster.core.window import PackageState


@dataclass(frozen=True)
class SiteConfig:
    """The settings that apply to all published files."""

    stale_threshold_days: int
    base_url: str = ""
    styles: Mapping[str, BadgeStyle] = field(default_factory=dict)
    """The style of the badges, keyed by the text of the selector or group."""

    reader_queries: Mapping[str, ReaderQuery] = field(default_factory=dict)
    """The query with which readers can check a number, by kind of source. Some kinds have none."""

    breakdowns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The open dimensions by which the config breaks down packages, keyed as `styles`."""

    remarks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Sentences on the limits of a source, by kind of source. Some kinds have none."""

    repositories: Mapping[str, str] = field(default_factory=dict)
    """The address of the source code, keyed as `styles`. Some have none."""

    def remarks_of(self, source: str) -> Sequence[str]:
        """Return sentences on the limits of a source."""
        return self.remarks.get(source, ())

    def dataset_of(self, source: str) -> str:
        """Return the name of a source's public dataset; empty without one."""
        return self.reader_queries[source].dataset if source in self.reader_queries else ""

    def style_of(self, package: str) -> BadgeStyle | None:
        """Return the style of the badges of a package or group; None if it is no longer configured."""
        key = self._key_of(package)
        return None if key is None else self.styles[key]

    def dimensions_of(self, package: str) -> Sequence[str]:
        """Return the open dimensions by which the config breaks down a package or group."""
        return self.breakdowns.get(self._key_of(package) or "", ())

    def repository_of(self, package: str) -> str:
        """Return the address of a package's or group's source code; empty if the config gives none."""
        return self.repositories.get(self._key_of(package) or "", "")

    def _key_of(self, package: str) -> str | None:
        if package in self.styles:
            return package
        selector = selector_of(package, [Selector.parse(key) for key in self.styles if key.endswith("*")])
        return str(selector) if selector else None

    def badges(self, state: PackageState, today: date) -> list[Badge]:
        """Return every badge that a package may have, as it reads on `today`, the headline first."""
        style = self.style_of(state.package) or DEFAULT_STYLE
        return badges_of(state, style, today=today, stale_threshold_days=self.stale_threshold_days)
