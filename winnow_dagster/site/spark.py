"""Spark lines: the honest downloads of a window as a line in a table's cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDTH, HEIGHT, EDGE = 120, 28, 2
MAX_POINTS = 30
"""With more days, each point is the average of several days. A list of many packages stays small."""


def sparkline(counts: Sequence[int | None]) -> str:
    """Return a spark line of the downloads of each day, oldest first. A missing day breaks the line."""
    known = [count for count in counts if count is not None]
    if not known:
        return ""
    label = f"{min(known):,} to {max(known):,} honest downloads a day in {len(known)} days"
    return (
        f'<svg class="spark" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{label}">'
        f'<path d="{"".join(_path(list(_points(counts))))}"/></svg>'
    )


def _points(counts: Sequence[int | None]) -> Iterator[float | None]:
    """Yield the average of each point's known days. The last point has as many days as the others."""
    size = -(-len(counts) // MAX_POINTS)
    for start in range(len(counts) % size, len(counts), size):
        known = [count for count in counts[start : start + size] if count is not None]
        yield sum(known) / len(known) if known else None


def _path(points: Sequence[float | None]) -> Iterator[str]:
    """Yield the parts of the path in whole, relative pixels, which compress well."""
    top = max(point for point in points if point is not None) or 1
    pen: tuple[int, int] | None = None
    for at, point in enumerate(points):
        if point is None:
            pen = None
            continue
        x = EDGE + round(at * (WIDTH - 2 * EDGE) / max(len(points) - 1, 1))
        y = HEIGHT - EDGE - round(point * (HEIGHT - 2 * EDGE) / top)
        # The round line cap turns a single day into a dot.
        yield f"M{x} {y}h0" if pen is None else f"l{x - pen[0]} {y - pen[1]}".replace(" -", "-")
        pen = x, y
