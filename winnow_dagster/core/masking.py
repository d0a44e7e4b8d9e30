"""Masking of what may be a secret in a text that a message quotes."""

from __future__ import annotations

import re

ADDRESS = re.compile(r"https?:/+[^\s'\"`/][^\s'\"`]*", re.IGNORECASE)
_HOST = re.compile(r"[\s!]*[\w.-]+\.[a-z]{2,}(:\d+)?(?=[/?#])", re.IGNORECASE)
HIDDEN_ADDRESS = "https://…"


def hide(text: str) -> str:
    """Return a text of the config. Masks a text that may be a secret."""
    if "PRIVATE KEY" in text:
        return "…PRIVATE KEY…"
    if ADDRESS.search(text):
        return HIDDEN_ADDRESS
    host = _HOST.match(text)
    return f"{host[0]}/…" if host else text


def shown(value: object) -> str:
    """Return a wrong value as messages quote it: shortened, and masked if it may be a secret."""
    if isinstance(value, dict | list):
        return "a section" if isinstance(value, dict) else "a list"
    text = repr(hide(value) if isinstance(value, str) else value)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - what fits a line
