"""What spans packages: the page that lists them, and the health file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import jinja2

from winnow_dagster.core.badge import badges_of
from winnow_dagster.site.record import summary, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from winnow_dagster.core.window import PackageState, WindowCounts

HEALTH_NAME = "_health.json"

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("winnow_dagster.site"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Row:
    """A package as the page lists it. `status` says what is wrong; None where the headline is current."""

    package: str
    state: PackageState
    label: str
    message: str
    color: str
    status: str | None

    @property
    def counts(self) -> WindowCounts | None:
        """The headline's counts, if it has any."""
        return self.state.headline.counts


def list_packages(
    states: Sequence[PackageState],
    spellings: Mapping[str, str],
    *,
    through: date,
    today: date,
    stale_threshold_days: int,
) -> list[Row]:
    """Return a row for each package, in the order given, under the name that the config gives it."""
    rows = []
    for state in states:
        headline = badges_of(state, today=today, stale_threshold_days=stale_threshold_days)[0].payload
        rows.append(
            Row(
                spellings.get(state.package, state.package),
                state,
                str(headline["label"]),
                str(headline["message"]),
                str(headline["color"]),
                describe_problem(state, through),
            )
        )
    return rows


def describe_problem(state: PackageState, through: date) -> str | None:
    """Return why not every window of a package ends with `through`; None where each does."""
    behind = [w for w in state.windows if w.counts is None or w.counts.window.as_of < through]
    if not behind:
        return None
    if state.problem:
        return state.problem
    window = behind[0]
    if window.counts is None:
        return f"{window.collected} of {window.days} days collected"
    return f"the newest complete window of {window.days} days ends on {window.counts.window.as_of}"


def format_index(rows: Sequence[Row], *, as_of: date | None, sample: bool) -> bytes:
    """Return `index.html`, the packages ordered by their honest count."""
    ordered = sorted(rows, key=lambda row: -(row.counts.honest if row.counts else -1))
    page = _templates.get_template("index.html").render(rows=ordered, as_of=as_of, sample=sample)
    return page.encode()


def format_health(rows: Sequence[Row], *, source: str, through: date, started: datetime, finished: datetime) -> bytes:
    """Return `_health.json`: the keys of pypi-winnow-downloads, with as-of and all windows beside them."""
    return to_json(
        {
            "finished": finished.isoformat(),
            "packages": {row.package: _package_health(row) for row in sorted(rows, key=lambda row: row.package)},
            "sample": source == "sample",
            "source": source,
            "started": started.isoformat(),
            "through": str(through),
        }
    )


def _package_health(row: Row) -> dict[str, object]:
    health: dict[str, object] = {"window_days": row.state.headline.days}
    if row.counts is not None:
        health |= {
            "as_of": str(row.counts.window.as_of),
            "count": row.counts.honest,
            "counts": {**row.counts.by_installer, "pip-family": row.counts.pip_family},
            "counts_by_system": dict(row.counts.by_system),
            "windows": {str(w.days): summary(w.counts) for w in row.state.windows if w.counts},
        }
    if row.status is not None:
        health["error"] = row.status
    return health
