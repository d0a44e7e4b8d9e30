"""The widths of texts in Verdana, the font of badges."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

# The widths of Verdana's characters at 11 px, in hundredths of a pixel. Characters of equal width share a key.
_WIDTHS = {
    " ": 388, "!": 434, '"': 506, "'": 296, "()[]/\\|:;-J": 500, ",.": 400, "?": 600, "&": 800, "%": 1184, "@": 1100,
    "#+<=>^~": 900, "$*_`0123456789": 700, "{}": 698, "AV": 752, "BXZ": 754, "C": 768, "D": 848, "E": 696, "F": 632,
    "G": 854, "H": 828, "I": 464, "K": 762, "L": 612, "M": 928, "N": 824, "OQ": 866, "P": 664, "R": 766, "S": 752,
    "TY": 678, "U": 806, "W": 1088, "a": 662, "bdgpq": 686, "cs": 574, "e": 656, "f": 388, "hnu": 696, "il": 302,
    "t": 434, "j": 380, "kvxy": 652, "m": 1070, "o": 668, "r": 470, "w": 900, "z": 578,
}  # fmt: skip
_WIDTH = {character: width for characters, width in _WIDTHS.items() for character in characters}
_DEFAULT_WIDTH, _EAST_ASIAN_WIDTH = 700, 1100

# The widths of bold capitals at 10 px, in the same way.
_BOLD_WIDTHS = {
    "$*_`0123456789{}": 711, " ": 342, "!:;": 402, '"': 587, "#+<=>^~": 867, "%": 1272, "&": 862, "'": 332,
    "()[]|": 543, ",.": 361, "-": 480, "/\\": 689, "?": 617, "@": 964, "A": 776, "B": 762, "C": 724, "D": 830, "E": 683,
    "F": 650, "G": 811, "H": 837, "I": 546, "J": 555, "K": 771, "L": 637, "M": 948, "N": 847, "OQ": 850, "P": 733,
    "R": 782, "S": 710, "T": 682, "U": 812, "VX": 764, "W": 1128, "Y": 737, "Z": 692,
}  # fmt: skip
_BOLD_WIDTH = {character: width for characters, width in _BOLD_WIDTHS.items() for character in characters}
_LETTER_SPACING = 1.25

MAX_REMEMBERED = 4096
"""How many widths each function remembers: packages share most of their labels."""


@lru_cache(MAX_REMEMBERED)
def measure(text: str) -> int:
    """Return the width that a badge reserves for `text` at 11 px: an odd number of whole pixels."""
    pixels = sum(map(_advance, text)) // 100
    return pixels + 1 - pixels % 2


@lru_cache(MAX_REMEMBERED)
def measure_capitals(text: str, *, is_bold: bool) -> float:
    """Return the width that a badge reserves for spaced capitals at 10 px."""
    hundredths = [_BOLD_WIDTH.get(c, _advance(c) / 1.1) if is_bold else _advance(c) / 1.1 for c in text]
    return sum(hundredths) // 100 + _LETTER_SPACING * len(text)


def _advance(character: str) -> int:
    wide = unicodedata.east_asian_width(character) in "WF"
    return _WIDTH.get(character, _EAST_ASIAN_WIDTH if wide else _DEFAULT_WIDTH)
