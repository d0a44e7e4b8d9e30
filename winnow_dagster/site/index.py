"""Files that span packages: the page and the JSON that list them, and the health file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from winnow_dagster.core.dimensions import DIMENSIONS
from winnow_dagster.core.names import GROUP_FOLDER
from winnow_dagster.core.remarks import remark_on
from winnow_dagster.core.window import ALL
from winnow_dagster.site.all_packages import SHARDS_FOLDER, SUMMARY_NAME
from winnow_dagster.site.compare_page import COMPARE_NAME, format_compare
from winnow_dagster.site.comparison import common_length, shown_window
from winnow_dagster.site.index_page import format_index
from winnow_dagster.site.page import PAGE_NAME
from winnow_dagster.site.record import format_counts, to_json, window_key
from winnow_dagster.site.template import STATIC_FOLDER, static_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date, datetime

    from winnow_dagster.core.badge import Badge
    from winnow_dagster.core.dimensions import Dimension
    from winnow_dagster.core.history import History
    from winnow_dagster.core.window import PackageState, WindowCounts, WindowState
    from winnow_dagster.site.all_packages import Summary
    from winnow_dagster.site.site import SiteConfig

HEALTH_NAME = "_health.json"
PACKAGES_NAME = "_packages.json"
PACKAGES_FORMAT = 1


@dataclass(frozen=True)
class Row:
    """A package or group in a list. `status` says what is wrong; None if the headline is current."""

    folder: str
    state: PackageState
    badge: Badge
    status: str | None
    window: WindowState
    """The window that the list shows. Its length is the same in all rows if they share one."""

    @property
    def is_group(self) -> bool:
        """Whether this is a group."""
        return self.folder.startswith(GROUP_FOLDER)

    @property
    def name(self) -> str:
        """The name as the config spells it."""
        return self.folder.removeprefix(GROUP_FOLDER)

    @property
    def note(self) -> str | None:
        """The problem, or else a remark, such as on a package without a download."""
        return self.status or remark_on(self.state)


@dataclass(frozen=True)
class Listing:
    """Every published package and group, and the newest day that may be included."""

    rows: Sequence[Row]
    source: str
    through: date
    stale_threshold_days: int
    everything: Summary | None = None
    """A summary of the packages of `*`, which have no rows."""

    dataset: str = ""
    """The name of the public dataset behind the source; empty without one."""

    remarks: Sequence[str] = ()
    """Sentences on the limits of the source."""

    base_url: str = ""
    """The address of the site; empty if it is not known."""

    @property
    def as_of(self) -> date | None:
        """The newest day of any headline."""
        headlines = [row.state.headline.counts for row in self.rows]
        return max((counts.window.as_of for counts in headlines if counts), default=None)

    def files(self, history_of: Callable[[str], History], *, started: datetime, finished: datetime) -> dict[str, bytes]:
        """Return the files that span packages, keyed by path. `history_of`: returns a folder's published history."""
        static = {f"{STATIC_FOLDER}/{name}": content for name, content in static_files().items()}
        return {
            # Static files first: the page needs them.
            **static,
            PACKAGES_NAME: format_packages(self),
            COMPARE_NAME: format_compare(self),
            PAGE_NAME: format_index(self, history_of),
            HEALTH_NAME: format_health(self, started=started, finished=finished),
        }


def list_packages(
    states: Sequence[PackageState], spellings: Mapping[str, str], site: SiteConfig, *, through: date, today: date
) -> list[Row]:
    """Return a row for each package or group, in the given order, with the config's spelling of its name."""
    common = common_length(states)
    return [
        Row(
            spellings.get(state.package, state.package),
            state,
            site.badges(state, today)[0],
            describe_problem(state, through),
            shown_window(state, common),
        )
        for state in states
    ]


def describe_problem(state: PackageState, through: date) -> str | None:
    """Return why some window of a package does not end with `through`; None if all do."""
    behind = [w for w in state.windows if w.counts is None or w.counts.window.as_of < through]
    if not behind:
        return None
    if state.problem:
        return state.problem
    window = behind[0]
    if window.counts is None and window.days == ALL:
        return "no day collected yet"
    if window.counts is None:
        return f"{window.covered_days} of {window.days} days collected"
    length = "all days" if window.days == ALL else f"{window.days} days"
    return f"the newest complete window of {length} ends on {window.counts.window.as_of}"


def format_packages(listing: Listing) -> bytes:
    """Return `_packages.json`: the windows of every package and group, in the config's order."""
    return to_json(
        {
            "format": PACKAGES_FORMAT,
            "source": listing.source,
            "packages": [package_entry(row) for row in listing.rows if not row.is_group],
            "groups": [
                package_entry(row) | {"members": list(row.state.members)} for row in listing.rows if row.is_group
            ],
            **_everything(listing),
        }
    )


def _everything(listing: Listing) -> dict[str, object]:
    """Return the summary of `*` for published JSON; empty if `*` is not published."""
    found = listing.everything
    if found is None:
        return {}
    summary: dict[str, object] = {
        "packages": found.packages,
        "as_of": dict(found.windows),
        "list": f"{SHARDS_FOLDER}/{SUMMARY_NAME}",
    }
    if found.short_days:
        summary["short_days"] = list(found.short_days)
    return {"everything": summary}


def package_entry(row: Row) -> dict[str, object]:
    """Return the windows of a package or group for JSON."""
    return {
        "name": row.name,
        "folder": row.state.package,
        "headline": window_key(row.state.headline.days),
        "windows": {window_key(w.days): format_counts(w.counts) for w in row.state.windows if w.counts},
        "error": row.status,
    }


def format_health(listing: Listing, *, started: datetime, finished: datetime) -> bytes:
    """Return `_health.json`: the keys of pypi-winnow-downloads, and as-of and all windows."""
    rows = sorted((row for row in listing.rows if not row.is_group), key=lambda row: row.name)
    groups = {row.name: _health(row) for row in listing.rows if row.is_group}
    return to_json(
        {
            "finished": finished.isoformat(),
            "packages": {row.name: _health(row) for row in rows},
            **({"groups": groups} if groups else {}),
            **_everything(listing),
            "sample": listing.source == "sample",
            "source": listing.source,
            **({"dataset": listing.dataset} if listing.dataset else {}),
            **({"source_limits": list(listing.remarks)} if listing.remarks else {}),
            "started": started.isoformat(),
            "through": str(listing.through),
        }
    )


def _health_counts(counts: WindowCounts, dimension: Dimension) -> dict[str, int | None]:
    families = {key: counts.sum(map(dimension.number, family.keys)) for key, family in dimension.families.items()}
    return counts.by(dimension) | families


def _health(row: Row) -> dict[str, object]:
    headline = row.state.headline
    counts = headline.counts
    days = counts.window.days if counts else headline.days
    health: dict[str, object] = {"window_days": days}
    if counts is not None:
        health |= {
            "as_of": str(counts.window.as_of),
            "count": counts.honest,
            **{dimension.health_key: _health_counts(counts, dimension) for dimension in DIMENSIONS},
            "windows": {window_key(w.days): format_counts(w.counts) for w in row.state.windows if w.counts},
        }
    if row.status is not None:
        health["error"] = row.status
    return health
