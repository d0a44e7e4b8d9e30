"""The numbers of packages, as `winnow show` prints them."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING, TextIO

from winnow_dagster.core.badge import format_count, format_share
from winnow_dagster.core.categories import CATEGORIES
from winnow_dagster.core.dimensions import DIMENSIONS
from winnow_dagster.core.escaping import for_terminal, visible
from winnow_dagster.core.names import GROUP_FOLDER
from winnow_dagster.core.packages import lacks_rows
from winnow_dagster.core.trend import ASCII, BLOCKS, compare, daily, spark
from winnow_dagster.report.blocks import Block, Line, side_by_side
from winnow_dagster.site.comparison import name_window
from winnow_dagster.site.record import format_counts
from winnow_dagster.site.words import NOT_SAID_NAME
from winnow_dagster.sources.kinds import KINDS
from winnow_dagster.sources.sample import SAMPLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from winnow_dagster.core.breakdowns import Breakdown
    from winnow_dagster.core.trend import Change
    from winnow_dagster.core.window import WindowCounts
    from winnow_dagster.lookup import Found
    from winnow_dagster.sources.interface import SourceSettings

WIDTH = 80
"""The width of the output on a terminal and in a log."""

INDENT = "  "

SPARK_WIDTH = 60
MAX_VALUES = 8
"""The number of values of a breakdown that are shown unless the user asks for it."""

MAX_UNLISTED = 3
"""The number of unlisted installers that are named."""

UNKNOWN = "-"


def print_numbers(found: Sequence[Found], source: SourceSettings, *, in_full: bool) -> None:
    """Print the numbers of each package. `source`: that of the config. `in_full`: print all values of breakdowns."""
    out = sys.stdout
    marks = BLOCKS if _can_encode(out, BLOCKS) else ASCII
    blank: list[str] = []
    for each in found:
        for line in (*blank, *_lines(each, marks), *_tables(each, in_full=in_full)):
            out.write(for_terminal(line) + "\n")
        blank = [""]
    for remark in _remarks(found, source):
        out.write("\n" + textwrap.fill(for_terminal(remark), WIDTH) + "\n")
    out.flush()


def _remarks(found: Sequence[Found], source: SourceSettings) -> list[str]:
    """Return the limits of the sources of these numbers."""
    known = {name: kind.remarks for name, kind in KINDS.items()} | {source.kind: source.remarks}
    kinds = dict.fromkeys(each.package.source for each in found)
    return [remark for kind in kinds for remark in known.get(kind, ())]


def _lines(found: Found, marks: str) -> Iterator[str]:
    state = found.package.state
    window, counts = state.headline, state.headline.counts
    name = state.package.removeprefix(GROUP_FOLDER)
    source = counts.source if counts and counts.source else state.source
    origin = " (sample data)" if source == SAMPLE.name else f" (from {source})" if source != state.source else ""
    if counts is None:
        yield f"{name}{origin}: no number yet, {window.covered_days} of {name_window(window)} are read"
    else:
        days = counts.window
        installs = f"{format_count(counts.honest)} install{'s' * (counts.honest != 1)}"
        yield f"{name}{origin}: {installs} in {name_window(window)}"
        share = format_share(counts.honest, counts.raw)
        yield f"  {counts.honest:,} honest of {counts.raw:,} downloads ({share}), {days.first_day} to {days.as_of}"
        change = compare(found.package.history, days)
        yield f"  {_change(counts, change)}"
        yield f"  {spark(list(daily(found.package.history, days).values()), marks, SPARK_WIDTH)}"
        for day in counts.short_days:
            yield f"  ! {lacks_rows(day)}"
    if found.problem:
        yield f"  ! {found.problem}"


def _change(counts: WindowCounts, change: Change) -> str:
    if change.honest is None:
        return f"cannot be compared with the window before: {change.why_not}"
    ratio = change.ratio(counts.honest)
    text = f"{counts.honest - change.honest:+,}" if ratio is None else f"{100 * ratio:+.1f} %"
    return f"{text} against {change.honest:,} from {change.before.first_day} to {change.before.as_of}"


def _can_encode(out: TextIO, text: str) -> bool:
    try:
        text.encode(out.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _tables(found: Found, *, in_full: bool) -> Iterator[str]:
    """Yield an empty line, then the tables of a window side by side; nothing without a window."""
    counts = found.package.state.headline.counts
    if counts is None:
        return
    numbers = counts.numbers
    blocks = [_block("category", [(name, numbers.get(name)) for name in CATEGORIES], counts.raw)]
    for dimension in DIMENSIONS:
        rows = [(dimension.values.get(key, "other"), numbers.get(dimension.number(key))) for key in dimension.keys]
        blocks.append(_block(f"honest, by {dimension.name}", rows, counts.honest))
    for name, breakdown in found.breakdowns.items():
        since = "" if breakdown.first_day == counts.window.first_day else f" since {breakdown.first_day}"
        title = f"honest, by {name.replace('_', ' ')}{since}"
        blocks.append(_block(title, _values(breakdown, in_full=in_full), sum(breakdown.honest.values())))
    yield ""
    for line in side_by_side(blocks, WIDTH - len(INDENT)):
        yield INDENT + line if line else line
    if counts.unlisted:
        yield f"{INDENT}other: {_name_unlisted(counts.unlisted)}"


def _name_unlisted(unlisted: Mapping[str, int]) -> str:
    ordered = sorted(unlisted.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{name} {downloads:,}" for name, downloads in ordered[:MAX_UNLISTED])
    return named + (f", and {len(ordered) - MAX_UNLISTED} more" if len(ordered) > MAX_UNLISTED else "")


def _values(breakdown: Breakdown, *, in_full: bool) -> Iterator[tuple[str, int]]:
    ordered = sorted(breakdown.honest.items(), key=lambda item: (-item[1], item[0]))
    shown = ordered if in_full or len(ordered) <= MAX_VALUES else ordered[: MAX_VALUES - 1]
    yield from ((value or NOT_SAID_NAME, count) for value, count in shown)
    if rest := ordered[len(shown) :]:
        yield f"{len(rest)} others", sum(count for _, count in rest)


def _block(title: str, rows: Iterable[tuple[str, int | None]], whole: int) -> Block:
    return Block(title, [Line(visible(name), _number(count), _share(count, whole)) for name, count in rows])


def _number(count: int | None) -> str:
    """Return a count in full, or a hyphen if it is unknown: a log may not have the dash of pages."""
    return UNKNOWN if count is None else f"{count:,}"


def _share(count: int | None, whole: int) -> str:
    return "" if count is None or not whole else format_share(count, whole)


def numbers_as_json(found: Sequence[Found], source: SourceSettings) -> dict[str, object]:
    """Return the numbers as JSON values. `source`: that of the config."""
    return {"packages": [_entry(each) for each in found], "remarks": _remarks(found, source)}


def _entry(found: Found) -> dict[str, object]:
    state, counts = found.package.state, found.package.state.headline.counts
    change = compare(found.package.history, counts.window) if counts else None
    return {
        "name": state.package.removeprefix(GROUP_FOLDER),
        "is_group": state.package.startswith(GROUP_FOLDER),
        "source": counts.source if counts and counts.source else state.source,
        "is_stored": found.is_stored,
        "problem": found.problem,
        "collected_days": state.headline.covered_days,
        "window": None if counts is None else {"days": counts.window.days, **format_counts(counts)},
        "before": None
        if counts is None or change is None or change.honest is None
        else {
            "first_day": str(change.before.first_day),
            "as_of": str(change.before.as_of),
            "honest": change.honest,
            "change": change.ratio(counts.honest),
        },
        "why_no_change": change.why_not or None if change else None,
        "honest_by_day": {}
        if counts is None
        else {str(day): count for day, count in daily(found.package.history, counts.window).items()},
        "breakdowns": {
            name: {
                "first_day": str(breakdown.first_day),
                "last_day": str(breakdown.last_day),
                "honest": dict(breakdown.honest),
                "ci": dict(breakdown.ci),
            }
            for name, breakdown in found.breakdowns.items()
        },
    }
