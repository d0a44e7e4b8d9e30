"""The chart of a package's honest downloads as a file of its own, which a README can show in light and dark."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from typing import TYPE_CHECKING

from winnow_dagster.core.names import GROUP_FOLDER
from winnow_dagster.site.chart import Series, plot
from winnow_dagster.site.scale import HEIGHT, LEFT, WIDTH
from winnow_dagster.site.template import static_files

if TYPE_CHECKING:
    from winnow_dagster.core.days import Package
    from winnow_dagster.core.history import History

CHART_NAME = "chart.svg"
CHART_DAYS = (30, 90, 365)
"""The lengths of the charts in days. A longer one needs more stored days than the one before."""

HONEST_ONLY = Series("Honest downloads", {"honest": "c-honest"}, whole="honest", has_titles=False)
HEAD = 44
"""The height of the title above the chart."""

_RULES = (
    "text{fill:var(--quiet);font:12px system-ui,sans-serif}.name{fill:var(--text);font-size:16px;font-weight:600}"
    ".line,.event{fill:none;stroke:var(--line)}.event{stroke:var(--quiet);stroke-dasharray:3 3}"
    ".c-honest{fill:var(--honest)}.missing{fill:var(--quiet);fill-opacity:.2}.gap{fill:var(--quiet)}"
    ".short{fill:var(--banner-line)}.provisional{fill:none;stroke:var(--banner-line);stroke-width:3}"
)


def chart_lengths(history: History) -> list[int]:
    """Return the lengths of the charts that a history has enough days for, the shortest first."""
    if history.first is None or history.last is None:
        return []
    stored = (history.last - history.first).days + 1
    return [days for at, days in enumerate(CHART_DAYS) if at == 0 or stored > CHART_DAYS[at - 1]]


def format_chart(package: Package) -> bytes:
    """Return the chart of the longest length for which days are stored; without a day, a picture that says so."""
    history, name = package.history, package.state.package.removeprefix(GROUP_FOLDER)
    prefix = "Sample data: " if package.source == "sample" else ""
    lengths = chart_lengths(history)
    if lengths:
        days = lengths[-1]
        drawn = plot(history, days, "chart", HONEST_ONLY)
        unit = "average day of each week" if drawn.is_weekly else "by day"
        subtitle, chart = f"honest downloads, {unit}, to {history.last} (UTC)", drawn.svg
    else:
        subtitle, chart = "no day is read yet", ""
    title = escape(f"{prefix}{name}: {subtitle}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEAD + HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEAD + HEIGHT}" role="img"><title>{title}</title><style>{_style()}</style>'
        f'<text class="name" x="{LEFT}" y="20">{escape(prefix + name)}</text>'
        f'<text x="{LEFT}" y="38">{escape(subtitle)}</text>'
        + chart.replace("<svg ", f'<svg y="{HEAD}" width="{WIDTH}" height="{HEIGHT}" ', 1)
        + "</svg>\n"
    ).encode()


@cache
def _style() -> str:
    """Return the colours of the pages, in light and dark, and the rules of the chart."""
    sheet = static_files()["winnow.css"].decode()
    light, dark = re.findall(r":root \{(.*?)\}", sheet, re.DOTALL)
    used = set(re.findall(r"var\((--[a-z-]+)\)", _RULES))
    blocks = (";".join(f"{key}:{value}" for key, value in _colors(block) if key in used) for block in (light, dark))
    return ":root{%s}@media(prefers-color-scheme:dark){:root{%s}}%s" % (*blocks, _RULES)  # noqa: UP031 - braces


def _colors(block: str) -> list[tuple[str, str]]:
    return re.findall(r"(--[a-z0-9-]+): ([^;]+);", block)
