"""The tables of counted windows on a page: categories, installers and systems as bars, largest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from winnow_dagster.core.badge import format_exact
from winnow_dagster.core.categories import BROWSERS, CATEGORIES, INSTALLERS, MIRRORS, SCRIPTS
from winnow_dagster.core.dimensions import DIMENSIONS
from winnow_dagster.site.words import WORDS, format_aligned_share

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from winnow_dagster.core.dimensions import Dimension
    from winnow_dagster.core.window import WindowCounts

MEANINGS: Mapping[str, str] = {
    "honest": f"{', '.join(INSTALLERS)}, outside CI: what the badge shows",
    "ci": "the client said that it ran in CI",
    "mirror": ", ".join(MIRRORS),
    "browser": f"{', '.join(BROWSERS)}; curl and wget too",
    "script": ", ".join(SCRIPTS),
    "unknown": "no installer named",
    "other": "any other installer",
}


class Table(NamedTuple):
    """A table with a line for each value, and for each window a count and its share."""

    title: str
    first_column: str
    rows: Markup


class _Line(NamedTuple):
    number: str
    name: str
    meaning: str
    style: str


def list_tables(counted: Sequence[WindowCounts]) -> list[Table]:
    """Return the tables of these windows, the headline's first; none without a window."""
    if not counted:
        return []
    categories = [_Line(name, name, MEANINGS[name], f"c-{name}") for name in CATEGORIES]
    return [
        Table("By category", "Category", _rows(categories, counted, "raw")),
        *(
            Table(f"Honest, by {each.name}", each.name.capitalize(), _rows(list(_lines(each)), counted, "honest"))
            for each in DIMENSIONS
        ),
    ]


def _lines(dimension: Dimension) -> Iterator[_Line]:
    for key in dimension.keys:
        value = dimension.values.get(key, "other or not said")
        name = WORDS.get(dimension.name, {}).get(value, value)
        yield _Line(dimension.number(key), name, "", "c-honest")


def _rows(lines: Sequence[_Line], counted: Sequence[WindowCounts], whole: str) -> Markup:
    """Return the rows as HTML: a template takes four times as long. Bars are of the headline's window."""
    ordered = sorted(lines, key=lambda line: -(counted[0].numbers[line.number] or 0))
    most = max(counted[0].numbers[line.number] or 0 for line in lines)
    rows = [
        f'<tr{_EMPHASIS if line.number == "honest" else ""}><th scope="row">{line.name}'
        f"{f'<br><small>{line.meaning}</small>' if line.meaning else ''}</th>"
        f"<td>{_bar(line.style, counted[0].numbers[line.number] or 0, most)}</td>"
        f"{''.join(_cells(counts.numbers[line.number], counts.numbers[whole]) for counts in counted)}</tr>\n"
        for line in ordered
    ]
    return Markup("".join(rows))  # noqa: S704 - numbers and our own words


_EMPHASIS = ' class="honest"'


def _bar(style: str, count: int, most: int) -> str:
    if not count:
        return ""
    return (
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="{style}" d="M0 0h{100 * count / most:.4g}v10H0z"/></svg>'
    )


def _cells(count: int | None, whole: int | None) -> str:
    share = "" if count is None or whole is None else format_aligned_share(count, whole)
    return f'<td class="n">{format_exact(count)}</td><td class="n">{share}</td>'
