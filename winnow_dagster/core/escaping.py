"""Escape text that strangers chose, such as installer and file names, for each output."""

from __future__ import annotations

MAX_QUOTED = 300
"""How many characters of a service's own words a message quotes."""


def shorten(text: str) -> str:
    """Return text on one line, of at most MAX_QUOTED characters. It ends with `...` if it was cut."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_QUOTED else line[: MAX_QUOTED - 3] + "..."


def visible(text: str) -> str:
    """Return text on one line, with control and format characters written as Python writes them."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def for_terminal(text: str) -> str:
    """Return text with its lines, but without escape codes."""
    return "\n".join(map(visible, text.split("\n")))


def for_slack(text: str) -> str:
    """Return text as a code block of Slack, which shows mentions, links and styles as text."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"```{escaped.replace('`', chr(39))}```"


def for_markdown(text: str) -> str:
    """Return text as a code span of Markdown, which shows links, images and HTML as text."""
    return f"`{visible(text).replace('`', chr(39))}`"
