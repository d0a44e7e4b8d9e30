"""The colours of badges that have names: what a config may say, and what Winnow's own SVG draws."""

from __future__ import annotations

LABEL_COLOR = "#555"

COLORS = {
    "brightgreen": "#4b0", "green": "#67ac09", "yellowgreen": "#95991a", "yellow": "#d8b800", "orange": "#ea7233",
    "red": "#dd4343", "blue": "#007ec6", "grey": LABEL_COLOR, "gray": LABEL_COLOR, "lightgrey": "#939393",
    "lightgray": "#939393", "blueviolet": "#8a2be2", "success": "#4b0", "important": "#ea7233", "critical": "#dd4343",
    "informational": "#007ec6", "inactive": "#939393", "white": "#fff", "black": "#000",
}  # fmt: skip
"""The values that shields.io, which draws with badge-maker 6, gives to names of colours. See .ci/check_badges.py."""
