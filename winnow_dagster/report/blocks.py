"""Blocks: small tables of text, side by side as far as a line has room."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, set_cell_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GAP = "   "


class Line(NamedTuple):
    """A line of a block: a name, a number and its share."""

    name: str
    number: str
    share: str


class Block(NamedTuple):
    """A title, and lines below it."""

    title: str
    lines: Sequence[Line]

    def format(self) -> list[str]:
        """Return lines of equal width: names on the left, numbers on the right."""
        name, number, share = (max(map(cell_len, column), default=0) for column in zip(*self.lines, strict=True))
        lines = (f"{set_cell_size(n, name)}  {count:>{number}} {part:>{share}}" for n, count, part in self.lines)
        found = [self.title, *lines]
        width = max(map(cell_len, found))
        return [set_cell_size(line, width) for line in found]


def side_by_side(blocks: Sequence[Block], width: int) -> Iterator[str]:
    """Yield the lines of these blocks, with as many beside each other as fit into `width`."""
    row: list[list[str]] = []
    for block in (block.format() for block in blocks if block.lines):
        if row and sum(len(GAP) + cell_len(each[0]) for each in row) + cell_len(block[0]) > width:
            yield from _join(row)
            yield ""
            row = []
        row.append(block)
    yield from _join(row)


def _join(row: Sequence[Sequence[str]]) -> Iterator[str]:
    blank = [" " * cell_len(block[0]) for block in row]
    for lines in zip_longest(*row):
        parts = (line or empty for line, empty in zip(lines, blank, strict=True))
        yield GAP.join(parts).rstrip()
